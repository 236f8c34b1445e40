"""What made the results, and the checksum of every file of them."""

from wood.runtime.jobs import job
from wood.runtime.provenance import record

with job(snakemake.log[0]):
    record(
        snakemake.params.results,
        snakemake.output[0],
        config=snakemake.params.config,
        inputs=snakemake.params.inputs,
    )
