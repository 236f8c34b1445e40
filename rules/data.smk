# In-distribution data: image lists and image-level labels. Masks are never read here.


if config["data"]["source"] == "demo":

    rule demo_scenes:
        output:
            images=directory(f"{paths.voc}/JPEGImages"),
            annotations=directory(f"{paths.voc}/Annotations"),
            image_sets=directory(f"{paths.voc}/ImageSets"),
            masks=directory(paths.devkit_masks),
            pool=directory(paths.demo("openimages")),
            truth=paths.demo("review-truth.csv"),
        log:
            paths.log("data/demo_scenes"),
        benchmark:
            paths.benchmark("data/demo_scenes")
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(1000, 30),
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
            # A photograph that joins the folder changes nothing: the labels say which ones count.
            images=ancient(config["data"]["images"]),
        output:
            images=paths.data("train.csv"),
            labels=paths.data("labels.parquet"),
        log:
            paths.log("data/labelled_images"),
        benchmark:
            paths.benchmark("data/labelled_images")
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 60),
        params:
            classes=config["classes"],
            code=code_digest("wood.data.prepare"),
        script:
            "../workflow_scripts/labelled_images.py"

    # The images that there are masks of: for seeds and pseudo-masks (evaluation), for the network (val).
    rule listed_images:
        input:
            image_set=lambda wildcards: inputs.image_set_files(wildcards.role),
            images=ancient(config["data"]["images"]),
        output:
            paths.data("{role}.csv"),
        log:
            paths.log("data/{role}_images"),
        benchmark:
            paths.benchmark("data/{role}_images")
        wildcard_constraints:
            role="evaluation|val",
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 60),
        params:
            code=code_digest("wood.data.prepare"),
        script:
            "../workflow_scripts/listed_images.py"

else:

    rule training_images:
        input:
            **inputs.devkit,
            image_sets=inputs.image_set_files("train"),
        output:
            images=paths.data("train.csv"),
            labels=paths.data("labels.parquet"),
            skipped=paths.data("train-skipped.csv"),
        log:
            paths.log("data/training_images"),
        benchmark:
            paths.benchmark("data/training_images")
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 60),
        params:
            **inputs.labels,
            voc_root=subpath(input.images, parent=True),
            sbd_root=lambda wildcards: config["data"]["sbd_root"],
            image_set=config["data"]["train"],
            code=code_digest("wood.data.prepare"),
        script:
            "../workflow_scripts/voc_images.py"

    # The images that seeds and pseudo-masks (evaluation) and the network (val) are scored on, and
    # those of the evaluation server (test).
    rule scored_images:
        input:
            **inputs.devkit,
            image_sets=lambda wildcards: inputs.image_set_files(wildcards.role),
        output:
            images=paths.data("{role}.csv"),
            skipped=paths.data("{role}-skipped.csv"),
        log:
            paths.log("data/{role}_images"),
        benchmark:
            paths.benchmark("data/{role}_images")
        wildcard_constraints:
            role="evaluation|val|test",
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 60),
        params:
            **inputs.labels,
            voc_root=subpath(input.images, parent=True),
            image_set=lambda wildcards: config["data"][wildcards.role],
            code=code_digest("wood.data.prepare"),
        script:
            "../workflow_scripts/voc_images.py"
