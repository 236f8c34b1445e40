"""SEAM (Wang et al., CVPR 2020): a CAM classifier whose maps a pixel correlation module refines.

As in the published network, for any backbone: the module reads the input of the last stage and of
the one before it (of Wide ResNet-38 its `conv4` and `conv5`, of ResNet-50 the layers 2 and 3).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wood.maps import STRIDE
from wood.models.backbone import Backbone
from wood.models.cam import CamClassifier
from wood.runtime.devices import at_least_single, full_precision

DROPOUT = 0.5
SHALLOW_WIDTH = 64
DEEP_WIDTH = 128
EPSILON = 1e-5
# Entries of the affinity matrix that are worked on at once: its (hw)^2 are 138 million for one
# photograph of 500 x 375 pixels at scale 2.
MOST_PAIRS = 1 << 24


@dataclass(frozen=True)
class View:
    """What SEAM makes of (B, 3, H, W) images.

    Attributes:
        logits: (B, C), the mean over the (H, W) pixels of the CAM.
        features: z (B, D), the same mean of the head's input, before its dropout.
        maps: (B, C, h, w), the CAM with its negatives, on the backbone's grid.
        refined: (B, C + 1, h, w), background first: the pixel correlation module's output.
    """

    logits: Tensor
    features: Tensor
    maps: Tensor
    refined: Tensor


class SeamClassifier(CamClassifier):
    """CAM classifier with the pixel correlation module (PCM).

    Grids are laid over images corner to corner: the first and the last cell lie on the first and
    the last pixel, as Wide ResNet-38 has them for sides of 8 n + 1 pixels.

    The published classifier has a row for the background, which no loss and no map depends on; it
    is left out.
    """

    zero_is_minimum = True

    def __init__(self, backbone: Backbone, num_classes: int):
        super().__init__(backbone, num_classes)
        shallow, deep = backbone.stage_channels[-3:-1]
        width = SHALLOW_WIDTH + DEEP_WIDTH
        self.dropout = nn.Dropout2d(DROPOUT)
        self.reduce_shallow = nn.Conv2d(shallow, SHALLOW_WIDTH, 1, bias=False)
        self.reduce_deep = nn.Conv2d(deep, DEEP_WIDTH, 1, bias=False)
        self.embed = nn.Conv2d(3 + width, width, 1, bias=False)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.kaiming_normal_(self.reduce_shallow.weight)
        nn.init.kaiming_normal_(self.reduce_deep.weight)
        nn.init.xavier_uniform_(self.embed.weight, gain=4)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (B, C) and z (B, D) for (B, 3, H, W)."""
        features = self.backbone(images)
        with full_precision(features):
            features = at_least_single(features)
            maps = self.head(self.dropout(features))
            return _pool(maps, images), _pool(features, images)

    def scores_and_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (B, C), and the head at every position (B, C, h, w)."""
        features = self.backbone(images)
        with full_precision(features):
            maps = self.head(self.dropout(at_least_single(features)))
            return _pool(maps, images), maps

    def view(self, images: Tensor) -> View:
        """Return all that SEAM's losses need of (B, 3, H, W) images.

        The module's part has a gradient for the module alone.
        """
        stages, features = self.backbone.stages_and_features(images)
        with full_precision(features):
            features = at_least_single(features)
            maps = self.head(self.dropout(features))
            embedding = self._embedding(images, stages, maps.shape[2:])
            refined = correlate(strongest_classes(maps), embedding)
            return View(_pool(maps, images), _pool(features, images), maps, refined)

    def activation_maps(self, images: Tensor) -> Tensor:
        """Return the refined maps (B, C, h, w), without the background's."""
        return self.view(images).refined[:, 1:]

    def on_grid(
        self, maps: Tensor, scaled: tuple[int, int], size: tuple[int, int], stride: int = STRIDE
    ) -> Tensor:
        """Bring maps (N, h, w) of images resized to `scaled` to the grid of their own `size`.

        As published, they go corner to corner to `scaled`, and by the edges of the pixels to
        `size`; from there to the grid. All is linear: one matrix for the rows, one for the columns.
        """
        rows, columns = (
            _middles(
                _linear(scaled[axis], size[axis], maps, corners=False)
                @ _linear(maps.shape[1 + axis], scaled[axis], maps, corners=True),
                stride,
            )
            for axis in (0, 1)
        )
        return rows @ maps @ columns.T

    def parameter_groups(self, head_lr_scale: float) -> list[dict[str, Any]]:
        backbone, head = super().parameter_groups(head_lr_scale)
        for layer in (self.reduce_shallow, self.reduce_deep, self.embed):
            head["params"] += layer.parameters()
        return [backbone, head]

    def _embedding(self, images: Tensor, stages: list[Tensor], grid: torch.Size) -> Tensor:
        """(B, 192, h, w): each position's colour and features, as the module compares them."""
        shallow = self.reduce_shallow(at_least_single(stages[-3].detach())).relu()
        deep = self.reduce_deep(at_least_single(stages[-2].detach())).relu()
        return self.embed(
            torch.cat([corner_to_corner(part, grid) for part in (images, shallow, deep)], 1)
        )


