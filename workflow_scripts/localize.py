"""One shard of localization maps."""

from wood.runtime.jobs import network_job
from wood.seeds.localize import localize

with network_job(snakemake):
    localize(
        snakemake.input.images,
        snakemake.input.labels,
        snakemake.input.classifier,
        snakemake.output[0],
        settings=snakemake.params.settings,
        shard_index=int(snakemake.wildcards.shard),
        shard_count=snakemake.params.shard_count,
        class_names=snakemake.params.class_names,
        max_batch_pixels=snakemake.params.max_batch_pixels,
        max_failed_fraction=snakemake.params.max_failed_fraction,
        workers=snakemake.threads,
    )
