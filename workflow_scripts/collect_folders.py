"""One folder of all files of several folders."""

from wood.runtime.jobs import job
from wood.runtime.store import collect_folders

with job(snakemake.log[0]):
    collect_folders(snakemake.input, snakemake.output[0])
