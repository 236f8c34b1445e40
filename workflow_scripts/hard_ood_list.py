"""The hard OoD list, and what the review cost."""

from wood.ood.hard_ood import select_hard_ood
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    select_hard_ood(
        snakemake.input.ranking,
        snakemake.output.list,
        snakemake.output.statistics,
        policy=snakemake.params.policy,
        answers=snakemake.input.answers,
        images=snakemake.input.images,
        classes=snakemake.params.classes,
        minimum=snakemake.params.minimum,
        max_unmatched_fraction=snakemake.params.max_unmatched_fraction,
    )
