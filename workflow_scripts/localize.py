"""One shard of localization maps."""

from wood.runtime.jobs import job
from wood.seeds.localize import localize

with job(snakemake.log[0], snakemake.params.threads, snakemake.resources.get("gpu")):
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
