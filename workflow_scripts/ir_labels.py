"""IR labels of one shard of localization maps."""

from wood.affinity.ir_labels import make_ir_labels
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    make_ir_labels(
        snakemake.input.maps,
        snakemake.input.images,
        snakemake.output[0],
        class_names=snakemake.params.class_names,
        classifier=snakemake.params.classifier,
        **snakemake.params.settings,
        workers=snakemake.threads,
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )
