"""The configuration: overlays merged, checked before anything runs, names resolved."""

from wood.scoring.thresholds import has_margins
from wood.workflow.checks import check
from wood.workflow.files import check_files, named_inputs
from wood.workflow.grids import expanded
from wood.workflow.overlays import read_overlays
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
    in_order_of,
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
    "in_order_of",
    "merge",
    "named_inputs",
    "needed_hard_ood",
    "network_sees_ood",
    "ood_images",
    "owners",
    "read_overlays",
    "sort_keys",
    "threshold_baseline",
    "typed",
    "uses_distance",
]
