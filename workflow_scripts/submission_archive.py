"""The archive for VOC's evaluation server."""

from wood.runtime.jobs import job
from wood.segmentation.submission import make_submission

with job(snakemake.log[0]):
    make_submission(
        snakemake.input.images,
        snakemake.input.masks,
        snakemake.output[0],
        class_names=snakemake.params.class_names,
        expected_images=snakemake.params.expected_images,
    )
