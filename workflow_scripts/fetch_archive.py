"""A data set that is not there: Pascal VOC 2012, or SBD's lists."""

from wood.data.fetch import fetch_archive
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    wanted = snakemake.params.wanted
    fetch_archive(
        wanted["addresses"],
        wanted["path"],
        checksum=wanted["checksum"],
        **snakemake.params.part,
    )
