# In-distribution data: image lists and image-level labels. Masks are never read here.


if config["data"]["source"] == "demo":

    rule demo_scenes:
        output:
            images=directory(f"{VOC}/JPEGImages"),
            annotations=directory(f"{VOC}/Annotations"),
            image_sets=directory(f"{VOC}/ImageSets"),
            masks=directory(f"{VOC}/SegmentationClass"),
            pool=directory(f"{RESULTS}/demo/openimages"),
            truth=f"{RESULTS}/demo/review-truth.csv",
        log:
            f"{LOGS}/data/demo_scenes.log",
        benchmark:
            f"{BENCHMARKS}/data/demo_scenes.tsv"
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=30,
        params:
            folder=subpath(output.truth, parent=True),
            demo=config["demo"],
            code=code_digest("demo"),
        script:
            "../workflow_scripts/demo_scenes.py"


if config["data"]["source"] == "csv":

    rule labelled_images:
        input:
            labels=config["data"]["labels_csv"],
            images=config["data"]["images"],
        output:
            images=f"{RESULTS}/data/train.csv",
            labels=f"{RESULTS}/data/labels.parquet",
        log:
            f"{LOGS}/data/labelled_images.log",
        benchmark:
            f"{BENCHMARKS}/data/labelled_images.tsv"
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=60,
        params:
            classes=CLASSES,
            code=code_digest("wood.data.prepare"),
        script:
            "../workflow_scripts/labelled_images.py"

else:

    rule training_images:
        input:
            annotations=f"{VOC}/Annotations",
            images=f"{VOC}/JPEGImages",
            image_sets=image_set_files(config["data"]["train"]),
        output:
            images=f"{RESULTS}/data/train.csv",
            labels=f"{RESULTS}/data/labels.parquet",
            skipped=f"{RESULTS}/data/train-skipped.csv",
        log:
            f"{LOGS}/data/training_images.log",
        benchmark:
            f"{BENCHMARKS}/data/training_images.tsv"
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=60,
        params:
            voc_root=subpath(input.images, parent=True),
            sbd_root=config["data"]["sbd_root"],
            image_set=config["data"]["train"],
            classes=CLASSES,
            all_classes=ALL_CLASSES,
            max_failed_fraction=config["data"]["max_failed_fraction"],
            code=code_digest("wood.data.prepare"),
        script:
            "../workflow_scripts/voc_images.py"

    # The images that seeds and pseudo-masks (evaluation) and the network (val) are scored on, and
    # those of the evaluation server (test).
    rule scored_images:
        input:
            annotations=f"{VOC}/Annotations",
            images=f"{VOC}/JPEGImages",
            image_sets=lambda wildcards: image_set_files(config["data"][wildcards.role]),
        output:
            images=f"{RESULTS}/data/{{role}}.csv",
            skipped=f"{RESULTS}/data/{{role}}-skipped.csv",
        log:
            f"{LOGS}/data/{{role}}_images.log",
        benchmark:
            f"{BENCHMARKS}/data/{{role}}_images.tsv"
        wildcard_constraints:
            role="evaluation|val|test",
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=60,
        params:
            voc_root=subpath(input.images, parent=True),
            sbd_root=None,
            image_set=lambda wildcards: config["data"][wildcards.role],
            # The test set has no annotations.
            keep_unlabelled=lambda wildcards: wildcards.role == "test",
            classes=CLASSES,
            all_classes=ALL_CLASSES,
            max_failed_fraction=config["data"]["max_failed_fraction"],
            code=code_digest("wood.data.prepare"),
        script:
            "../workflow_scripts/voc_images.py"
