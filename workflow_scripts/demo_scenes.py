"""Draw the embedded demo: a VOC devkit, an Open Images mirror, and the reviewer's answers."""

from demo import generate_demo
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    generate_demo(snakemake.params.folder, **snakemake.params.demo)
