"""Pseudo-masks of one shard of localization maps, by the random walk."""

from wood.affinity.pseudo_masks import make_pseudo_masks
from wood.runtime.jobs import network_job

with network_job(snakemake):
    make_pseudo_masks(
        snakemake.input.maps,
        snakemake.input.images,
        snakemake.input.irnet,
        snakemake.output.masks,
        class_names=snakemake.params.class_names,
        classifier=snakemake.params.classifier,
        **snakemake.params.settings,
        max_batch_pixels=snakemake.params.max_batch_pixels,
        max_failed_fraction=snakemake.params.max_failed_fraction,
        boundaries=snakemake.output.boundaries,
    )
