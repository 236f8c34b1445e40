"""The losses of W-OoD: distances (Eq. 1), the distance loss (Eq. 2), classification (Eq. 3).

Eq. 4 adds them up: L = L_cls + lambda * L_d, in `wood.seeds.wood_loss.WoodLoss`. Each is a plain
function of tensors, to be taken from here by other projects.
"""

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax


def distances(features: Tensor, centers: Tensor) -> Tensor:
    """Eq. 1: Euclidean distances (B, K) of features (B, D) to centres (K, D).

    The gradient is finite (zero) where a feature equals a centre.
    """
    return torch.linalg.vector_norm(features[:, None, :] - centers[None, :, :], dim=2)


def distance_loss(
    features: Tensor,
    labels: Tensor,
    in_centers: Tensor,
    ood_centers: Tensor,
    top_fraction: float,
    *,
    terms: Collection[str] = ("in", "ood"),
    normalize: str = "sum",
    selection: str = "image",
) -> Tensor:
    """Eq. 2: pull images to the centres of their classes, push them from the nearest OoD clusters.

    Args:
        features: (B, D), z of the in-distribution images.
        labels: (B, C), 0 or 1.
        in_centers: (C, D), p^in; a row of NaN (a class without images) contributes nothing.
        ood_centers: (K, D), p^ood.
        top_fraction: tau, in (0, 1]; max(1, round(tau * K)) clusters count as the nearest.
        terms: which of the two sums take part (the ablation of Table 5).
        normalize: "sum" is the equation as printed; "clusters" divides it by K, which is how the
            authors' code computes it.
        selection: "image" takes each image's own nearest clusters, as the text says; "batch" takes
            the BK - int(BK (1 - tau)) nearest pairs of the whole batch, as the authors' code does
            (`step/train_cam_clustering.py`, lines 394 to 398).

    Returns:
        The mean over the batch, a scalar.
    """
    if not 0 < top_fraction <= 1:
        raise ValueError(f"top_fraction is {top_fraction}; it must be in (0, 1].")
    if normalize not in ("sum", "clusters"):
        raise ValueError(f"normalize is {normalize!r}; it must be 'sum' or 'clusters'.")
    if selection not in ("image", "batch"):
        raise ValueError(f"selection is {selection!r}; it must be 'image' or 'batch'.")
    if not terms or not set(terms) <= {"in", "ood"}:
        raise ValueError(f"terms is {terms!r}; it must name 'in', 'ood' or both.")

    batch = len(features)
    clusters = len(ood_centers)
    loss = features.new_zeros(())
    if "in" in terms:
        loss = loss + _in_term(features, labels, in_centers) / batch
    if "ood" in terms:
        loss = loss - _ood_term(features, ood_centers, top_fraction, selection) / batch
    return loss / clusters if normalize == "clusters" else loss


def _in_term(features: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    # Without boolean indices, whose lengths a GPU would have to tell the CPU in every step.
    known = ~centers.isnan().any(dim=1)
    away = distances(features, torch.where(known[:, None], centers, 0.0))
    return torch.where((labels > 0) & known, away, 0.0).sum()


def _ood_term(features: Tensor, centers: Tensor, top_fraction: float, selection: str) -> Tensor:
    away = distances(features, centers)
    nearest = max(1, round(top_fraction * len(centers)))
    if selection == "batch":
        away = away.reshape(1, -1)
        nearest = max(1, away.numel() - int(away.numel() * (1 - top_fraction)))
    return away.topk(nearest, dim=1, largest=False).values.sum()


def classification_loss(
    logits_in: Tensor, labels: Tensor, logits_ood: Tensor | None = None
) -> Tensor:
    """Eq. 3: binary cross-entropy of D_in against its labels, and of D_ood against zeros.

    Args:
        logits_in: (B, C), scores before the sigmoid.
        labels: (B, C), 0 or 1.
        logits_ood: (B', C), or None without OoD images.

    Returns:
        A scalar; each of the two terms is the mean over its own batch and over the classes.
    """
    loss = binary_cross_entropy_with_logits(logits_in, labels)
    return loss if logits_ood is None else loss + ood_losses(logits_ood).mean()


def ood_losses(logits: Tensor, target: str = "zeros") -> Tensor:
    """The second term of Eq. 3 for each OoD image, and the two alternatives of Sec. 3.2.

    Args:
        logits: (B', C), scores before the sigmoid; (B', C + 1) for the target "background".
        target: "zeros": no class is there (Eq. 3). "uniform": no information, the cross-entropy of
            softmax(logits) against 1/C for every class, as in outlier exposure (the paper's [16]).
            "background": the last of the scores is a class of its own, which OoD images have.

    Returns:
        (B',), means over the classes.
    """
    if target == "uniform":
        return -log_softmax(logits, dim=1).mean(dim=1)
    if target not in ("zeros", "background"):
        raise ValueError(f"target is {target!r}; it must be 'zeros', 'uniform' or 'background'.")
    labels = torch.zeros_like(logits)
    if target == "background":
        labels[:, -1] = 1
    return binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(dim=1)


def position_losses(maps: Tensor) -> Tensor:
    """Binary cross-entropy of OoD images against zeros at every position, beyond the paper.

    Eq. 3 tells a classifier that the mean over an OoD image shows no class; this tells it of each
    position, since no part of such an image shows one.

    Args:
        maps: (B', C, h, w), the head at every position before the sigmoid.

    Returns:
        (B',), means over classes and positions.
    """
    losses = binary_cross_entropy_with_logits(maps, torch.zeros_like(maps), reduction="none")
    return losses.mean(dim=(1, 2, 3))
