"""Weights that are not there."""

from wood.models.weights import fetch_weights
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    wanted = snakemake.params.wanted
    fetch_weights(wanted["addresses"], snakemake.output[0], wanted["checksum"])
