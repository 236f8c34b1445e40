"""DeepLab-v2 (Chen et al., 2018) on any backbone, with its multi-scale (MSC) form."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from wood.data.masks import IGNORE
from wood.models.backbone import Backbone
from wood.models.backbones import create_backbone
from wood.models.folding import to_predict
from wood.models.weights import read_model
from wood.runtime.devices import at_least_single, full_precision
from wood.runtime.errors import InputError
from wood.runtime.processes import mean_over_processes
from wood.runtime.store import save_tensors

ARCHITECTURE = "deeplab-v2"

# How logits lie over an image. `cells`: each over its cell, of which the last may reach beyond the
# image. `stretched`: edges on edges, and smaller scales sampled by the factor itself rather than by
# the ratio of the rounded sizes, both as deeplab-pytorch does (`libs/models/msc.py`, `main.py`).
ALIGNMENTS = ("cells", "stretched")

SCALES = (0.5, 0.75)  # of the multi-scale form, beside 1


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: the sum of dilated 3x3 convolutions, one for each rate.

    With so few labels a convolution costs less as one product with its nine weights, whose parts
    are then shifted and added. It rounds alike on more processors too: oneDNN's kernel cuts the sum
    over the features by the size of the cache (docs/method.md).
    """

    def __init__(self, features: int, labels: int, rates: Sequence[int]):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(features, labels, 3, padding=rate, dilation=rate) for rate in rates
        )
        for branch in self.branches:
            nn.init.normal_(branch.weight, std=0.01)
            nn.init.zeros_(branch.bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, h, w) -> (B, L, h, w)."""
        return sum(_convolved(features, branch) for branch in self.branches)


def _convolved(features: Tensor, branch: nn.Conv2d) -> Tensor:
    """What `branch`, a dilated 3x3 convolution, makes of (B, D, h, w): (B, L, h, w)."""
    height, width = features.shape[-2:]
    rate = branch.dilation[0]
    weights = branch.weight.flatten(2)
    products = torch.einsum("ldt,bdhw->tblhw", weights, features)
    total = branch.bias[:, None, None]
    for tap, product in enumerate(functional.pad(products, [rate] * 4).unbind()):
        top, left = tap // 3 * rate, tap % 3 * rate
        total = total + product[..., top : top + height, left : left + width]
    return total


class DeepLabV2(nn.Module):
    """A backbone and ASPP on its rectified features.

    Batch norm is frozen entirely, statistics and affine weights; ResNet's stem trains, both as
    published.

    Args:
        backbone: gives features (B, D, h, w).
        labels: L, the classes and the background, which is number 0.
        rates: dilations of ASPP's branches, on the grid of the backbone's stride.
        alignment: one of `ALIGNMENTS`.
    """

    def __init__(
        self, backbone: Backbone, labels: int, rates: Sequence[int], alignment: str = "cells"
    ):
        super().__init__()
        if alignment not in ALIGNMENTS:
            raise InputError(f"alignment is {' or '.join(ALIGNMENTS)}, not {alignment!r}.")
        self.alignment = alignment
        self.backbone = backbone
        self.aspp = Aspp(backbone.num_features, labels, rates)
        for module in backbone.modules():
            if isinstance(module, _BatchNorm):
                module.requires_grad_(False)
        if stem := getattr(backbone, "conv1", None):
            stem.requires_grad_(True)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images -> (B, L, h, w) logits at the backbone's stride."""
        features = self.backbone(images)
        with full_precision(features):
            return self.aspp(at_least_single(features))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the groups of `wood.training.Training`, with DeepLab-v2's learning rates."""
        branches = self.aspp.branches
        return [
            {"params": self.backbone.parameters_to_train(), "lr_scale": 1.0},
            {"params": [branch.weight for branch in branches], "lr_scale": 10.0},
            {
                "params": [branch.bias for branch in branches],
                "lr_scale": 20.0,
                "weight_decay": 0.0,
            },
        ]


def rescale_images(images: Tensor, factor: float, alignment: str = "cells") -> Tensor:
    """Resize (B, 3, H, W) by `factor` (bilinear) to whole pixels; no side falls below 1."""
    if factor == 1:
        return images
    if alignment == "stretched":
        # Torch cuts to whole pixels too. A side that it would leave nothing of is lengthened first.
        rows, columns = (
            0 if int(side * factor) else int(1 / factor) + 1 - side for side in images.shape[-2:]
        )
        if rows or columns:
            images = functional.pad(images, (0, columns, 0, rows), mode="replicate")
        return functional.interpolate(
            images, scale_factor=factor, mode="bilinear", align_corners=False
        )
    size = [max(1, int(side * factor)) for side in images.shape[-2:]]
    return functional.interpolate(images, size=size, mode="bilinear", align_corners=False)


def at_pixels(logits: Tensor, size: Sequence[int], cell: float, alignment: str) -> Tensor:
    """Bring (B, L, h, w) logits to the (H, W) pixels of their images (bilinear).

    `cell`: pixels that a cell is wide. With `cells` the logits go to what their cells cover and are
    cropped, so that nothing is stretched and tiles agree with the whole image.
    """
    height, width = size
    covered = (height, width)
    if alignment == "cells":
        covered = tuple(
            max(side, round(cells * cell))
            for side, cells in zip(size, logits.shape[-2:], strict=True)
        )
    full = functional.interpolate(logits, size=covered, mode="bilinear", align_corners=False)
    return full[..., :height, :width]


def multi_scale_logits(
    network: nn.Module,
    images: Tensor,
    alignment: str = "cells",
) -> list[Tensor]:
    """Return the logits at scale 1, at each of `SCALES`, and their maximum on the grid of scale 1.

    DeepLab-v2's MSC: every one of them has a loss in training, the maximum is the prediction.
    """
    whole = network(images)
    others = [network(rescale_images(images, scale, alignment)) for scale in SCALES]
    resized = [
        functional.interpolate(x, size=whole.shape[-2:], mode="bilinear", align_corners=False)
        for x in others
    ]
    return [whole, *others, torch.stack([whole, *resized]).amax(dim=0)]


def labels_at_cells(target: Tensor, size: Sequence[int]) -> Tensor:
    """(B, H, W) integers -> (B, h, w), the pixels nearest to the cells' centres."""
    return functional.interpolate(target[:, None].float(), size=size, mode="nearest-exact")[
        :, 0
    ].long()


def segmentation_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy over the pixels that are not ignored, on the grid of the logits.

    Args:
        logits: (B, L, h, w).
        target: (B, H, W) integers, brought to (h, w) by their nearest pixels.

    Returns:
        A scalar; 0 where every pixel is ignored.
    """
    small = labels_at_cells(target, logits.shape[-2:])
    total = functional.cross_entropy(logits.float(), small, ignore_index=IGNORE, reduction="sum")
    valid = mean_over_processes((small != IGNORE).sum())
    return total / valid.clamp(min=1)


def balanced_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy with as much weight on an image's objects as on its background.

    The mean over an image's background pixels, and the mean over those of its objects, added; 0 for
    what an image does not have. Then the mean over the images. DSRG's (speedinghzl/DSRG,
    `pylayers/pylayers.py`, BalancedSeedLossLayer), which AdvCAM's author used for its DeepLab-v2.
    Each process has as many images as the others, so the mean over processes is that over all.

    Args:
        logits, target: see `segmentation_loss`.
    """
    small = labels_at_cells(target, logits.shape[-2:])
    of_pixels = functional.cross_entropy(
        logits.float(), small, ignore_index=IGNORE, reduction="none"
    )
    background = small == 0
    objects = ~background & (small != IGNORE)
    total = logits.new_zeros(len(logits), dtype=torch.float32)
    for part in (background, objects):
        pixels = part.sum(dim=(1, 2)).clamp(min=1)
        total = total + (of_pixels * part).sum(dim=(1, 2)) / pixels
    return total.mean()


LOSSES = {"cross-entropy": segmentation_loss, "balanced": balanced_loss}


def save_network(path: str | Path, network: DeepLabV2, metadata: Mapping[str, Any]) -> None:
    """Write the weights and what is needed to build the network again.

    `metadata` holds at least `backbone`, `output_stride`, `atrous_rates` and `class_names`
    (foreground).
    """
    own = {"architecture": ARCHITECTURE, "alignment": network.alignment}
    save_tensors(path, network.state_dict(), {**own, **metadata})


def load_network(path: str | Path) -> tuple[DeepLabV2, dict[str, Any]]:
    """Build the network that `path` holds; see `wood.models.weights.read_model`."""
    return read_model(path, "a segmentation network", network_without_weights, ARCHITECTURE)


def load_to_predict(path: str | Path, device: torch.device) -> tuple[DeepLabV2, dict[str, Any]]:
    """Load a network that no longer trains, ready on `device`: its batch norm is folded."""
    network, metadata = load_network(path)
    return to_predict(network, device), metadata


def network_without_weights(metadata: Mapping[str, Any]) -> DeepLabV2:
    """Build the network that the metadata of `save_network` describes."""
    stride = metadata["output_stride"]
    return DeepLabV2(
        create_backbone(metadata["backbone"], output_stride=stride, weights=None),
        len(metadata["class_names"]) + 1,
        metadata["atrous_rates"],
        metadata.get("alignment", "cells"),
    )
