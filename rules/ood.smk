# Hard OoD images (Sec. 3.1): candidates, images, scores, ranking, review, and the final list.


if config["ood"]["source"] == "list":

    # An existing set of OoD images, for example the authors', in the place of the collection.
    rule listed_ood:
        input:
            list=config["ood"]["list"],
            images=config["ood"]["images"],
        output:
            f"{OOD}/hard_ood.csv",
        log:
            f"{LOGS}/ood/listed_ood.log",
        benchmark:
            f"{BENCHMARKS}/ood/listed_ood.tsv"
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=30,
        params:
            code=code_digest("wood.ood.hard_ood"),
        script:
            "../workflow_scripts/listed_ood.py"


if config["ood"]["source"] == "openimages":

    # Labels, hierarchy and image lists; a local folder is used in place.
    rule metadata:
        input:
            pool_folder(),
        output:
            f"{OOD}/metadata/metadata.json",
        log:
            f"{LOGS}/ood/metadata.log",
        benchmark:
            f"{BENCHMARKS}/ood/metadata.tsv"
        priority: 1
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=720,
        params:
            folder=subpath(output[0], parent=True),
            base=lambda wildcards, input: input[0] if input else POOL,
            splits=OPENIMAGES["splits"],
            files=OPENIMAGES["files"],
            checksums=f"{OOD}/metadata-checksums.json",
            user_agent=OPENIMAGES["user_agent"],
            code=code_digest("wood.ood.metadata"),
        script:
            "../workflow_scripts/metadata.py"

    # The images without a label of a foreground class, and why the others were left out.
    rule candidates:
        input:
            f"{OOD}/metadata/metadata.json",
        output:
            candidates=f"{OOD}/candidates.parquet",
            excluded=f"{OOD}/excluded.parquet",
        log:
            f"{LOGS}/ood/candidates.log",
        benchmark:
            f"{BENCHMARKS}/ood/candidates.tsv"
        # Before the trainings: a class name that Open Images does not know shows at once.
        priority: 1
        conda:
            "../envs/wood.yaml"
        threads: 2
        resources:
            mem_mb=memory(2000),
            runtime=120,
        params:
            classes=CLASSES,
            class_map=OPENIMAGES["class_map"],
            machine_threshold=OPENIMAGES["machine_threshold"],
            splits=OPENIMAGES["splits"],
            max_candidates=OPENIMAGES["max_candidates"],
            seed=SEEDS[0],
            code=code_digest("wood.ood.candidates"),
        script:
            "../workflow_scripts/candidates.py"

    # One shard of the candidates' photographs; what cannot be had is listed with its reason.
    rule candidate_images:
        input:
            candidates=f"{OOD}/candidates.parquet",
        output:
            f"{OOD}/images/{{shard}}.parquet",
        log:
            f"{LOGS}/ood/candidate_images/{{shard}}.log",
        benchmark:
            f"{BENCHMARKS}/ood/candidate_images/{{shard}}.tsv"
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=1440,
            # The profile has one of these, so that the rate limit holds for all shards together.
            downloads=1,
        params:
            folder=subpath(output[0], parent=True),
            base=OPENIMAGES["image_base"] or f"{POOL}/images",
            shard_count=config["shards"]["candidates"],
            settings={key: OPENIMAGES[key] for key in DOWNLOAD_SETTINGS},
            code=code_digest("wood.ood.download"),
        script:
            "../workflow_scripts/candidate_images.py"

    # Scores p(c) of one shard by F_in.
    rule candidate_scores:
        input:
            images=f"{OOD}/images/{{shard}}.parquet",
            classifier=classifier_weights(config["ood"]["classifier"], SEEDS[0]),
        output:
            f"{OOD}/scores/{{shard}}.parquet",
        log:
            f"{LOGS}/ood/candidate_scores/{{shard}}.log",
        benchmark:
            f"{BENCHMARKS}/ood/candidate_scores/{{shard}}.tsv"
        conda:
            "../envs/wood.yaml"
        threads: config["threads"]["inference"]
        resources:
            mem_mb=memory(4000),
            runtime=720,
            gpu=SHARD_GPUS,
        params:
            long_side=config["ood"]["long_side"],
            max_failed_fraction=OPENIMAGES["max_failed_fraction"],
            threads=config["threads"]["inference"],
            code=code_digest("wood.ood.scoring"),
        script:
            "../workflow_scripts/candidate_scores.py"

    # The candidates with max_c p(c) >= 0.5, hardest first.
    rule ranking:
        input:
            scores=expand(f"{OOD}/scores/{{shard}}.parquet", shard=SHARDS["candidates"]),
            candidates=f"{OOD}/candidates.parquet",
        output:
            table=f"{OOD}/ranking.parquet",
            csv=f"{OOD}/ranking.csv",
        log:
            f"{LOGS}/ood/ranking.log",
        benchmark:
            f"{BENCHMARKS}/ood/ranking.tsv"
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(4000),
            runtime=60,
        params:
            threshold=config["ood"]["threshold"],
            cap_per_class=config["ood"]["cap_per_class"],
            code=code_digest("wood.ood.ranking"),
        script:
            "../workflow_scripts/ranking.py"

    # The reviewer's answers applied: the hard OoD list, and what the review cost.
    rule hard_ood_list:
        input:
            ranking=f"{OOD}/ranking.parquet",
            images=expand(f"{OOD}/images/{{shard}}.parquet", shard=SHARDS["candidates"]),
            answers=review_answers(),
        output:
            list=f"{OOD}/hard_ood.csv",
            statistics=f"{OOD}/review_stats.json",
        log:
            f"{LOGS}/ood/hard_ood_list.log",
        benchmark:
            f"{BENCHMARKS}/ood/hard_ood_list.tsv"
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=30,
        params:
            policy=REVIEW["policy"],
            classes=CLASSES,
            minimum=settings.needed_hard_ood(config),
            code=code_digest("wood.ood.hard_ood"),
        script:
            "../workflow_scripts/hard_ood_list.py"

    # The hard candidates as they are ranked: what an OoD set is that nobody looked at.
    rule unreviewed_ood_list:
        input:
            ranking=f"{OOD}/ranking.parquet",
        output:
            f"{OOD}/unreviewed_ood.csv",
        log:
            f"{LOGS}/ood/unreviewed_ood_list.log",
        benchmark:
            f"{BENCHMARKS}/ood/unreviewed_ood_list.tsv"
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=30,
        params:
            minimum=settings.needed_hard_ood(config),
            code=code_digest("wood.ood.hard_ood"),
        script:
            "../workflow_scripts/unreviewed_ood_list.py"

    # As many random candidates without a foreground object: the control of the hard OoD set.
    rule random_ood_list:
        input:
            hard_ood=f"{OOD}/hard_ood.csv",
            images=expand(f"{OOD}/images/{{shard}}.parquet", shard=SHARDS["candidates"]),
            scores=expand(f"{OOD}/scores/{{shard}}.parquet", shard=SHARDS["candidates"]),
            answers=review_answers(),
        output:
            f"{OOD}/random_ood/seed-{{seed}}.csv",
        log:
            f"{LOGS}/ood/random_ood_list/{{seed}}.log",
        benchmark:
            f"{BENCHMARKS}/ood/random_ood_list/{{seed}}.tsv"
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(2000),
            runtime=30,
        params:
            policy=REVIEW["policy"],
            threshold=config["ood"]["threshold"],
            code=code_digest("wood.ood.hard_ood"),
        script:
            "../workflow_scripts/random_ood_list.py"


