"""Candidate OoD images, and the reason of every exclusion."""

from wood.ood.candidates import filter_candidates
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    filter_candidates(
        snakemake.input[0],
        snakemake.output.candidates,
        snakemake.output.excluded,
        classes=snakemake.params.classes,
        class_map=snakemake.params.class_map,
        machine_threshold=snakemake.params.machine_threshold,
        splits=snakemake.params.splits,
        max_candidates=snakemake.params.max_candidates,
        max_unlabelled_fraction=snakemake.params.max_unlabelled_fraction,
        seed=snakemake.params.seed,
    )
