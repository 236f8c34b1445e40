"""Scores of the seeds, with the curve over thresholds."""

from wood.runtime.jobs import job
from wood.scoring.seeds import score_seeds

with job(snakemake.log[0]):
    score_seeds(
        snakemake.input.maps,
        snakemake.input.masks,
        snakemake.input.images,
        class_names=snakemake.params.class_names,
        all_classes=snakemake.params.all_classes,
        threshold=snakemake.params.threshold,
        split=snakemake.params.split,
        published_sweep=snakemake.params.published_sweep,
        output=snakemake.output[0],
    )
