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
        settings=lambda wildcards: {
            key: value
            for key, value in segmentation_settings(wildcards).items()
            if key != "inference"
        },
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
        code=code_digest("wood.store"),
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
        f"{SCORES}/segmentation/{{experiment}}/seed-{{seed}}.json",
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
        code=code_digest("wood.evaluation"),
    script:
        "../workflow_scripts/score_segmentation.py"