if config["ood"]["source"] != "none":

    # The hardest accepted images of each class (Fig. 2).
    rule contact_sheet:
        input:
            f"{OOD}/hard_ood.csv",
        output:
            report(
                f"{OOD}/contact_sheet.jpg",
                caption="captions/contact_sheet.rst",
                category="Hard OoD images",
            ),
        log:
            f"{LOGS}/ood/contact_sheet.log",
        benchmark:
            f"{BENCHMARKS}/ood/contact_sheet.tsv"
        localrule: True
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(1000),
            runtime=30,
        params:
            per_class=config["report"]["sheet_images_per_class"],
            code=code_digest("wood.ood.contact_sheet"),
        script:
            "../workflow_scripts/contact_sheet.py"


if config["ood"]["source"] == "openimages":

    # Opens FiftyOne on the ranked candidates; answers go to the decisions file at once.
    rule review:
        input:
            ranking=f"{OOD}/ranking.parquet",
            classifier=classifier_weights(config["ood"]["classifier"], SEEDS[0]),
        log:
            f"{LOGS}/ood/review.log",
        conda:
            "../envs/wood.yaml"
        threads: 1
        resources:
            mem_mb=memory(4000),
            runtime=480,
        params:
            decisions=decisions_files()[0],
            wanted=f"--wanted {REVIEW['wanted']}" if REVIEW["wanted"] else "",
        shell:
            "python -m wood.review.session --ranking {input.ranking:q} --decisions {params.decisions:q}"
            " --classifier {input.classifier:q} {params.wanted} 2>&1 | tee {log:q}"


# Some images of each cluster (Fig. A2).
rule cluster_sheet:
    input:
        hard_ood=ood_list,
        centers=f"{CLASSIFIER}/centers.safetensors",
    output:
        report(
            f"{CLASSIFIER}/clusters.jpg",
            caption="captions/cluster_sheet.rst",
            category="Hard OoD images",
            labels={"classifier": "{classifier}", "training seed": "{seed}"},
        ),
    log:
        f"{LOGS}/ood/cluster_sheet/{{classifier}}-{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/ood/cluster_sheet/{{classifier}}-{{seed}}.tsv"
    localrule: True
    conda:
        "../envs/wood.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000),
        runtime=30,
    params:
        per_cluster=config["report"]["sheet_images_per_class"],
        code=code_digest("wood.ood.contact_sheet"),
    script:
        "../workflow_scripts/cluster_sheet.py"
