"""Some hard OoD images of each cluster."""

from wood.ood.contact_sheet import cluster_sheet
from wood.runtime.jobs import job
from wood.runtime.store import load_tensors

with job(snakemake.log[0]):
    tensors, metadata = load_tensors(snakemake.input.centers)
    cluster_sheet(
        snakemake.input.hard_ood,
        dict(zip(metadata["images"], tensors["assignment"].tolist(), strict=True)),
        snakemake.output[0],
        per_cluster=snakemake.params.per_cluster,
    )
