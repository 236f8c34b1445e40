"""The report page."""

from wood.jobs import job
from wood.provenance import provenance
from wood.report.page import build_page

with job(snakemake.log[0]):
    build_page(
        {
            **snakemake.params.specification,
            "config": snakemake.params.config,
            "provenance": provenance(),
        },
        snakemake.output[0],
    )
