"""The hard OoD list, and what the review cost."""

from wood.ood.hard_ood import select_hard_ood
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    policy = snakemake.params.policy
    select_hard_ood(
        snakemake.input.ranking,
        snakemake.output.list,
        snakemake.output.statistics,
        policy=policy,
        decisions=snakemake.input.answers if policy == "decisions" else None,
        truth=snakemake.input.answers if policy == "truth" else None,
        images=snakemake.input.images,
        classes=snakemake.params.classes,
        minimum=snakemake.params.minimum,
        max_unmatched_fraction=snakemake.params.max_unmatched_fraction,
    )
