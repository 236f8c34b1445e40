"""The CAM classifier: a backbone, global average pooling, and a 1x1 classifier without bias."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from wood.maps import STRIDE, on_grid
from wood.models.backbone import Backbone
from wood.runtime.devices import at_least_single, full_precision


class CamClassifier(nn.Module):
    """Multi-label classifier whose head, applied before the pooling, gives its CAMs.

    Args:
        backbone: gives features (B, D, H/16, W/16).
        num_classes: C, foreground classes.

    Attributes:
        zero_is_minimum: whether a map's lowest value means that the class is not there, not zero.
    """

    zero_is_minimum = False

    def __init__(self, backbone: Backbone, num_classes: int):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Conv2d(backbone.num_features, num_classes, 1, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (B, C) and z (B, D), the pooled input of the head, for (B, 3, H, W)."""
        maps = self.backbone(images)
        with full_precision(maps):
            features = at_least_single(maps).mean(dim=(2, 3))
            return self.head(features[:, :, None, None])[:, :, 0, 0], features

    def scores_and_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (B, C), and the head at every position (B, C, H/16, W/16)."""
        maps = self.backbone(images)
        with full_precision(maps):
            maps = conv2d(at_least_single(maps), self.head.weight)
            return maps.mean(dim=(2, 3)), maps

    def activation_maps(self, images: Tensor) -> Tensor:
        """Return the CAMs (B, C, H/16, W/16): the head at every position, negatives cut off."""
        return self.scores_and_maps(images)[1].relu()

    def on_grid(
        self, maps: Tensor, scaled: tuple[int, int], size: tuple[int, int], stride: int = STRIDE
    ) -> Tensor:
        """Bring maps (N, h, w) of images resized to `scaled` to the grid of their own `size`.

        Returns:
            (N, ceil(H/stride), ceil(W/stride)).
        """
        del scaled  # IRN's lie alike over an image whatever its scale
        return on_grid(maps, size, stride)

    def parameter_groups(self, head_lr_scale: float) -> list[dict[str, Any]]:
        """Return the groups that `wood.training.Training` takes: the head learns faster."""
        return [
            {"params": list(self.backbone.parameters()), "lr_scale": 1.0},
            {"params": list(self.head.parameters()), "lr_scale": head_lr_scale},
        ]


def resize_head(model: CamClassifier, classes: int) -> None:
    """Give the head `classes` outputs: the first keep their weights, new ones start from zero."""
    old = model.head
    if old.out_channels == classes:
        return
    model.head = nn.Conv2d(old.in_channels, classes, 1, bias=False)
    shared = min(classes, old.out_channels)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.weight[:shared] = old.weight[:shared]
