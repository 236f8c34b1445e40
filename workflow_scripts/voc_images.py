"""Image list of one image set of a VOC devkit, and its image-level labels where asked for."""

from wood.data.prepare import prepare_voc
from wood.runtime.jobs import job

with job(snakemake.log[0]):
    prepare_voc(
        snakemake.params.voc_root,
        classes=snakemake.params.class_names,
        all_classes=snakemake.params.all_classes,
        image_set=snakemake.params.image_set,
        image_sets=snakemake.params.image_sets,
        sbd_root=snakemake.params.get("sbd_root"),
        output_list=snakemake.output.images,
        output_labels=snakemake.output.get("labels"),
        skipped=snakemake.output.skipped,
        # The test set has no annotations.
        keep_unlabelled=snakemake.wildcards.get("role") == "test",
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )
