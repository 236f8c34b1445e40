"""The report page, and one for each experiment."""

from wood.report.experiment import build_experiment_pages
from wood.report.page import build_page
from wood.report.scores import Scores
from wood.report.spec import parse_spec
from wood.runtime.jobs import job
from wood.runtime.provenance import config_hash, provenance

with job(snakemake.log[0]):
    config = snakemake.params.config
    spec = parse_spec(
        {
            **snakemake.params.specification,
            "config": config,
            "provenance": {
                **provenance(),
                "configuration": config_hash(config),
                "recorded in": "provenance.json",
            },
        }
    )
    scores = Scores(spec)
    scores.write(snakemake.output.scores)
    build_page(spec, snakemake.output.page, scores)
    build_experiment_pages(spec, scores, snakemake.output.experiments)
