"""The hardest OoD images of each class."""

from wood.ood.contact_sheet import contact_sheet
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    contact_sheet(snakemake.input[0], snakemake.output[0], per_class=snakemake.params.per_class)
