"""The configuration: overlays merged, checked before anything runs, names resolved."""

from wood.scoring.thresholds import has_margins
from wood.workflow.checks import check
from wood.workflow.files import check_files, named_inputs
from wood.workflow.grids import expanded
from wood.workflow.overlays import check_overlays
from wood.workflow.resolve import (
    STAGES,
    Tree,
    basis,
    classifier,
    data_set_classes,
    experiment,
    experiments,
    fixed_threshold,
    has_evaluation,
    has_masks,
    has_val,
    merge,
    needed_hard_ood,
    network_sees_ood,
    ood_images,
    owners,
    sort_keys,
    threshold_baseline,
    typed,
    uses_distance,
)

__all__ = [
    "STAGES",
    "Tree",
    "basis",
    "check",
    "check_files",
    "check_overlays",
    "classifier",
    "data_set_classes",
    "expanded",
    "experiment",
    "experiments",
    "fixed_threshold",
    "has_evaluation",
    "has_margins",
    "has_masks",
    "has_val",
    "merge",
    "named_inputs",
    "needed_hard_ood",
    "network_sees_ood",
    "ood_images",
    "owners",
    "sort_keys",
    "threshold_baseline",
    "typed",
    "uses_distance",
]
