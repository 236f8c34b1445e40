"""Train DeepLab-v2 on pseudo-masks."""

from wood.runtime.jobs import checkpoint_path, network_job
from wood.runtime.knobs import with_knobs
from wood.runtime.launch import launch
from wood.segmentation.train import train_segmentation

with network_job(snakemake):
    chosen = with_knobs(snakemake.params.settings, snakemake.params.knobs)
    launch(
        train_segmentation,
        images=snakemake.input.images,
        mask_dirs=[snakemake.input.masks],
        output=snakemake.output.weights,
        log=snakemake.output.log,
        class_names=snakemake.params.class_names,
        settings=chosen | {"weights": snakemake.input.get("pretrained", chosen["weights"])},
        ood_list=snakemake.input.get("ood_list"),
        max_failed_fraction=snakemake.params.max_failed_fraction,
        seed=int(snakemake.wildcards.seed),
        checkpoint=checkpoint_path(
            snakemake.output.weights, snakemake.input, dict(snakemake.params)
        ),
    )
