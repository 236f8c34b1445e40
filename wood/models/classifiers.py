"""Classifiers by the name of their architecture: built, written and read back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from wood.models.architectures import ARCHITECTURES
from wood.models.backbones import create_backbone
from wood.models.cam import CamClassifier
from wood.models.folding import to_predict
from wood.models.weights import read_model
from wood.runtime.store import save_tensors


def build_classifier(
    backbone: str,
    class_names: Sequence[str],
    output_stride: int,
    weights: str | None,
    detach_stages: bool = False,
    architecture: str = "cam",
) -> CamClassifier:
    """Build a classifier on the backbone's ImageNet `weights` (see `create_backbone`)."""
    return ARCHITECTURES[architecture].load()(
        create_backbone(
            backbone, output_stride=output_stride, weights=weights, detach_stages=detach_stages
        ),
        len(class_names),
    )


def save_classifier(path: str | Path, model: CamClassifier, metadata: Mapping[str, Any]) -> None:
    """Write the weights and what is needed to build the model again.

    `metadata` holds at least `backbone`, `output_stride` and `class_names`.
    """
    architecture = next(name for name, of in ARCHITECTURES.items() if of.load() is type(model))
    save_tensors(path, model.state_dict(), {**metadata, "architecture": architecture})


def load_classifier(path: str | Path) -> tuple[CamClassifier, dict[str, Any]]:
    """Build the classifier that `path` holds; see `wood.models.weights.read_model`."""
    return read_model(
        path,
        "a classifier",
        lambda metadata: build_classifier(
            metadata["backbone"],
            metadata["class_names"],
            metadata["output_stride"],
            weights=None,
            detach_stages=metadata.get("detach_stages", False),
            architecture=metadata["architecture"],
        ),
    )


def load_to_predict(path: str | Path, device: torch.device) -> tuple[CamClassifier, dict[str, Any]]:
    """Load a classifier that no longer trains, ready on `device`: its batch norm is folded."""
    model, metadata = load_classifier(path)
    return to_predict(model, device), metadata
