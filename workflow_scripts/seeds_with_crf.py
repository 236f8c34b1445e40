"""The seeds of one shard, refined by dense CRF."""

from wood.affinity.ir_labels import seeds_with_crf
from wood.runtime.jobs import job
from wood.scoring.thresholds import threshold_value

with job(snakemake.log[0]):
    seeds_with_crf(
        snakemake.input.maps,
        snakemake.input.images,
        snakemake.output[0],
        class_names=snakemake.params.class_names,
        classifier=snakemake.params.classifier,
        threshold=threshold_value(snakemake.params.threshold),
        gt_prob=snakemake.params.gt_prob,
        workers=snakemake.threads,
        max_failed_fraction=snakemake.params.max_failed_fraction,
        scored=snakemake.input.scored,
    )
