# Classifiers (F_in, W-OoD, controls), localization maps, and the scores of the seeds.


# Trains a classifier by Eq. 3 and 4.
rule train_classifier:
    input:
        unpack(initial_weights),
        unpack(ood_inputs),
        images=f"{RESULTS}/data/train.csv",
        labels=f"{RESULTS}/data/labels.parquet",
    output:
        weights=f"{CLASSIFIER}/model.safetensors",
        log=f"{CLASSIFIER}/training.jsonl",
        epochs=directory(f"{CLASSIFIER}/epochs"),
    log:
        f"{LOGS}/seeds/train_classifier/{{classifier}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/seeds/train_classifier/{{classifier}}-{{seed}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["training"]
    resources:
        mem_mb=memory(6000),
        runtime=720,
        gpu=TRAINING_GPUS,
    params:
        settings=classifier_settings,
        whole_images=whole_images_to_refresh,
        class_names=CLASSES,
        threads=config["threads"]["training"],
        code=code_digest("wood.seeds.classifier"),
    script:
        "../workflow_scripts/train_classifier.py"


# Features z of D_in or D_ood, hard, random or unreviewed, on whole images.
rule features:
    input:
        images=lambda wildcards: image_list(wildcards.domain, wildcards.seed),
        classifier=f"{CLASSIFIER}/model.safetensors",
    output:
        f"{CLASSIFIER}/features-{{domain}}.safetensors",
    log:
        f"{LOGS}/seeds/features/{{classifier}}-{{seed}}-{{domain}}.log",
    benchmark:
        f"{BENCHMARKS}/seeds/features/{{classifier}}-{{seed}}-{{domain}}.tsv"
    wildcard_constraints:
        domain="in|ood|random|unreviewed",
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        mem_mb=memory(4000),
        runtime=120,
        gpu=SHARD_GPUS,
    params:
        long_side=config["ood"]["long_side"],
        max_batch_pixels=config["max_batch_pixels"],
        max_failed_fraction=config["data"]["max_failed_fraction"],
        threads=config["threads"]["inference"],
        code=code_digest("wood.seeds.features"),
    script:
        "../workflow_scripts/features.py"


# Features of two classes and of their OoD images before and after each epoch (Fig. 7).
rule epoch_features:
    input:
        ood_list=ood_list,
        images=f"{RESULTS}/data/train.csv",
        labels=f"{RESULTS}/data/labels.parquet",
        start=lambda wildcards: parent_file(wildcards, "model.safetensors"),
        epochs=f"{CLASSIFIER}/epochs",
    output:
        f"{CLASSIFIER}/epoch-features.safetensors",
    log:
        f"{LOGS}/seeds/epoch_features/{{classifier}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/seeds/epoch_features/{{classifier}}-{{seed}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        mem_mb=memory(4000),
        runtime=120,
        gpu=SHARD_GPUS,
    params:
        figure=config["figure7"],
        settings=classifier_settings,
        long_side=config["ood"]["long_side"],
        max_batch_pixels=config["max_batch_pixels"],
        max_failed_fraction=config["data"]["max_failed_fraction"],
        threads=config["threads"]["inference"],
        code=code_digest("wood.seeds.epochs"),
    script:
        "../workflow_scripts/epoch_features.py"


# p^in and p^ood, from the features of the classifier that a W-OoD classifier starts from.
rule centers:
    input:
        images=f"{RESULTS}/data/train.csv",
        labels=f"{RESULTS}/data/labels.parquet",
        ood_list=ood_list,
        features_in=lambda wildcards: parent_file(wildcards, "features-in.safetensors"),
        features_ood=features_of_ood,
    output:
        f"{CLASSIFIER}/centers.safetensors",
    log:
        f"{LOGS}/seeds/centers/{{classifier}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/seeds/centers/{{classifier}}-{{seed}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(4000),
        runtime=60,
        gpu=SHARD_GPUS,
    params:
        ood=settings_of_centers,
        data=lambda wildcards: classifier_settings(wildcards)["data"],
        code=code_digest("wood.ood.centers"),
    script:
        "../workflow_scripts/centers.py"


# One shard of localization maps.
rule localize:
    input:
        images=f"{RESULTS}/data/train.csv",
        labels=f"{RESULTS}/data/labels.parquet",
        classifier=f"{CLASSIFIER}/model.safetensors",
    output:
        f"{CLASSIFIER}/maps/{{localization}}/{{shard}}.safetensors",
    log:
        f"{LOGS}/seeds/localize/{{classifier}}-{{seed}}-{{localization}}-{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/seeds/localize/{{classifier}}-{{seed}}-{{localization}}-{{shard}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        mem_mb=memory(4000),
        runtime=240,
        gpu=SHARD_GPUS,
    params:
        settings=lambda wildcards: config["localizations"][wildcards.localization],
        shard_count=config["shards"]["images"],
        class_names=CLASSES,
        max_batch_pixels=config["max_batch_pixels"],
        max_failed_fraction=config["data"]["max_failed_fraction"],
        threads=config["threads"]["inference"],
        code=code_digest("wood.seeds.localize"),
    script:
        "../workflow_scripts/localize.py"


# mIoU, precision, recall and F1 of the seeds, with the curve over thresholds.
rule score_seeds:
    input:
        maps=lambda wildcards: map_shards(wildcards.experiment, wildcards.seed),
        images=f"{RESULTS}/data/evaluation.csv",
        masks=MASKS,
    output:
        score=f"{SCORES}/seeds/{{experiment}}/seed-{{seed}}.json",
        images=f"{SCORES}/seeds/{{experiment}}/seed-{{seed}}.csv",
    log:
        f"{LOGS}/seeds/score_seeds/{{experiment}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/seeds/score_seeds/{{experiment}}-{{seed}}.tsv"
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000),
        runtime=120,
    params:
        class_names=CLASSES,
        all_classes=ALL_CLASSES,
        threshold=lambda wildcards: experiment_settings(wildcards)["threshold"],
        split=config["data"]["evaluation"],
        code=code_digest("wood.scoring.seeds"),
    script:
        "../workflow_scripts/score_seeds.py"