def strongest_classes(maps: Tensor) -> Tensor:
    """Return what the module spreads (B, C + 1, h, w) for CAMs (B, C, h, w), without gradient.

    Each CAM is divided by its maximum; the background is 1 minus the strongest class, and at each
    position only the strongest class stays.
    """
    positive = maps.detach().relu()
    scaled = (positive - EPSILON).relu() / (positive.amax(dim=(2, 3), keepdim=True) + EPSILON)
    strongest = scaled.amax(dim=1, keepdim=True)
    return torch.cat([1 - strongest, scaled * (scaled == strongest)], dim=1)


def correlate(maps: Tensor, embedding: Tensor) -> Tensor:
    """SEAM, Sec. 3.3: y_i = sum_j f(x_i, x_j) y_j / sum_j f(x_i, x_j), f the rectified cosine.

    Args:
        maps: (B, L, h, w).
        embedding: (B, E, h, w).

    Returns:
        (B, L, h, w), in the embedding's type; the (hw, hw) affinities are made in parts.
    """
    with full_precision(maps):
        vectors = at_least_single(embedding.flatten(2))
        unit = vectors / (torch.linalg.vector_norm(vectors, dim=1, keepdim=True) + EPSILON)
        values = maps.flatten(2).to(unit)
        values = torch.cat([values, torch.ones_like(values[:, :1])], dim=1)
        block = max(1, MOST_PAIRS // (unit.shape[0] * unit.shape[2]))
        sums = torch.cat(
            [values @ (unit.transpose(1, 2) @ part).relu() for part in unit.split(block, dim=2)],
            dim=2,
        )
        return (sums[:, :-1] / (sums[:, -1:] + EPSILON)).view_as(maps)


def corner_to_corner(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, C, h, w) bilinearly to (B, C, H, W), the first and last cells on those pixels."""
    if maps.shape[2:] == size:
        return maps
    return interpolate(maps, size=size, mode="bilinear", align_corners=True)


def _pool(maps: Tensor, images: Tensor) -> Tensor:
    """The mean (B, C) over the pixels of the images of maps (B, C, h, w) brought to their size."""
    rows, columns = (
        _linear(cells, pixels, maps, corners=True).mean(dim=0)
        for cells, pixels in zip(maps.shape[2:], images.shape[2:], strict=True)
    )
    return maps.flatten(2) @ torch.outer(rows, columns).flatten()


def _linear(inputs: int, outputs: int, like: Tensor, *, corners: bool) -> Tensor:
    """Return linear interpolation of a line as its matrix (outputs, inputs)."""
    unit = torch.eye(inputs, dtype=like.dtype, device=like.device)
    return interpolate(unit[None], size=outputs, mode="linear", align_corners=corners)[0].T


def _middles(lines: Tensor, stride: int) -> Tensor:
    """(N, ...) -> (ceil(N/stride), ...): the middle of each part, the last one repeated at need."""
    first = torch.arange(0, len(lines), stride, device=lines.device)
    places = ((stride - 1) // 2, stride // 2)
    return sum(lines[(first + place).clamp(max=len(lines) - 1)] for place in places) / 2
