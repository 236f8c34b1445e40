"""Image list and image-level labels of one's own images, from a CSV."""

from wood.data.prepare import prepare_csv
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    prepare_csv(
        snakemake.input.labels,
        snakemake.input.images,
        classes=snakemake.params.classes,
        output_list=snakemake.output.images,
        output_labels=snakemake.output.labels,
    )
