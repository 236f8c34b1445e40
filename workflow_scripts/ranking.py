"""The hard candidates, ranked."""

from wood.ood.ranking import rank
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    rank(
        snakemake.input.scores,
        snakemake.input.candidates,
        snakemake.output.table,
        snakemake.output.csv,
        threshold=snakemake.params.threshold,
        cap_per_class=snakemake.params.cap_per_class,
        count=snakemake.params.of_each_class,
    )
