"""Random candidates without a foreground object, as many as there are hard OoD images."""

from wood.data.lists import read_image_list
from wood.ood.hard_ood import select_random_ood
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    policy = snakemake.params.policy
    select_random_ood(
        snakemake.input.images,
        snakemake.input.scores,
        snakemake.output[0],
        count=len(read_image_list(snakemake.input.hard_ood)),
        seed=int(snakemake.wildcards.seed),
        threshold=snakemake.params.threshold,
        policy=policy,
        ranking=snakemake.input.ranking,
        decisions=snakemake.input.answers if policy == "decisions" else None,
        truth=snakemake.input.answers if policy == "truth" else None,
    )
