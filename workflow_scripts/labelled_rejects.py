"""D_in with the candidates that the review rejects, as labelled photographs."""

from wood.ood.rejects import label_rejects
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    label_rejects(
        snakemake.input.images,
        snakemake.input.labels,
        snakemake.input.ranking,
        snakemake.output.images,
        snakemake.output.labels,
        policy=snakemake.params.policy,
        answers=snakemake.input.answers,
    )
