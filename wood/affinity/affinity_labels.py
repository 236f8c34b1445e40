"""Which pairs of pixels IRNet is taught to be of one class, and which not (IRN, Sec. 4.1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from wood.affinity.paths import search_paths, shifted, training_sources
from wood.data.masks import IGNORE


@dataclass(frozen=True)
class AffinityLabels:
    """Masks over the pairs of `wood.affinity.paths.training_affinities`: (B, P, h, w) bool.

    Attributes:
        background: both ends are background.
        foreground: both ends are of one and the same class.
        negative: the ends are of different classes, or of a class and background.
    """

    background: Tensor
    foreground: Tensor
    negative: Tensor


def affinity_labels(ir_labels: Tensor, radius: int) -> AffinityLabels:
    """Compare the ends of all pairs; pairs with an end of 255 belong to no mask.

    Args:
        ir_labels: (B, H, W) integer labels at stride 4.
        radius: search radius in cells.

    Raises:
        ValueError: the grid is smaller than the search radius needs.
    """
    height, width = ir_labels.shape[-2:]
    sources = training_sources(height, width, radius)
    source = ir_labels[(..., *sources)].unsqueeze(1)
    target = torch.stack(
        [ir_labels[(..., *shifted(sources, path.dy, path.dx))] for path in search_paths(radius)],
        dim=1,
    )
    same = source == target
    certain = (source != IGNORE) & (target != IGNORE)
    return AffinityLabels(
        background=same & certain & (source == 0),
        foreground=same & certain & (source != 0),
        negative=~same & certain,
    )
