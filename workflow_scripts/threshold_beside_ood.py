"""The threshold of a family's seeds, chosen beside OoD images."""

from wood.runtime.jobs import network_job
from wood.seeds.beside_ood import choose_threshold

with network_job(snakemake):
    choose_threshold(
        snakemake.input.images,
        snakemake.input.labels,
        snakemake.input.classifier,
        snakemake.input.ood_list,
        snakemake.output[0],
        settings=snakemake.params.settings,
        share=snakemake.params.share,
        class_names=snakemake.params.class_names,
        experiment=snakemake.wildcards.experiment,
        max_batch_pixels=snakemake.params.max_batch_pixels,
        max_failed_fraction=snakemake.params.max_failed_fraction,
        workers=snakemake.threads,
    )
