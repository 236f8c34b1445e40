"""SEAM's losses (Wang et al., CVPR 2020, Sec. 3.4, with the details of the published code).

Two views of each image, its own size and a smaller one, shall have the same maps (ER), and each
view's refined maps shall be the other view's CAM (ECR).
"""

import torch
from torch import Tensor

from wood.models.seam import EPSILON, SeamClassifier, View, corner_to_corner
from wood.ood.losses import classification_loss
from wood.seeds.wood_loss import WoodLoss
from wood.training import Batch

LOWEST = 0.25
HARDEST = 0.2


class SeamLoss:
    """Classification, min-pooling, ER and ECR, and what W-OoD adds at full scale.

    L = (cls + cls') / 2 + (min + min') / 2 + ER + ECR, with a prime for the smaller view. W-OoD's
    terms (its distances are those of SEAM's own z) belong to the full-scale view alone.

    Args:
        whole: the classification and W-OoD losses of the full-scale view.
        scale: of the smaller view's sides.
    """

    def __init__(self, whole: WoodLoss, scale: float):
        self.whole = whole
        self.scale = scale

    def __call__(
        self, model: SeamClassifier, batch: Batch, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        del progress
        images, labels = batch["image"], batch["labels"]
        smaller = shrink(images, self.scale)
        full, small = model.view(images), model.view(smaller)
        outside = self.whole.ood_scores(model, batch)
        loss, terms = self.whole.combine(full.logits, full.features, labels, *outside)

        terms["cls_small"] = classification_loss(small.logits.float(), labels)
        terms |= consistency(full, small, labels, images.shape[2:], smaller.shape[2:])
        halved = (terms["cls_small"] - terms["cls_in"]) / 2
        return loss + halved + terms["min_pool"] + terms["er"] + terms["ecr"], terms


def consistency(
    full: View, small: View, labels: Tensor, size: torch.Size, small_size: torch.Size
) -> dict[str, Tensor]:
    """Return `min_pool`, `er` and `ecr` of two views of images.

    Args:
        full, small: the views; maps (B, C, h, w), refined (B, C + 1, h, w).
        labels: (B, C), 0 or 1; other classes' maps count as zero.
        size, small_size: (H, W) of the images of both views.
    """
    present = labels[:, :, None, None]
    with_background = torch.cat([torch.ones_like(present[:, :1]), present], dim=1)
    maps, refined = (corner_to_corner(part, size) for part in (full.maps, full.refined))
    small_maps, small_refined = (
        corner_to_corner(part, small_size) for part in (small.maps, small.refined)
    )
    lowest = [min_pooling_loss(part[:, 1:] * present) for part in (refined, small_refined)]

    maps = corner_to_corner(normalize(maps), small_size) * present
    small_maps = normalize(small_maps) * present
    refined = corner_to_corner(normalize(refined), small_size) * with_background
    small_refined = normalize(small_refined) * with_background
    return {
        "min_pool": sum(lowest) / 2,
        "er": (maps - small_maps).abs().mean(),
        "ecr": cross_loss(refined, small_maps) + cross_loss(small_refined, maps),
    }


def shrink(images: Tensor, scale: float) -> Tensor:
    """Resize (B, 3, H, W) images by `scale`; no side falls below 1 pixel."""
    height, width = (max(1, int(side * scale)) for side in images.shape[2:])
    return corner_to_corner(images, (height, width))


def normalize(maps: Tensor) -> Tensor:
    """Bring the positive part of each map of (B, L, h, w) to [0, 1), from minimum to maximum."""
    positive = maps.relu()
    lowest = positive.amin(dim=(2, 3), keepdim=True)
    highest = positive.amax(dim=(2, 3), keepdim=True)
    return (positive - lowest - EPSILON).relu() / (highest - lowest + EPSILON)


def min_pooling_loss(maps: Tensor) -> Tensor:
    """The mean of the lowest quarter of the strongest class's map (B, C, H, W): background."""
    strongest = maps.amax(dim=1).flatten(1)
    count = max(1, int(strongest.shape[1] * LOWEST))
    return strongest.topk(count, dim=1, largest=False).values.relu().mean()


def cross_loss(refined: Tensor, maps: Tensor) -> Tensor:
    """ECR of one direction: refined maps (B, C + 1, h, w) against the other view's CAM.

    The CAM (B, C, h, w) is the target, without gradient: as the background 1 minus the strongest
    class, and at each position the strongest class alone. The mean over the fifth of the entries of
    each image that differ most.
    """
    maps = maps.detach()
    strongest = maps.amax(dim=1, keepdim=True)
    target = torch.cat([1 - strongest, maps * (maps == strongest)], dim=1)
    away = (target - refined).abs().flatten(1)
    return away.topk(max(1, int(away.shape[1] * HARDEST)), dim=1).values.mean()
