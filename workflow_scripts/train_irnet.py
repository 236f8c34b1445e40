"""Train IRNet on IR labels."""

from wood.affinity.train import train_irnet
from wood.runtime.jobs import checkpoint_path, network_job
from wood.runtime.knobs import with_knobs
from wood.runtime.launch import launch

with network_job(snakemake):
    chosen = with_knobs(snakemake.params.settings, snakemake.params.knobs)
    launch(
        train_irnet,
        ir_labels=snakemake.input.ir_labels,
        images=snakemake.input.images,
        output=snakemake.output.weights,
        log=snakemake.output.log,
        backbone=chosen["backbone"],
        weights=snakemake.input.get("pretrained", chosen["weights"]),
        radius=chosen["radius"],
        crop=chosen["crop"],
        scale_range=chosen["scale"],
        settings=chosen["training"],
        max_failed_fraction=snakemake.params.max_failed_fraction,
        seed=int(snakemake.wildcards.seed),
        checkpoint=checkpoint_path(
            snakemake.output.weights, snakemake.input, dict(snakemake.params)
        ),
    )
