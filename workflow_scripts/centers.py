"""Centres of D_in by class, and of D_ood by cluster."""

from wood.jobs import job
from wood.ood.centers import make_centers

with job(snakemake.log[0]):
    make_centers(
        snakemake.input.features_in,
        snakemake.input.labels,
        snakemake.input.features_ood,
        snakemake.output[0],
        clusters=snakemake.params.clusters,
        grouping=snakemake.params.grouping,
        seed=int(snakemake.wildcards.seed),
    )
