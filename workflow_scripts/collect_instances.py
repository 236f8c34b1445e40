"""The instance masks of all shards as one COCO file."""

from wood.data.coco import merge_documents
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    merge_documents(snakemake.input, snakemake.output[0], class_names=snakemake.params.class_names)
