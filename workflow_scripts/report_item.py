"""One table or figure of the paper."""

from wood.report.item import build_item
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    build_item(
        snakemake.wildcards.item,
        snakemake.params.specification,
        snakemake.output.page,
        csv=snakemake.output.get("csv"),
        svg=snakemake.output.get("svg"),
    )
