"""Train IRNet on IR labels."""

from wood.affinity.train import train_irnet
from wood.jobs import checkpoint_path, job

with job(snakemake.log[0], snakemake.params.threads):
    chosen = snakemake.params.settings
    train_irnet(
        snakemake.input.ir_labels,
        snakemake.input.images,
        snakemake.output.weights,
        snakemake.output.log,
        backbone=chosen["backbone"],
        weights=chosen["weights"],
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
