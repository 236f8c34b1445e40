"""Instance masks of one shard of localization maps."""

from wood.affinity.instances import make_instances
from wood.runtime.jobs import network_job

with network_job(snakemake):
    make_instances(
        snakemake.input.maps,
        snakemake.input.images,
        snakemake.input.irnet,
        snakemake.output[0],
        class_names=snakemake.params.class_names,
        classifier=snakemake.params.classifier,
        **snakemake.params.settings,
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )
