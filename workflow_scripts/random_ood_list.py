"""Random candidates without a foreground object, as many as there are hard OoD images."""

from wood.data.lists import read_image_list
from wood.ood.hard_ood import select_random_ood
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    select_random_ood(
        snakemake.input.images,
        snakemake.input.scores,
        snakemake.output[0],
        count=len(read_image_list(snakemake.input.hard_ood)),
        seed=int(snakemake.wildcards.seed),
        threshold=snakemake.params.threshold,
        policy=snakemake.params.policy,
        ranking=snakemake.input.ranking,
        answers=snakemake.input.answers,
    )
