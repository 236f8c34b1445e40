"""Image list of one's own images that a file names."""

from wood.data.prepare import prepare_list
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    prepare_list(
        snakemake.input.image_set[0], snakemake.input.images, output_list=snakemake.output[0]
    )
