"""True masks to train the fully supervised upper bound on."""

from wood.data.masks import write_targets
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    write_targets(
        snakemake.input.masks,
        snakemake.input.images,
        snakemake.output[0],
        class_names=snakemake.params.class_names,
        all_classes=snakemake.params.all_classes,
    )
