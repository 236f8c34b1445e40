"""Image, seed, IR label, boundary, pseudo-mask and true mask in FiftyOne."""

from wood.review.browse import browse
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    browse(
        snakemake.params.experiments,
        snakemake.input.images,
        truth=snakemake.params.truth,
        class_names=snakemake.params.class_names,
        all_classes=snakemake.params.all_classes,
        dataset=snakemake.params.dataset,
        database=snakemake.params.database,
    )
