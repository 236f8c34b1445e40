"""One folder of all files of several folders."""

from wood.jobs import job
from wood.store import collect_folders

with job(snakemake.log[0]):
    collect_folders(snakemake.input, snakemake.output[0])
