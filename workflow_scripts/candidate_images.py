"""The photographs of one shard of candidates."""

from wood.ood.download import download_images
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    download_images(
        snakemake.input.candidates,
        snakemake.params.folder,
        snakemake.output[0],
        base=snakemake.params.base,
        shard_index=int(snakemake.wildcards.shard),
        shard_count=snakemake.params.shard_count,
        **snakemake.params.settings,
        **snakemake.params.knobs,
    )
