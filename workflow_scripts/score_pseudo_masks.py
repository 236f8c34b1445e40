"""Scores of the pseudo-masks, and of the seeds with dense CRF (Table 2)."""

from wood.runtime.jobs import job
from wood.scoring.evaluation import score_pseudo_masks

with job(snakemake.log[0]):
    score_pseudo_masks(
        [snakemake.input.mask],
        snakemake.input.seed_crf,
        snakemake.input.masks,
        snakemake.input.images,
        class_names=snakemake.params.class_names,
        all_classes=snakemake.params.all_classes,
        split=snakemake.params.split,
        output=snakemake.output[0],
    )
