"""Centres of D_in by class, and of D_ood by cluster."""

from wood.ood.centers import make_centers
from wood.runtime.jobs import network_job

with network_job(snakemake):
    make_centers(
        snakemake.input.images,
        snakemake.input.labels,
        snakemake.input.ood_list,
        snakemake.input.features_in,
        snakemake.input.features_ood,
        snakemake.output[0],
        wood=snakemake.params.wood,
        data=snakemake.params.data,
        seed=int(snakemake.wildcards.seed),
    )
