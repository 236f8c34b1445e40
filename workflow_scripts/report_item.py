"""One table or figure of the paper."""

from wood.jobs import job
from wood.report.item import build_item

with job(snakemake.log[0]):
    build_item(
        snakemake.wildcards.item,
        snakemake.params.specification,
        snakemake.output.page,
        csv=snakemake.output.get("csv"),
        svg=snakemake.output.get("svg"),
    )
