"""The report page, and one for each experiment."""

from wood.jobs import job
from wood.provenance import config_hash, provenance
from wood.report.experiment import build_experiment_pages
from wood.report.page import build_page

with job(snakemake.log[0]):
    config = snakemake.params.config
    spec = build_page(
        {
            **snakemake.params.specification,
            "config": config,
            "provenance": {
                **provenance(),
                "configuration": config_hash(config),
                "recorded in": "provenance.json",
            },
        },
        snakemake.output.page,
    )
    build_experiment_pages(spec, snakemake.output.experiments)
