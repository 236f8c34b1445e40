# The segmentation network (Sec. 3.3): training on pseudo-masks, predictions and scores on val.


# DeepLab-v2 on the pseudo-masks.
rule train_segmentation:
    input:
        masks=lambda wildcards: pseudo_mask_folder(wildcards.experiment, wildcards.seed),
        images=f"{RESULTS}/data/train.csv",
    output:
        weights=f"{EXPERIMENT}/network.safetensors",
        log=f"{EXPERIMENT}/network.jsonl",
    log:
        f"{LOGS}/segmentation/train_segmentation/{{experiment}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/segmentation/train_segmentation/{{experiment}}-{{seed}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["training"]
    resources:
        mem_mb=memory(6000),
        runtime=1440,
        gpu=TRAINING_GPUS,
    params:
        settings=lambda wildcards: training_of_network(segmentation_settings(wildcards)),
        class_names=CLASSES,
        threads=config["threads"]["training"],
        max_failed_fraction=config["data"]["max_failed_fraction"],
        code=code_digest("wood.segmentation.train"),
    script:
        "../workflow_scripts/train_segmentation.py"


# One shard of predictions on val, without and with dense CRF.
rule segment:
    input:
        images=f"{RESULTS}/data/val.csv",
        network=f"{EXPERIMENT}/network.safetensors",
    output:
        plain=temp(directory(f"{EXPERIMENT}/prediction_shards/plain/{{shard}}")),
        crf=temp(directory(f"{EXPERIMENT}/prediction_shards/crf/{{shard}}")),
    log:
        f"{LOGS}/segmentation/segment/{{experiment}}-{{seed}}-{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/segmentation/segment/{{experiment}}-{{seed}}-{{shard}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        mem_mb=memory(4000),
        runtime=240,
        gpu=SHARD_GPUS,
    params:
        settings=lambda wildcards: segmentation_settings(wildcards)["inference"],
        shard_count=config["shards"]["images"],
        class_names=CLASSES,
        max_failed_fraction=config["data"]["max_failed_fraction"],
        threads=config["threads"]["inference"],
        code=code_digest("wood.segmentation.inference"),
    script:
        "../workflow_scripts/segment.py"


# One folder of predictions.
rule collect_predictions:
    input:
        expand(
            f"{EXPERIMENT}/prediction_shards/{{kind}}/{{shard}}",
            shard=SHARDS["images"],
            allow_missing=True,
        ),
    output:
        directory(f"{EXPERIMENT}/predictions/{{kind}}"),
    log:
        f"{LOGS}/segmentation/collect_predictions/{{experiment}}-{{seed}}-{{kind}}.log",
    benchmark:
        f"{BENCHMARKS}/segmentation/collect_predictions/{{experiment}}-{{seed}}-{{kind}}.tsv"
    wildcard_constraints:
        kind="plain|crf",
    localrule: True
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=30,
    params:
        code=code_digest("wood.runtime.store"),
    script:
        "../workflow_scripts/collect_folders.py"


# mIoU and per-class IoU on val, without and with dense CRF.
rule score_segmentation:
    input:
        plain=f"{EXPERIMENT}/predictions/plain",
        crf=f"{EXPERIMENT}/predictions/crf",
        images=f"{RESULTS}/data/val.csv",
        masks=MASKS,
    output:
        score=f"{SCORES}/segmentation/{{experiment}}/seed-{{seed}}.json",
        images=f"{SCORES}/segmentation/{{experiment}}/seed-{{seed}}.csv",
    log:
        f"{LOGS}/segmentation/score_segmentation/{{experiment}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/segmentation/score_segmentation/{{experiment}}-{{seed}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=120,
    params:
        class_names=CLASSES,
        all_classes=ALL_CLASSES,
        split=config["data"]["val"],
        code=code_digest("wood.scoring.evaluation"),
    script:
        "../workflow_scripts/score_segmentation.py"


if config["data"]["test"] is not None:

    # One shard of predictions on the test set.
    use rule segment as segment_test with:
        input:
            images=f"{RESULTS}/data/test.csv",
            network=f"{EXPERIMENT}/network.safetensors",
        output:
            plain=temp(directory(f"{EXPERIMENT}/test_shards/plain/{{shard}}")),
            crf=temp(directory(f"{EXPERIMENT}/test_shards/crf/{{shard}}")),
        log:
            f"{LOGS}/segmentation/segment_test/{{experiment}}-{{seed}}-{{shard}}.log",
        benchmark:
            f"{BENCHMARKS}/segmentation/segment_test/{{experiment}}-{{seed}}-{{shard}}.tsv"

    # What VOC's evaluation server takes: the predictions with dense CRF, checked and packed.
    rule submission_archive:
        input:
            masks=expand(
                f"{EXPERIMENT}/test_shards/crf/{{shard}}",
                shard=SHARDS["images"],
                allow_missing=True,
            ),
            images=f"{RESULTS}/data/test.csv",
        output:
            f"{EXPERIMENT}/comp6_test_cls.tar.gz",
        log:
            f"{LOGS}/segmentation/submission_archive/{{experiment}}-{{seed}}.log",
        benchmark:
            f"{BENCHMARKS}/segmentation/submission_archive/{{experiment}}-{{seed}}.tsv"
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=60,
        params:
            class_names=CLASSES,
            expected_images=config["data"]["test_images"],
            code=code_digest("wood.segmentation.submission"),
        script:
            "../workflow_scripts/submission_archive.py"


