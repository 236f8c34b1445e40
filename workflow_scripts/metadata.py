"""Labels, hierarchy and image lists of Open Images."""

from wood.ood.metadata import fetch_metadata
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    fetch_metadata(
        snakemake.params.folder,
        base=snakemake.params.base,
        splits=snakemake.params.splits,
        files=snakemake.params.files,
        checksums=snakemake.params.checksums,
        **snakemake.params.knobs,
    )
