# Pseudo ground-truth masks: IR labels, IRNet, random walk, and the scores of each step (Table 2).


# Confident foreground and background after dense CRF; the rest is 255.
rule ir_labels:
    input:
        maps=shard_of_maps,
        images=f"{RESULTS}/data/train.csv",
    output:
        directory(f"{PSEUDO}/ir_labels/{{shard}}"),
    log:
        f"{LOGS}/pseudo/ir_labels/{{experiment}}-{{seed}}-{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/pseudo/ir_labels/{{experiment}}-{{seed}}-{{shard}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["crf"]
    resources:
        mem_mb=memory(1500, per_thread=True),
        runtime=240,
    params:
        settings=lambda wildcards: {
            key: pseudo_settings(wildcards)[key]
            for key in ("foreground_threshold", "background_threshold", "gt_prob")
        },
        classifier=classifier_of_experiment,
        class_names=CLASSES,
        max_failed_fraction=config["data"]["max_failed_fraction"],
        code=code_digest("wood.affinity.ir_labels"),
    script:
        "../workflow_scripts/ir_labels.py"


# Class boundary map and displacement field.
rule train_irnet:
    input:
        ir_labels=expand(
            f"{PSEUDO}/ir_labels/{{shard}}", shard=SHARDS["images"], allow_missing=True
        ),
        images=f"{RESULTS}/data/train.csv",
    output:
        weights=f"{PSEUDO}/irnet.safetensors",
        log=f"{PSEUDO}/irnet.jsonl",
    log:
        f"{LOGS}/pseudo/train_irnet/{{experiment}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/pseudo/train_irnet/{{experiment}}-{{seed}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["training"]
    resources:
        mem_mb=memory(6000),
        runtime=720,
        gpu=TRAINING_GPUS,
    params:
        settings=lambda wildcards: pseudo_settings(wildcards)["irnet"],
        threads=config["threads"]["training"],
        max_failed_fraction=config["data"]["max_failed_fraction"],
        code=code_digest("wood.affinity.train"),
    script:
        "../workflow_scripts/train_irnet.py"


# The localization maps spread by the random walk, and thresholded.
rule walk:
    input:
        maps=shard_of_maps,
        images=f"{RESULTS}/data/train.csv",
        irnet=f"{PSEUDO}/irnet.safetensors",
    output:
        masks=temp(directory(f"{PSEUDO}/masks/{{shard}}")),
        boundaries=directory(f"{PSEUDO}/boundaries/{{shard}}"),
    log:
        f"{LOGS}/pseudo/walk/{{experiment}}-{{seed}}-{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/pseudo/walk/{{experiment}}-{{seed}}-{{shard}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        mem_mb=memory(4000),
        runtime=240,
        gpu=SHARD_GPUS,
    params:
        settings=walk_settings,
        classifier=classifier_of_experiment,
        class_names=CLASSES,
        max_failed_fraction=config["data"]["max_failed_fraction"],
        threads=config["threads"]["inference"],
        code=code_digest("wood.affinity.pseudo_masks"),
    script:
        "../workflow_scripts/walk.py"


# One folder of palette PNGs, named and sized like the images.
rule collect_pseudo_masks:
    input:
        expand(f"{PSEUDO}/masks/{{shard}}", shard=SHARDS["images"], allow_missing=True),
    output:
        directory(f"{EXPERIMENT}/pseudo_masks"),
    log:
        f"{LOGS}/pseudo/collect_pseudo_masks/{{experiment}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/pseudo/collect_pseudo_masks/{{experiment}}-{{seed}}.tsv"
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


