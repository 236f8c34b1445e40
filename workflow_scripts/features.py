"""Features z of the images of one list."""

from wood.runtime.jobs import network_job
from wood.seeds.features import extract_features

with network_job(snakemake):
    extract_features(
        snakemake.input.images,
        snakemake.input.classifier,
        snakemake.output[0],
        long_side=snakemake.params.long_side,
        max_batch_pixels=snakemake.params.max_batch_pixels,
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )
