"""Train one classifier: F_in, W-OoD, or a control; or take published weights for it."""

from wood.runtime.jobs import checkpoint_path, network_job
from wood.runtime.knobs import with_knobs
from wood.runtime.launch import launch
from wood.seeds.classifier import train_classifier, use_published

chosen, output = snakemake.params.settings, snakemake.output
weights = snakemake.input.get("pretrained", chosen["weights"])
made = {"output": output.weights, "log": output.log, "epochs": output.epochs}
with network_job(snakemake):
    if chosen["published"] is not None:
        names = snakemake.params.class_names
        use_published(chosen["published"], chosen["architecture"], names, **made)
    else:
        launch(
            train_classifier,
            images=snakemake.input.images,
            labels=snakemake.input.labels,
            **made,
            settings={**with_knobs(chosen, snakemake.params.knobs), "weights": weights},
            class_names=snakemake.params.class_names,
            seed=int(snakemake.wildcards.seed),
            checkpoint=checkpoint_path(output.weights, snakemake.input, dict(snakemake.params)),
            init=snakemake.input.get("init"),
            ood_list=snakemake.input.get("ood_list"),
            centers=snakemake.input.get("centers"),
            whole_images=snakemake.params.whole_images,
            max_failed_fraction=snakemake.params.max_failed_fraction,
        )