# Instance masks of one shard, from the displacement field (`pseudo.instances`).
rule instances:
    input:
        maps=shard_of_maps,
        images=f"{RESULTS}/data/train.csv",
        irnet=f"{PSEUDO}/irnet.safetensors",
    output:
        temp(f"{PSEUDO}/instances/{{shard}}.json"),
    log:
        f"{LOGS}/pseudo/instances/{{experiment}}-{{seed}}-{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/pseudo/instances/{{experiment}}-{{seed}}-{{shard}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        mem_mb=memory(4000),
        runtime=480,
        gpu=SHARD_GPUS,
    params:
        settings=walk_settings,
        classifier=classifier_of_experiment,
        class_names=CLASSES,
        max_failed_fraction=config["data"]["max_failed_fraction"],
        threads=config["threads"]["inference"],
        code=code_digest("wood.affinity.instances"),
    script:
        "../workflow_scripts/instances.py"


# One COCO file of instance masks.
rule collect_instances:
    input:
        expand(
            f"{PSEUDO}/instances/{{shard}}.json",
            shard=SHARDS["images"],
            allow_missing=True,
        ),
    output:
        f"{EXPERIMENT}/instances.json",
    log:
        f"{LOGS}/pseudo/collect_instances/{{experiment}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/pseudo/collect_instances/{{experiment}}-{{seed}}.tsv"
    localrule: True
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=30,
    params:
        class_names=CLASSES,
        code=code_digest("wood.data.coco"),
    script:
        "../workflow_scripts/collect_instances.py"


# The seeds refined by dense CRF alone (the CRF column of Table 2).
rule seeds_with_crf:
    input:
        maps=shard_of_maps,
        images=f"{RESULTS}/data/train.csv",
        scored=f"{RESULTS}/data/evaluation.csv",
    output:
        directory(f"{EXPERIMENT}/seeds_with_crf/{{shard}}"),
    log:
        f"{LOGS}/pseudo/seeds_with_crf/{{experiment}}-{{seed}}-{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/pseudo/seeds_with_crf/{{experiment}}-{{seed}}-{{shard}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["crf"]
    resources:
        mem_mb=memory(1500, per_thread=True),
        runtime=240,
    params:
        threshold=lambda wildcards: experiment_settings(wildcards)["threshold"],
        gt_prob=lambda wildcards: pseudo_settings(wildcards)["gt_prob"],
        classifier=classifier_of_experiment,
        class_names=CLASSES,
        max_failed_fraction=config["data"]["max_failed_fraction"],
        code=code_digest("wood.affinity.ir_labels"),
    script:
        "../workflow_scripts/seeds_with_crf.py"


# Scores of the pseudo-masks, and of the seeds with dense CRF.
rule score_pseudo_masks:
    input:
        mask=lambda wildcards: pseudo_mask_folder(wildcards.experiment, wildcards.seed),
        seed_crf=expand(
            f"{EXPERIMENT}/seeds_with_crf/{{shard}}",
            shard=SHARDS["images"],
            allow_missing=True,
        ),
        images=f"{RESULTS}/data/evaluation.csv",
        masks=MASKS,
    output:
        score=f"{SCORES}/pseudo_masks/{{experiment}}/seed-{{seed}}.json",
        images=f"{SCORES}/pseudo_masks/{{experiment}}/seed-{{seed}}.csv",
    log:
        f"{LOGS}/pseudo/score_pseudo_masks/{{experiment}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/pseudo/score_pseudo_masks/{{experiment}}-{{seed}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=120,
    params:
        class_names=CLASSES,
        all_classes=ALL_CLASSES,
        split=config["data"]["evaluation"],
        code=code_digest("wood.scoring.evaluation"),
    script:
        "../workflow_scripts/score_pseudo_masks.py"


# Opens FiftyOne on every experiment: image, seed, IR label, boundary, pseudo-mask and true mask.
rule browse:
    input:
        lambda wildcards: specified_files(browsed_experiments()),
        truth=MASKS if HAS_MASKS else [],
        images=f"{RESULTS}/data/train.csv",
    log:
        f"{LOGS}/pseudo/browse.log",
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=480,
    params:
        experiments=browsed_experiments(),
        truth=lambda wildcards, input: input.truth or None,
        class_names=CLASSES,
        all_classes=ALL_CLASSES,
        dataset=config["dataset"],
        database=f"{RESULTS}/fiftyone",
    script:
        "../workflow_scripts/browse.py"
