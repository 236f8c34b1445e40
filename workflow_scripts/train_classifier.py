"""Train one classifier: F_in, W-OoD, or a control."""

from wood.runtime.jobs import checkpoint_path, job
from wood.runtime.launch import launch
from wood.seeds.classifier import train_classifier

with job(snakemake.log[0], snakemake.params.threads, snakemake.resources.get("gpu")):
    launch(
        train_classifier,
        images=snakemake.input.images,
        labels=snakemake.input.labels,
        output=snakemake.output.weights,
        log=snakemake.output.log,
        epochs=snakemake.output.epochs,
        settings=snakemake.params.settings,
        class_names=snakemake.params.class_names,
        seed=int(snakemake.wildcards.seed),
        checkpoint=checkpoint_path(
            snakemake.output.weights, snakemake.input, dict(snakemake.params)
        ),
        init=snakemake.input.get("init"),
        ood_list=snakemake.input.get("ood_list"),
        centers=snakemake.input.get("centers"),
        whole_images=snakemake.params.whole_images,
    )