# The upper bound: the same network, FULLY SUPERVISED by the true masks of the images that seeds are
# scored on. It is the one training that reads them, and no default target asks for it.
if HAS_MASKS and HAS_VAL:
    FULLY_SUPERVISED = f"{RESULTS}/fully_supervised/seed-{{seed}}"

    # The true masks with the values of the configured classes.
    rule true_masks:
        input:
            masks=MASKS,
            images=f"{RESULTS}/data/evaluation.csv",
        output:
            directory(f"{RESULTS}/fully_supervised/true_masks"),
        log:
            f"{LOGS}/segmentation/true_masks.log",
        benchmark:
            f"{BENCHMARKS}/segmentation/true_masks.tsv"
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=30,
        params:
            class_names=CLASSES,
            all_classes=ALL_CLASSES,
            code=code_digest("wood.data.masks"),
        script:
            "../workflow_scripts/true_masks.py"

    use rule train_segmentation as train_fully_supervised with:
        input:
            masks=f"{RESULTS}/fully_supervised/true_masks",
            images=f"{RESULTS}/data/evaluation.csv",
        output:
            weights=f"{FULLY_SUPERVISED}/network.safetensors",
            log=f"{FULLY_SUPERVISED}/network.jsonl",
        log:
            f"{LOGS}/segmentation/train_fully_supervised/{{seed}}.log",
        benchmark:
            f"{BENCHMARKS}/segmentation/train_fully_supervised/{{seed}}.tsv"
        params:
            settings=training_of_network(config["experiment"]["segmentation"]),
            class_names=CLASSES,
            threads=config["threads"]["training"],
            max_failed_fraction=config["data"]["max_failed_fraction"],
            code=code_digest("wood.segmentation.train"),

    use rule segment as segment_fully_supervised with:
        input:
            images=f"{RESULTS}/data/val.csv",
            network=f"{FULLY_SUPERVISED}/network.safetensors",
        output:
            plain=temp(
                directory(f"{FULLY_SUPERVISED}/prediction_shards/plain/{{shard}}")
            ),
            crf=temp(directory(f"{FULLY_SUPERVISED}/prediction_shards/crf/{{shard}}")),
        log:
            f"{LOGS}/segmentation/segment_fully_supervised/{{seed}}-{{shard}}.log",
        benchmark:
            f"{BENCHMARKS}/segmentation/segment_fully_supervised/{{seed}}-{{shard}}.tsv"
        params:
            settings=config["experiment"]["segmentation"]["inference"],
            shard_count=config["shards"]["images"],
            class_names=CLASSES,
            max_failed_fraction=config["data"]["max_failed_fraction"],
            threads=config["threads"]["inference"],
            code=code_digest("wood.segmentation.inference"),

    use rule collect_predictions as collect_fully_supervised with:
        input:
            expand(
                f"{FULLY_SUPERVISED}/prediction_shards/{{kind}}/{{shard}}",
                shard=SHARDS["images"],
                allow_missing=True,
            ),
        output:
            directory(f"{FULLY_SUPERVISED}/predictions/{{kind}}"),
        log:
            f"{LOGS}/segmentation/collect_fully_supervised/{{seed}}-{{kind}}.log",
        benchmark:
            f"{BENCHMARKS}/segmentation/collect_fully_supervised/{{seed}}-{{kind}}.tsv"

    use rule score_segmentation as score_fully_supervised with:
        input:
            plain=f"{FULLY_SUPERVISED}/predictions/plain",
            crf=f"{FULLY_SUPERVISED}/predictions/crf",
            images=f"{RESULTS}/data/val.csv",
            masks=MASKS,
        output:
            score=f"{SCORES}/fully_supervised/seed-{{seed}}.json",
            images=f"{SCORES}/fully_supervised/seed-{{seed}}.csv",
        log:
            f"{LOGS}/segmentation/score_fully_supervised/{{seed}}.log",
        benchmark:
            f"{BENCHMARKS}/segmentation/score_fully_supervised/{{seed}}.tsv"
