"""Scores of a network's predictions on val, without and with dense CRF."""

from wood.runtime.jobs import job
from wood.scoring.evaluation import score_segmentation

with job(snakemake.log[0]):
    score_segmentation(
        [snakemake.input.plain],
        [snakemake.input.crf],
        snakemake.input.masks,
        snakemake.input.images,
        class_names=snakemake.params.class_names,
        all_classes=snakemake.params.all_classes,
        split=snakemake.params.split,
        output=snakemake.output[0],
    )
