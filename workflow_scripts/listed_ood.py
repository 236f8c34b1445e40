"""An existing set of OoD images as the hard OoD list."""

from wood.ood.hard_ood import from_list
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    from_list(snakemake.input.list, snakemake.input.images, snakemake.output[0])
