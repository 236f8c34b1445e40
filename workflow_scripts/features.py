"""Features z of the images of one list."""

from wood.runtime.jobs import job
from wood.seeds.features import extract_features

with job(snakemake.log[0], snakemake.params.threads, snakemake.resources.get("gpu")):
    extract_features(
        snakemake.input.images,
        snakemake.input.classifier,
        snakemake.output[0],
        long_side=snakemake.params.long_side,
        max_batch_pixels=snakemake.params.max_batch_pixels,
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )
