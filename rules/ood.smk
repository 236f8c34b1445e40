# Hard OoD images (Sec. 3.1): candidates, images, scores, ranking, review, and the final list.

CONTACT_SHEET = report(
    paths.ood("contact_sheet.jpg"),
    caption="captions/contact_sheet.rst",
    category="Hard OoD images",
)
CLUSTER_SHEET = report(
    paths.classifier("clusters.jpg"),
    caption="captions/cluster_sheet.rst",
    category="Hard OoD images",
    labels={"classifier": "{classifier}", "training seed": "{seed}"},
)


if config["ood"]["source"] == "list":

    # An existing set of OoD images, for example the authors', in the place of the collection.
    rule listed_ood:
        input:
            list=config["ood"]["list"],
            images=config["ood"]["images"],
        output:
            paths.ood("hard_ood.csv"),
        log:
            paths.log("ood/listed_ood"),
        benchmark:
            paths.benchmark("ood/listed_ood")
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(1000, 30),
        params:
            code=code_digest("wood.ood.hard_ood"),
        script:
            "../workflow_scripts/listed_ood.py"


if config["ood"]["source"] == "openimages":

    # Labels, hierarchy and image lists; a local folder is used in place.
    rule metadata:
        input:
            inputs.pool_folder(),
        output:
            paths.ood("metadata/metadata.json"),
        log:
            paths.log("ood/metadata"),
        benchmark:
            paths.benchmark("ood/metadata")
        priority: 1
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(1000, 720),
        params:
            folder=subpath(output[0], parent=True),
            base=lambda wildcards, input: input[0] if input else paths.pool,
            splits=config["ood"]["openimages"]["splits"],
            files=config["ood"]["openimages"]["files"],
            checksums=paths.ood("metadata-checksums.json"),
            knobs=inputs.metadata_knobs,
            code=code_digest("wood.ood.metadata"),
        script:
            "../workflow_scripts/metadata.py"

    # The images without a label of a foreground class, and why the others were left out. Before the
    # trainings: a class name that Open Images does not know shows at once.
    rule candidates:
        input:
            paths.ood("metadata/metadata.json"),
            class_map=inputs.class_map_file(),
        output:
            candidates=paths.ood("candidates.parquet"),
            excluded=paths.ood("excluded.parquet"),
        log:
            paths.log("ood/candidates"),
        benchmark:
            paths.benchmark("ood/candidates")
        priority: 1
        conda:
            "../envs/wood.yaml"
        threads: 2
        resources:
            **asks(2000, 120),
        params:
            **inputs.candidates,
            code=code_digest("wood.ood.candidates"),
        script:
            "../workflow_scripts/candidates.py"

    # One shard of the candidates' photographs; what cannot be had is listed with its reason.
    rule candidate_images:
        input:
            candidates=paths.ood("candidates.parquet"),
        output:
            paths.ood("images/{shard}.parquet"),
        log:
            paths.log("ood/candidate_images/{shard}"),
        benchmark:
            paths.benchmark("ood/candidate_images/{shard}")
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 1440, downloads=1),
        params:
            folder=subpath(output[0], parent=True),
            base=inputs.image_base,
            shard_count=config["shards"]["candidates"],
            settings=inputs.download,
            knobs=inputs.download_knobs,
            code=code_digest("wood.ood.download"),
        script:
            "../workflow_scripts/candidate_images.py"

    # Scores p(c) of one shard by F_in.
    rule candidate_scores:
        input:
            images=paths.ood("images/{shard}.parquet"),
            classifier=targets.scoring_weights,
        output:
            scores=paths.ood("scores/{shard}.parquet"),
            features=paths.ood("scores/{shard}.safetensors"),
        log:
            paths.log("ood/candidate_scores/{shard}"),
        benchmark:
            paths.benchmark("ood/candidate_scores/{shard}")
        conda:
            "../envs/wood.yaml"
        threads: config["threads"]["inference"]
        resources:
            **asks(4000, 720, gpu=SHARD_GPUS),
        params:
            **inputs.candidate_scores,
            code=code_digest("wood.ood.scoring"),
        script:
            "../workflow_scripts/candidate_scores.py"

    if config["ood"]["select"]["seeds"] > 1:

        # The same by F_in of another training seed.
        use rule candidate_scores as candidate_scores_of_seed with:
            input:
                images=paths.ood("images/{shard}.parquet"),
                classifier=paths.classifier(
                    "model.safetensors", config["ood"]["classifier"]
                ),
            output:
                scores=paths.ood("scores-of-seed-{seed}/{shard}.parquet"),
                features=temp(paths.ood("scores-of-seed-{seed}/{shard}.safetensors")),
            log:
                paths.log("ood/candidate_scores_of_seed/{seed}-{shard}"),
            benchmark:
                paths.benchmark("ood/candidate_scores_of_seed/{seed}-{shard}")

        # The average over the training seeds.
        rule mean_scores:
            input:
                targets.scores_by_seed(),
            output:
                paths.ood("mean_scores/{shard}.parquet"),
            log:
                paths.log("ood/mean_scores/{shard}"),
            benchmark:
                paths.benchmark("ood/mean_scores/{shard}")
            localrule: True
            conda:
                "../envs/wood.yaml"
            threads: 1
            resources:
                **asks(2000, 30),
            params:
                code=code_digest("wood.ood.averages"),
            script:
                "../workflow_scripts/mean_scores.py"

    # The candidates with max_c p(c) >= 0.5, hardest first.
    rule ranking:
        input:
            scores=targets.of_candidates(targets.candidate_scores),
            candidates=paths.ood("candidates.parquet"),
        output:
            table=paths.ood("ranking.parquet"),
            csv=paths.ood("ranking.csv"),
        log:
            paths.log("ood/ranking"),
        benchmark:
            paths.benchmark("ood/ranking")
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(4000, 60),
        params:
            threshold=config["ood"]["threshold"],
            cap_per_class=config["ood"]["cap_per_class"],
            of_each_class=config["ood"]["select"]["count"],
            code=code_digest("wood.ood.ranking"),
        script:
            "../workflow_scripts/ranking.py"

    # The reviewer's answers applied: the hard OoD list, and what the review cost.
    rule hard_ood_list:
        input:
            ranking=paths.ood("ranking.parquet"),
            images=targets.of_candidates(paths.ood("images/{shard}.parquet")),
            answers=targets.review_answers(),
        output:
            list=paths.ood("hard_ood.csv"),
            statistics=paths.ood("review_stats.json"),
        log:
            paths.log("ood/hard_ood_list"),
        benchmark:
            paths.benchmark("ood/hard_ood_list")
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 30),
        params:
            **inputs.pruning,
            classes=config["classes"],
            minimum=inputs.needed_hard_ood,
            code=code_digest("wood.ood.hard_ood"),
        script:
            "../workflow_scripts/hard_ood_list.py"

    # The hard candidates as they are ranked: what an OoD set is that nobody looked at.
    rule unreviewed_ood_list:
        input:
            ranking=paths.ood("ranking.parquet"),
        output:
            paths.ood("unreviewed_ood.csv"),
        log:
            paths.log("ood/unreviewed_ood_list"),
        benchmark:
            paths.benchmark("ood/unreviewed_ood_list")
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 30),
        params:
            minimum=inputs.needed_hard_ood,
            code=code_digest("wood.ood.hard_ood"),
        script:
            "../workflow_scripts/unreviewed_ood_list.py"

    # D_in, and the candidates that the review rejects: they show an object.
    rule labelled_rejects:
        input:
            **inputs.labelled,
            ranking=paths.ood("ranking.parquet"),
            answers=targets.review_answers(),
        output:
            images=paths.ood("labelled_rejects/train.csv"),
            labels=paths.ood("labelled_rejects/labels.parquet"),
        log:
            paths.log("ood/labelled_rejects"),
        benchmark:
            paths.benchmark("ood/labelled_rejects")
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 30),
        params:
            policy=config["ood"]["review"]["policy"],
            code=code_digest("wood.ood.rejects"),
        script:
            "../workflow_scripts/labelled_rejects.py"

    # As many random candidates without a foreground object: the control of the hard OoD set.
    rule random_ood_list:
        input:
            hard_ood=paths.ood("hard_ood.csv"),
            ranking=paths.ood("ranking.parquet"),
            images=targets.of_candidates(paths.ood("images/{shard}.parquet")),
            scores=targets.of_candidates(targets.candidate_scores),
            answers=targets.review_answers(),
        output:
            paths.ood("random_ood/seed-{seed}.csv"),
        log:
            paths.log("ood/random_ood_list/{seed}"),
        benchmark:
            paths.benchmark("ood/random_ood_list/{seed}")
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(2000, 30),
        params:
            policy=config["ood"]["review"]["policy"],
            threshold=config["ood"]["threshold"],
            code=code_digest("wood.ood.hard_ood"),
        script:
            "../workflow_scripts/random_ood_list.py"


if config["ood"]["source"] != "none":

    # The hardest accepted images of each class (Fig. 2).
    rule contact_sheet:
        input:
            paths.ood("hard_ood.csv"),
        output:
            CONTACT_SHEET,
        log:
            paths.log("ood/contact_sheet"),
        benchmark:
            paths.benchmark("ood/contact_sheet")
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(1000, 30),
        params:
            per_class=config["report"]["sheet_images_per_class"],
            code=code_digest("wood.ood.contact_sheet"),
        script:
            "../workflow_scripts/contact_sheet.py"


if config["ood"]["source"] == "openimages":

    # Opens FiftyOne on the ranked candidates; answers go to the decisions file at once.
    rule review:
        input:
            ranking=paths.ood("ranking.parquet"),
            classifier=targets.scoring_weights,
            features=targets.of_candidates(paths.ood("scores/{shard}.safetensors")),
        log:
            paths.log("ood/review"),
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            **asks(4000, 480),
        params:
            options=inputs.review_options,
        shell:
            "python -m wood review --ranking {input.ranking:q} --features {input.features:q}"
            " --classifier {input.classifier:q} {params.options:q} 2>&1 | tee -i {log:q}"


# Some images of each cluster (Fig. A2).
rule cluster_sheet:
    input:
        hard_ood=inputs.ood_list,
        centers=paths.classifier("centers.safetensors"),
    output:
        CLUSTER_SHEET,
    log:
        paths.log("ood/cluster_sheet/{classifier}-{seed}"),
    benchmark:
        paths.benchmark("ood/cluster_sheet/{classifier}-{seed}")
    localrule: True
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        **asks(1000, 30),
    params:
        per_cluster=config["report"]["sheet_images_per_class"],
        code=code_digest("wood.ood.contact_sheet"),
    script:
        "../workflow_scripts/cluster_sheet.py"
