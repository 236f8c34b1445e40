# Classifiers (F_in, W-OoD, controls), localization maps, and the scores of the seeds.


# Trains a classifier by Eq. 3 and 4.
rule train_classifier:
    input:
        unpack(inputs.training_files),
    output:
        weights=paths.classifier("model.safetensors"),
        log=paths.classifier("training.jsonl"),
        epochs=directory(paths.classifier("epochs")),
    log:
        paths.log("seeds/train_classifier/{classifier}-{seed}"),
    benchmark:
        paths.benchmark("seeds/train_classifier/{classifier}-{seed}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["training"]
    resources:
        **asks(6000, 720, gpu=TRAINING_GPUS),
    params:
        **inputs.training,
        settings=inputs.classifier,
        knobs=inputs.classifier_knobs,
        whole_images=inputs.whole_images,
        code=code_digest("wood.seeds.classifier"),
    script:
        "../workflow_scripts/train_classifier.py"


# Features z of D_in or D_ood, hard, random or unreviewed, on whole images.
rule features:
    input:
        images=inputs.feature_images,
        classifier=paths.classifier("model.safetensors"),
    output:
        paths.classifier("features-{domain}.safetensors"),
    log:
        paths.log("seeds/features/{classifier}-{seed}-{domain}"),
    benchmark:
        paths.benchmark("seeds/features/{classifier}-{seed}-{domain}")
    wildcard_constraints:
        domain="in|ood|random|unreviewed",
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        **asks(4000, 120, gpu=SHARD_GPUS),
    params:
        **inputs.batches,
        long_side=config["ood"]["long_side"],
        code=code_digest("wood.seeds.features"),
    script:
        "../workflow_scripts/features.py"


# Features of two classes and of their OoD images before and after each epoch (Fig. 7).
rule epoch_features:
    input:
        **inputs.labelled,
        ood_list=inputs.ood_list,
        start=inputs.parent_weights,
        epochs=paths.classifier("epochs"),
    output:
        paths.classifier("epoch-features.safetensors"),
    log:
        paths.log("seeds/epoch_features/{classifier}-{seed}"),
    benchmark:
        paths.benchmark("seeds/epoch_features/{classifier}-{seed}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        **asks(4000, 120, gpu=SHARD_GPUS),
    params:
        **inputs.batches,
        figure=config["figure7"],
        settings=inputs.classifier,
        long_side=config["ood"]["long_side"],
        code=code_digest("wood.seeds.epochs"),
    script:
        "../workflow_scripts/epoch_features.py"


# p^in and p^ood, from the features of the classifier that a W-OoD classifier starts from.
rule centers:
    input:
        **inputs.labelled,
        ood_list=inputs.ood_list,
        features_in=inputs.features_in,
        features_ood=inputs.features_ood,
    output:
        paths.classifier("centers.safetensors"),
    log:
        paths.log("seeds/centers/{classifier}-{seed}"),
    benchmark:
        paths.benchmark("seeds/centers/{classifier}-{seed}")
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(4000, 60, gpu=SHARD_GPUS),
    params:
        **inputs.kernels,
        wood=inputs.centers,
        data=inputs.parts,
        code=code_digest("wood.ood.centers"),
    script:
        "../workflow_scripts/centers.py"


# One shard of localization maps.
rule localize:
    input:
        **inputs.labelled,
        classifier=paths.classifier("model.safetensors"),
    output:
        paths.classifier("maps/{localization}/{shard}.safetensors"),
    log:
        paths.log("seeds/localize/{classifier}-{seed}-{localization}-{shard}"),
    benchmark:
        paths.benchmark("seeds/localize/{classifier}-{seed}-{localization}-{shard}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        **asks(4000, 240, gpu=SHARD_GPUS),
    params:
        **inputs.batches,
        settings=inputs.localization,
        shard_count=config["shards"]["images"],
        class_names=config["classes"],
        code=code_digest("wood.seeds.localize"),
    script:
        "../workflow_scripts/localize.py"


# mIoU, precision, recall and F1 of the seeds, with the curve over thresholds.
rule score_seeds:
    input:
        maps=inputs.maps,
        images=paths.data("evaluation.csv"),
        masks=paths.masks,
        threshold=inputs.chosen_threshold,
    output:
        score=paths.score("seeds"),
        images=paths.counts("seeds"),
    log:
        paths.log("seeds/score_seeds/{experiment}-{seed}"),
    benchmark:
        paths.benchmark("seeds/score_seeds/{experiment}-{seed}")
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(2000, 120),
    params:
        **inputs.scoring,
        threshold=inputs.threshold,
        published_sweep=inputs.published_sweep,
        code=code_digest("wood.scoring.seeds"),
    script:
        "../workflow_scripts/score_seeds.py"


# The threshold with the best seeds of a family's baseline on half A. It reads masks, so it is there
# only where `experiment.threshold` asks for it.
rule choose_threshold:
    input:
        maps=inputs.maps,
        images=paths.data("evaluation.csv"),
        masks=paths.masks,
    output:
        paths.threshold("half-a"),
    log:
        paths.log("seeds/choose_threshold/{experiment}-{seed}"),
    benchmark:
        paths.benchmark("seeds/choose_threshold/{experiment}-{seed}")
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(2000, 120),
    params:
        **inputs.classes,
        code=code_digest("wood.scoring.seeds"),
    script:
        "../workflow_scripts/choose_threshold.py"


# The threshold that keeps OoD images beside photographs quiet, from a family's baseline. It reads no mask.
rule threshold_beside_ood:
    input:
        **inputs.labelled,
        classifier=inputs.weights,
        ood_list=paths.ood("hard_ood.csv"),
    output:
        paths.threshold("beside-ood"),
    log:
        paths.log("seeds/threshold_beside_ood/{experiment}-{seed}"),
    benchmark:
        paths.benchmark("seeds/threshold_beside_ood/{experiment}-{seed}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        **asks(4000, 240, gpu=SHARD_GPUS),
    params:
        **inputs.batches,
        settings=inputs.localization_of_experiment,
        share=inputs.ood_share,
        class_names=config["classes"],
        code=code_digest("wood.seeds.beside_ood"),
    script:
        "../workflow_scripts/threshold_beside_ood.py"
