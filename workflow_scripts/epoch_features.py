"""Features of two classes and of their OoD images at each epoch."""

from wood.runtime.jobs import network_job
from wood.seeds.epochs import extract_epoch_features

with network_job(snakemake):
    extract_epoch_features(
        snakemake.input.images,
        snakemake.input.labels,
        snakemake.input.ood_list,
        snakemake.input.start,
        snakemake.input.epochs,
        snakemake.output[0],
        classes=snakemake.params.figure["classes"],
        count=snakemake.params.figure["images"],
        wood=snakemake.params.settings["wood"],
        data=snakemake.params.settings["data"],
        seed=int(snakemake.wildcards.seed),
        long_side=snakemake.params.long_side,
        max_batch_pixels=snakemake.params.max_batch_pixels,
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )
