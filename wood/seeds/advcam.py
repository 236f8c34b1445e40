"""AdvCAM: anti-adversarial climbing (Lee et al., CVPR 2021), as its published code has it.

An image is changed, step by step, so that the classifier is surer of a class; the sum of the maps
on the way covers more of the object than the first one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from wood.maps import on_grid
from wood.models.cam import CamClassifier
from wood.runtime.devices import autocast, full_precision
from wood.seeds.pyramid import Pyramid, chunk_length, level

HALF = 0.5


def climb(
    model: CamClassifier,
    images: Tensor,
    classes: Tensor,
    *,
    iterations: int,
    step_size: float,
    regularizer: float,
    mask_threshold: float,
) -> Tensor:
    """Return the sums over the iterations of the Grad-CAMs of N pairs, (N, h', w').

    A pair is an image with its mirror image, which climb together for one class. In each iteration

        x <- x + step_size * g / max |g|,   cut to the range of x,
        g  = gradient of  y_c - sum of the other y  - regularizer * sum |A - A_0| [A > threshold],

    where y is the mean of the rectified map of each class, summed over the pair, A the Grad-CAM
    and A_0 the first one, and A is scaled to the maximum 1 for the threshold.

    Grad-CAM's weights need no gradient: for a linear head, that of the summed rectified map of
    class c is the head's weight w_c at each of the n positions of an image where the map is
    positive. The code divides its sum by the number of its positive entries in image and mirror
    image together, (n_1 + n_2) times the number of positive weights. So A is the rectified map
    times n_i / ((n_1 + n_2) #{w_c > 0}), and a single backward pass is left, to the pixels. The
    factor is kept because it sets the strength of the regulariser.

    Args:
        model: the classifier, its parameters without gradients.
        images: (2N, 3, h, w), normalised: the image and the mirror image of each pair in turn.
        classes: (N,) int64, the class of each pair.
        iterations: maps to sum; the image is changed between them.
        step_size: the largest change of a normalised pixel in a step.
        regularizer: weight of the term that keeps the scores of what is already found.
        mask_threshold: from which share of its maximum a map's place counts as found.
    """
    pairs = torch.arange(len(classes), device=classes.device)
    weight = model.head.weight
    positive_weights = (weight.flatten(1) > 0).sum(dim=1)[classes]
    total: Any = 0.0
    first = None
    for iteration in range(iterations):
        last = iteration == iterations - 1
        images = images.detach().requires_grad_(not last)
        with torch.set_grad_enabled(not last), autocast(images.device):
            maps = model.backbone(images)
        with torch.set_grad_enabled(not last), full_precision(images):
            # (N, 2, C, h', w'), in the images' own precision
            maps = conv2d(maps.to(images.dtype), weight).relu().unflatten(0, (len(classes), 2))
            found = _grad_cam(maps[pairs, :, classes], positive_weights)
            total = total + found.detach()
            if last:
                break
            first = found.detach() if first is None else first
            scores = maps.mean(dim=(3, 4)).sum(dim=1)
            change = regularizer * _change(found, first, mask_threshold)
            objective = 2 * scores[pairs, classes].sum() - scores.sum() - change
            (gradient,) = torch.autograd.grad(objective, images)
        images = _step(images.detach(), gradient, step_size)
    return total


def _grad_cam(own: Tensor, positive_weights: Tensor) -> Tensor:
    """Return A (N, h', w') of the rectified maps (N, 2, h', w') of pairs; see `climb`."""
    count = (own.detach() > 0).sum(dim=(2, 3)).to(own.dtype)
    factor = count / (count.sum(dim=1) * positive_weights + 1e-12)[:, None]
    found = own * factor[:, :, None, None]
    return found[:, 0] + found[:, 1].flip(2)


def _change(found: Tensor, first: Tensor, mask_threshold: float) -> Tensor:
    """Return how much A (N, h', w') has changed where it is above its threshold; see `climb`."""
    highest = found.detach().amax(dim=(1, 2), keepdim=True)
    return ((found - first).abs() * (found.detach() > mask_threshold * highest)).sum()


def _step(images: Tensor, gradient: Tensor, step_size: float) -> Tensor:
    """Climb, each pair by its own largest gradient and within its own range of values."""
    x, slope = (tensor.unflatten(0, (-1, 2)) for tensor in (images, gradient))
    every = (1, 2, 3, 4)
    largest = slope.abs().amax(dim=every, keepdim=True) + 1e-12
    lowest, highest = x.amin(dim=every, keepdim=True), x.amax(dim=every, keepdim=True)
    return (x + step_size * slope / largest).clamp(lowest, highest).flatten(0, 1)


@torch.no_grad()
def multi_scale_advcam(
    model: CamClassifier,
    images: Sequence[Pyramid],
    classes: Sequence[Tensor],
    device: torch.device,
    *,
    settings: Mapping[str, Any],
    max_batch_pixels: int,
) -> list[Tensor]:
    """Return the AdvCAMs of the classes present in images of one size, not normalised.

    All classes of all the images climb as one batch. The maps of all scales are summed on the grid
    of stride 4, as CAMs are.

    Args:
        model: the classifier, on the device, its parameters without gradients.
        images: B images of one size (H, W).
        classes: the (n,) classes present in each.
        device: where the model is.
        settings: `scales` (of the images), `iterations`, `half_scale_iterations` and
            `half_scale_weight` (at scale 0.5), `step_size`, `regularizer`, `mask_threshold`.
        max_batch_pixels: pixels that go through the network at once (at least one pair does).

    Returns:
        for each image (n, ceil(H/4), ceil(W/4)) float32 on the device.
    """
    owners = torch.arange(len(images)).repeat_interleave(torch.tensor([len(c) for c in classes]))
    wanted = torch.cat(list(classes)).to(device)
    size = images[0].size
    total: Any = 0.0
    for number, scale in enumerate(settings["scales"]):
        half = scale == HALF
        batch = level(images, number, model.backbone, device)[owners.to(device)]
        pairs = torch.stack([batch, batch.flip(3)], dim=1)
        length = chunk_length(batch, max_batch_pixels)
        maps = [
            climb(
                model,
                some.flatten(0, 1).contiguous(memory_format=torch.channels_last),
                of,
                iterations=settings["half_scale_iterations" if half else "iterations"],
                step_size=settings["step_size"],
                regularizer=settings["regularizer"],
                mask_threshold=settings["mask_threshold"],
            )
            for some, of in zip(pairs.split(length), wanted.split(length), strict=True)
        ]
        weight = settings["half_scale_weight"] if half else 1
        total = total + weight * on_grid(torch.cat(maps), size)
    return list(total.split([len(present) for present in classes]))
