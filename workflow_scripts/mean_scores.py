"""Scores of one shard of candidates, averaged over the training seeds of F_in."""

from wood.ood.averages import mean_scores
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    mean_scores(snakemake.input, snakemake.output[0])
