"""Scores p(c) of one shard of candidates by F_in."""

from wood.ood.scoring import score_images
from wood.runtime.jobs import network_job

with network_job(snakemake):
    score_images(
        snakemake.input.images,
        snakemake.input.classifier,
        snakemake.output.scores,
        snakemake.output.features,
        long_side=snakemake.params.long_side,
        max_batch_pixels=snakemake.params.max_batch_pixels,
        mirror=snakemake.params.mirror,
        workers=max(2, snakemake.params.threads),
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )
