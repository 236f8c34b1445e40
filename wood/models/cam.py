"""The CAM classifier: a backbone, global average pooling, and a 1x1 classifier without bias."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from wood.errors import InputError
from wood.models.backbones import Backbone, create_backbone
from wood.store import load_tensors, save_tensors


class CamClassifier(nn.Module):
    """Multi-label classifier whose head, applied before the pooling, gives its CAMs.

    Args:
        backbone: gives features (B, D, H/16, W/16).
        num_classes: C, foreground classes.
    """

    def __init__(self, backbone: Backbone, num_classes: int):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2d(backbone.num_features, num_classes, 1, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (B, C) and z (B, D), the pooled input of the head, for (B, 3, H, W)."""
        features = self.backbone(images).mean(dim=(2, 3))
        return self.head(features[:, :, None, None])[:, :, 0, 0], features

    def activation_maps(self, images: Tensor) -> Tensor:
        """Return the CAMs (B, C, H/16, W/16): the head at every position, negatives cut off."""
        return conv2d(self.backbone(images), self.head.weight).relu()

    def parameter_groups(self, head_lr_scale: float) -> list[dict[str, Any]]:
        """Return the groups that `wood.training.fit` takes: the head learns faster."""
        return [
            {"params": list(self.backbone.parameters()), "lr_scale": 1.0},
            {"params": list(self.head.parameters()), "lr_scale": head_lr_scale},
        ]


def save_classifier(path: str | Path, model: CamClassifier, metadata: Mapping[str, Any]) -> None:
    """Write the weights and what is needed to build the model again.

    `metadata` holds at least `backbone`, `output_stride` and `class_names`.
    """
    save_tensors(path, model.state_dict(), {"architecture": "cam", **metadata})


def load_classifier(path: str | Path) -> tuple[CamClassifier, dict[str, Any]]:
    """Build the classifier that `path` holds, in evaluation mode, with its metadata.

    Raises:
        InputError: not a classifier, or its weights do not fit what it says it is.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("architecture") != "cam":
        raise InputError(f"{path}: this file does not hold a CAM classifier.")
    model = build_classifier(
        metadata["backbone"],
        metadata["class_names"],
        metadata["output_stride"],
        weights=None,
        detach_stages=metadata.get("detach_stages", False),
    )
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{path}: the weights do not fit the architecture ({reason}).") from None
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{path}: the weight {name!r} is not finite.")
    return model.eval(), metadata


def build_classifier(
    backbone: str,
    class_names: Sequence[str],
    output_stride: int,
    weights: str | None,
    detach_stages: bool = False,
) -> CamClassifier:
    """Build a classifier on the backbone's ImageNet `weights` (see `create_backbone`)."""
    return CamClassifier(
        create_backbone(
            backbone, output_stride=output_stride, weights=weights, detach_stages=detach_stages
        ),
        len(class_names),
    )
