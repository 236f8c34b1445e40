# Pseudo ground-truth masks: IR labels, IRNet, random walk, and the scores of each step (Table 2).


# Confident foreground and background after dense CRF; the rest is 255.
rule ir_labels:
    input:
        maps=inputs.maps_of_shard,
        images=paths.data("train.csv"),
        threshold=inputs.threshold_of_ir_labels,
    output:
        directory(paths.experiment("pseudo/ir_labels/{shard}")),
    log:
        paths.log("pseudo/ir_labels/{experiment}-{seed}-{shard}"),
    benchmark:
        paths.benchmark("pseudo/ir_labels/{experiment}-{seed}-{shard}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["crf"]
    resources:
        **asks(1500, 240, per_thread=True),
    params:
        **inputs.named,
        settings=inputs.ir_labels,
        classifier=inputs.weights,
        code=code_digest("wood.affinity.ir_labels"),
    script:
        "../workflow_scripts/ir_labels.py"


# Class boundary map and displacement field.
rule train_irnet:
    input:
        unpack(inputs.irnet_files),
        ir_labels=targets.of_images(paths.experiment("pseudo/ir_labels/{shard}")),
        images=paths.data("train.csv"),
    output:
        weights=paths.experiment("pseudo/irnet.safetensors"),
        log=paths.experiment("pseudo/irnet.jsonl"),
    log:
        paths.log("pseudo/train_irnet/{experiment}-{seed}"),
    benchmark:
        paths.benchmark("pseudo/train_irnet/{experiment}-{seed}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["training"]
    resources:
        **asks(6000, 720, gpu=TRAINING_GPUS),
    params:
        **inputs.training,
        settings=inputs.irnet,
        knobs=inputs.irnet_knobs,
        code=code_digest("wood.affinity.train"),
    script:
        "../workflow_scripts/train_irnet.py"


# The localization maps spread by the random walk, and thresholded.
rule walk:
    input:
        maps=inputs.maps_of_shard,
        images=paths.data("train.csv"),
        irnet=paths.experiment("pseudo/irnet.safetensors"),
    output:
        masks=temp(directory(paths.experiment("pseudo/masks/{shard}"))),
        boundaries=directory(paths.experiment("pseudo/boundaries/{shard}")),
    log:
        paths.log("pseudo/walk/{experiment}-{seed}-{shard}"),
    benchmark:
        paths.benchmark("pseudo/walk/{experiment}-{seed}-{shard}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        **asks(4000, 240, gpu=SHARD_GPUS),
    params:
        **inputs.batches,
        settings=inputs.walk,
        classifier=inputs.weights,
        class_names=config["classes"],
        code=code_digest("wood.affinity.pseudo_masks"),
    script:
        "../workflow_scripts/walk.py"


# One folder of palette PNGs, named and sized like the images.
rule collect_pseudo_masks:
    input:
        targets.of_images(paths.experiment("pseudo/masks/{shard}")),
    output:
        directory(paths.experiment("pseudo_masks")),
    log:
        paths.log("pseudo/collect_pseudo_masks/{experiment}-{seed}"),
    benchmark:
        paths.benchmark("pseudo/collect_pseudo_masks/{experiment}-{seed}")
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


# Instance masks of one shard, from the displacement field (`pseudo.instances`).
rule instances:
    input:
        maps=inputs.maps_of_shard,
        images=paths.data("train.csv"),
        irnet=paths.experiment("pseudo/irnet.safetensors"),
    output:
        temp(paths.experiment("pseudo/instances/{shard}.json")),
    log:
        paths.log("pseudo/instances/{experiment}-{seed}-{shard}"),
    benchmark:
        paths.benchmark("pseudo/instances/{experiment}-{seed}-{shard}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["inference"]
    resources:
        **asks(4000, 480, gpu=SHARD_GPUS),
    params:
        **inputs.inference,
        settings=inputs.walk,
        classifier=inputs.weights,
        class_names=config["classes"],
        code=code_digest("wood.affinity.instances"),
    script:
        "../workflow_scripts/instances.py"


# One COCO file of instance masks.
rule collect_instances:
    input:
        targets.of_images(paths.experiment("pseudo/instances/{shard}.json")),
    output:
        paths.experiment("instances.json"),
    log:
        paths.log("pseudo/collect_instances/{experiment}-{seed}"),
    benchmark:
        paths.benchmark("pseudo/collect_instances/{experiment}-{seed}")
    localrule: True
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(2000, 30),
    params:
        class_names=config["classes"],
        code=code_digest("wood.data.coco"),
    script:
        "../workflow_scripts/collect_instances.py"


# The seeds refined by dense CRF alone (the CRF column of Table 2).
rule seeds_with_crf:
    input:
        maps=inputs.maps_of_shard,
        images=paths.data("train.csv"),
        scored=paths.data("evaluation.csv"),
        threshold=inputs.chosen_threshold,
    output:
        directory(paths.experiment("seeds_with_crf/{shard}")),
    log:
        paths.log("pseudo/seeds_with_crf/{experiment}-{seed}-{shard}"),
    benchmark:
        paths.benchmark("pseudo/seeds_with_crf/{experiment}-{seed}-{shard}")
    conda:
        "../envs/wood.yaml"
    threads: config["threads"]["crf"]
    resources:
        **asks(1500, 240, per_thread=True),
    params:
        **inputs.named,
        threshold=inputs.threshold,
        gt_prob=inputs.gt_prob,
        classifier=inputs.weights,
        code=code_digest("wood.affinity.ir_labels"),
    script:
        "../workflow_scripts/seeds_with_crf.py"


# Scores of the pseudo-masks, and of the seeds with dense CRF.
rule score_pseudo_masks:
    input:
        mask=inputs.pseudo_masks,
        seed_crf=targets.of_images(paths.experiment("seeds_with_crf/{shard}")),
        images=paths.data("evaluation.csv"),
        masks=paths.masks,
    output:
        score=paths.score("pseudo_masks"),
        images=paths.counts("pseudo_masks"),
    log:
        paths.log("pseudo/score_pseudo_masks/{experiment}-{seed}"),
    benchmark:
        paths.benchmark("pseudo/score_pseudo_masks/{experiment}-{seed}")
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(2000, 120),
    params:
        **inputs.scoring,
        code=code_digest("wood.scoring.evaluation"),
    script:
        "../workflow_scripts/score_pseudo_masks.py"


# Opens FiftyOne on every experiment: image, seed, IR label, boundary, pseudo-mask and true mask.
rule browse:
    input:
        page.files(inputs.browsed()),
        truth=paths.masks if targets.has_masks else [],
        images=paths.data("train.csv"),
    log:
        paths.log("pseudo/browse"),
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(4000, 480),
    params:
        **inputs.classes,
        experiments=inputs.browsed(),
        truth=lambda wildcards, input: input.truth or None,
        dataset=config["dataset"],
        database=f"{paths.results}/fiftyone",
    script:
        "../workflow_scripts/browse.py"
