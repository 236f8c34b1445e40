"""The losses that IRNet is trained with (IRN, Sec. 4.3, Eq. 2 to 7)."""

import torch
from torch import Tensor

from wood.affinity.affinity_labels import AffinityLabels, affinity_labels
from wood.affinity.paths import search_paths, shifted, training_affinities, training_sources
from wood.runtime.processes import mean_over_processes

# Keeps the logarithms and the means over no pairs finite; IRN's value.
EPSILON = 1e-5


def irnet_loss(
    boundary_logits: Tensor, displacement: Tensor, ir_labels: Tensor, radius: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return IRNet's loss and its terms.

    Args:
        boundary_logits: (B, 1, H, W).
        displacement: (B, 2, H, W), (y, x) in cells of the grid.
        ir_labels: (B, H, W) integer labels at the same stride; 255 is ignored.
        radius: search radius of the pairs.

    Returns:
        the scalar loss; `positive`, `negative`, `displacement_foreground` and
        `displacement_background`, of which the loss is half the sum.
    """
    labels = affinity_labels(ir_labels, radius)
    affinity = training_affinities(torch.sigmoid(boundary_logits.float())[:, 0], radius)
    same = -torch.log(affinity + EPSILON)
    different = -torch.log(1 + EPSILON - affinity)
    positive = (_mean(same, labels.background) + _mean(same, labels.foreground)) / 2
    negative = _mean(different, labels.negative)
    foreground, background = displacement_losses(displacement.float(), labels, radius)
    terms = {
        "positive": positive,
        "negative": negative,
        "displacement_foreground": foreground,
        "displacement_background": background,
    }
    return sum(terms.values()) / 2, terms


def displacement_losses(
    displacement: Tensor, labels: AffinityLabels, radius: int
) -> tuple[Tensor, Tensor]:
    """Return the foreground and the background loss of the displacement field (IRN, Eq. 3, 4).

    Two pixels of one class should point to one place: their displacements should differ by what
    lies between them; those of two background pixels should be equal.
    """
    height, width = displacement.shape[-2:]
    sources = training_sources(height, width, radius)
    paths = search_paths(radius)
    target = torch.stack(
        [displacement[(..., *shifted(sources, path.dy, path.dx))] for path in paths], dim=2
    )
    difference = displacement[(..., *sources)].unsqueeze(2) - target
    between = difference.new_tensor([(path.dy, path.dx) for path in paths]).T[:, :, None, None]
    return (
        _mean((difference - between).abs().mean(dim=1), labels.foreground),
        _mean(difference.abs().mean(dim=1), labels.background),
    )


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / (mean_over_processes(mask.sum()) + EPSILON)
