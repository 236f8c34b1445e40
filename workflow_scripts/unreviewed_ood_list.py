"""The hard candidates as they are ranked, which nobody looked at."""

from wood.ood.hard_ood import select_unreviewed_ood
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    select_unreviewed_ood(
        snakemake.input.ranking, snakemake.output[0], minimum=snakemake.params.minimum
    )
