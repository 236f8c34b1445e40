"""The threshold of a family's seeds, chosen on half A of the scored images."""

from wood.runtime.jobs import job
from wood.scoring.seeds import choose_threshold

with job(snakemake.log[0]):
    choose_threshold(
        snakemake.input.maps,
        snakemake.input.masks,
        snakemake.input.images,
        class_names=snakemake.params.class_names,
        all_classes=snakemake.params.all_classes,
        experiment=snakemake.wildcards.experiment,
        output=snakemake.output[0],
    )
