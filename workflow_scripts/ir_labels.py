"""IR labels of one shard of localization maps."""

from wood.affinity.ir_labels import make_ir_labels
from wood.runtime.jobs import job
from wood.scoring.thresholds import with_margins

with job(snakemake.log[0]):
    make_ir_labels(
        snakemake.input.maps,
        snakemake.input.images,
        snakemake.output[0],
        class_names=snakemake.params.class_names,
        classifier=snakemake.params.classifier,
        **with_margins(snakemake.params.settings, *snakemake.input.threshold),
        workers=snakemake.threads,
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )
