"""Image list of one image set of a VOC devkit, and its image-level labels where asked for."""

from wood.data.prepare import prepare_voc
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    prepare_voc(
        snakemake.params.voc_root,
        classes=snakemake.params.classes,
        all_classes=snakemake.params.all_classes,
        image_set=snakemake.params.image_set,
        sbd_root=snakemake.params.sbd_root,
        output_list=snakemake.output.images,
        output_labels=snakemake.output.get("labels"),
        skipped=snakemake.output.skipped,
        keep_unlabelled=snakemake.params.get("keep_unlabelled", False),
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )
