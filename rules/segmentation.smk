# The segmentation network (Sec. 3.3): training on pseudo-masks, predictions and scores on val.


# DeepLab-v2 on the pseudo-masks.
rule train_segmentation:
    input:
        unpack(inputs.network_files),
        masks=inputs.pseudo_masks,
        images=paths.data("train.csv"),
    output:
        weights=paths.experiment("network.safetensors"),
        log=paths.experiment("network.jsonl"),
    log:
        paths.log("segmentation/train_segmentation/{experiment}-{seed}"),
    benchmark:
        paths.benchmark("segmentation/train_segmentation/{experiment}-{seed}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["training"]
    resources:
        **asks(6000, 1440, gpu=TRAINING_GPUS),
    params:
        **inputs.training,
        settings=inputs.network,
        knobs=inputs.network_knobs,
        code=code_digest("wood.segmentation.train"),
    script:
        "../workflow_scripts/train_segmentation.py"


# One shard of predictions on val, without and with dense CRF.
rule segment:
    input:
        images=paths.data("val.csv"),
        network=paths.experiment("network.safetensors"),
    output:
        plain=temp(directory(paths.experiment("prediction_shards/plain/{shard}"))),
        crf=temp(directory(paths.experiment("prediction_shards/crf/{shard}"))),
    log:
        paths.log("segmentation/segment/{experiment}-{seed}-{shard}"),
    benchmark:
        paths.benchmark("segmentation/segment/{experiment}-{seed}-{shard}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        **asks(4000, 240, gpu=SHARD_GPUS),
    params:
        **inputs.inference,
        settings=inputs.segment,
        shard_count=config["shards"]["images"],
        class_names=config["classes"],
        code=code_digest("wood.segmentation.inference"),
    script:
        "../workflow_scripts/segment.py"


# One folder of predictions.
rule collect_predictions:
    input:
        targets.of_images(paths.experiment("prediction_shards/{kind}/{shard}")),
    output:
        directory(paths.experiment("predictions/{kind}")),
    log:
        paths.log("segmentation/collect_predictions/{experiment}-{seed}-{kind}"),
    benchmark:
        paths.benchmark("segmentation/collect_predictions/{experiment}-{seed}-{kind}")
    wildcard_constraints:
        kind="plain|crf",
    localrule: True
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(1000, 30),
    params:
        code=code_digest("wood.runtime.store"),
    script:
        "../workflow_scripts/collect_folders.py"


# mIoU and per-class IoU on val, without and with dense CRF.
rule score_segmentation:
    input:
        plain=paths.experiment("predictions/plain"),
        crf=paths.experiment("predictions/crf"),
        images=paths.data("val.csv"),
        masks=paths.masks,
    output:
        score=paths.score("segmentation"),
        images=paths.counts("segmentation"),
    log:
        paths.log("segmentation/score_segmentation/{experiment}-{seed}"),
    benchmark:
        paths.benchmark("segmentation/score_segmentation/{experiment}-{seed}")
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(2000, 120),
    params:
        **inputs.classes,
        split=config["data"]["val"],
        code=code_digest("wood.scoring.evaluation"),
    script:
        "../workflow_scripts/score_segmentation.py"


if config["data"]["test"] is not None:

    # One shard of predictions on the test set.
    use rule segment as segment_test with:
        input:
            images=paths.data("test.csv"),
            network=paths.experiment("network.safetensors"),
        output:
            plain=temp(directory(paths.experiment("test_shards/plain/{shard}"))),
            crf=temp(directory(paths.experiment("test_shards/crf/{shard}"))),
        log:
            paths.log("segmentation/segment_test/{experiment}-{seed}-{shard}"),
        benchmark:
            paths.benchmark("segmentation/segment_test/{experiment}-{seed}-{shard}")

    # What VOC's evaluation server takes: the predictions with dense CRF, checked and packed.
    rule submission_archive:
        input:
            masks=targets.of_images(paths.experiment("test_shards/crf/{shard}")),
            images=paths.data("test.csv"),
        output:
            paths.experiment("comp6_test_cls.tar.gz"),
        log:
            paths.log("segmentation/submission_archive/{experiment}-{seed}"),
        benchmark:
            paths.benchmark("segmentation/submission_archive/{experiment}-{seed}")
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 60),
        params:
            class_names=config["classes"],
            expected_images=config["data"]["test_images"],
            code=code_digest("wood.segmentation.submission"),
        script:
            "../workflow_scripts/submission_archive.py"


# The upper bound: the same network, FULLY SUPERVISED by the true masks of the images that seeds are
# scored on. It is the one training that reads them, and no default target asks for it.
if targets.has_evaluation and targets.has_val:

    # The true masks with the values of the configured classes.
    rule true_masks:
        input:
            masks=paths.masks,
            images=paths.data("evaluation.csv"),
        output:
            directory(paths.true_masks),
        log:
            paths.log("segmentation/true_masks"),
        benchmark:
            paths.benchmark("segmentation/true_masks")
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(1000, 30),
        params:
            **inputs.classes,
            code=code_digest("wood.data.masks"),
        script:
            "../workflow_scripts/true_masks.py"

    use rule train_segmentation as train_fully_supervised with:
        input:
            **inputs.supervised_files,
            masks=paths.true_masks,
            images=paths.data("evaluation.csv"),
        output:
            weights=paths.supervised("network.safetensors"),
            log=paths.supervised("network.jsonl"),
        log:
            paths.log("segmentation/train_fully_supervised/{seed}"),
        benchmark:
            paths.benchmark("segmentation/train_fully_supervised/{seed}")
        params:
            **inputs.training,
            settings=inputs.supervised_network,
            knobs=inputs.supervised_knobs,
            code=code_digest("wood.segmentation.train"),

    use rule segment as segment_fully_supervised with:
        input:
            images=paths.data("val.csv"),
            network=paths.supervised("network.safetensors"),
        output:
            plain=temp(directory(paths.supervised("prediction_shards/plain/{shard}"))),
            crf=temp(directory(paths.supervised("prediction_shards/crf/{shard}"))),
        log:
            paths.log("segmentation/segment_fully_supervised/{seed}-{shard}"),
        benchmark:
            paths.benchmark("segmentation/segment_fully_supervised/{seed}-{shard}")
        params:
            **inputs.inference,
            settings=config["experiment"]["segmentation"]["inference"],
            shard_count=config["shards"]["images"],
            class_names=config["classes"],
            code=code_digest("wood.segmentation.inference"),

    use rule collect_predictions as collect_fully_supervised with:
        input:
            targets.of_images(paths.supervised("prediction_shards/{kind}/{shard}")),
        output:
            directory(paths.supervised("predictions/{kind}")),
        log:
            paths.log("segmentation/collect_fully_supervised/{seed}-{kind}"),
        benchmark:
            paths.benchmark("segmentation/collect_fully_supervised/{seed}-{kind}")

    use rule score_segmentation as score_fully_supervised with:
        input:
            plain=paths.supervised("predictions/plain"),
            crf=paths.supervised("predictions/crf"),
            images=paths.data("val.csv"),
            masks=paths.masks,
        output:
            score=paths.supervised_score("json"),
            images=paths.supervised_score("csv"),
        log:
            paths.log("segmentation/score_fully_supervised/{seed}"),
        benchmark:
            paths.benchmark("segmentation/score_fully_supervised/{seed}")
