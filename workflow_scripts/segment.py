"""One shard of predictions on val, without and with dense CRF."""

from wood.crf import DEEPLAB_CRF
from wood.runtime.jobs import network_job
from wood.segmentation.inference import segment_images

with network_job(snakemake):
    segment_images(
        snakemake.input.images,
        snakemake.input.network,
        snakemake.output.plain,
        shard_index=int(snakemake.wildcards.shard),
        shard_count=snakemake.params.shard_count,
        class_names=snakemake.params.class_names,
        **snakemake.params.settings,
        crf=DEEPLAB_CRF,
        crf_output=snakemake.output.crf,
        workers=snakemake.threads,
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )
