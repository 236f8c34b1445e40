"""Pseudo ground-truth masks: seeds spread by the random walk (IRN, Sec. 5.2; W-OoD, Sec. 3.3)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from math import ceil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from wood.affinity.inputs import Seed, check_size, read_seeds
from wood.affinity.random_walk import random_walk
from wood.data.lists import read_image_list
from wood.data.masks import save_mask
from wood.data.photographs import batches_of_one_size, readable_images, stack
from wood.data.transforms import normalize
from wood.maps import upsample
from wood.models.irnet import STRIDE, IRNet, load_irnet
from wood.runtime.devices import autocast, find_device
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.store import atomic_directory

# Deepest stride of the backbone: inputs are padded to multiples of it.
PAD = 16


def make_pseudo_masks(
    maps: str | Path,
    images: str | Path,
    irnet: str | Path,
    output: str | Path,
    *,
    class_names: Sequence[str],
    radius: int = 5,
    beta: float = 10.0,
    exp_times: int = 8,
    mask_threshold: float = 0.25,
    power: float = 1.0,
    max_batch_pixels: int = 8_000_000,
    max_failed_fraction: float = 0.01,
    workers: int = 2,
    classifier: str | None = None,
    boundaries: str | Path | None = None,
) -> None:
    """Write the pseudo-mask `<image_id>.png` of every image of a shard of localization maps.

    Palette PNGs of the images' sizes: 0 background, 1 to C the classes.

    Args:
        maps: shard of localization maps.
        images: image list with (at least) the shard's images.
        irnet: weights of IRNet.
        output: folder, written whole or not at all.
        class_names: C foreground classes that the maps must be for.
        radius, beta, exp_times: of the random walk; see `wood.affinity.random_walk`.
        mask_threshold: score of the background, as a share of the image's highest score.
        power: exponent of the localization maps, taken before the walk.
        max_batch_pixels: of the images at once on a GPU; a CPU gains nothing by more than one.
        max_failed_fraction: share of unreadable images that are logged and have no mask.
        workers: threads that read images.
        classifier: weights file that must have made the maps; None means any.
        boundaries: folder for the class boundary maps at stride 4, as grey PNGs (255 = certain).

    Raises:
        InputError: a broken shard, one for other classes or of another classifier, weights of
            another architecture, values that are not finite, or too many unreadable images.
    """
    device = find_device()
    model, metadata = load_irnet(irnet)
    model.to(device, memory_format=torch.channels_last)
    seeds = {seed.image_id: seed for seed in read_seeds(maps, images, class_names, classifier)}
    loaded = images_of(seeds, images, max_failed_fraction, workers, "pseudo-masks")
    batch_pixels = max_batch_pixels if device.type == "cuda" else 0
    beside = atomic_directory(boundaries) if boundaries else nullcontext()
    with atomic_directory(output) as folder, beside as boundary_folder:
        for ids, batch in batches_of_one_size(loaded, batch_pixels):
            for image_id, image in zip(ids, batch, strict=True):
                check_size(seeds[image_id], image.height, image.width)
            boundary = boundary_maps(model, batch, metadata["crop"], device)
            check_finite(irnet, "class boundary map", ids, boundary)
            scores = walk_seeds([seeds[i] for i in ids], boundary, radius, beta, exp_times, power)
            for image_id, values, edges in zip(ids, scores, boundary, strict=True):
                mask = pseudo_mask(seeds[image_id], values, mask_threshold)
                save_mask(folder / f"{image_id}.png", mask)
                if boundary_folder:
                    _save_grey(boundary_folder / f"{image_id}.png", edges)


def _save_grey(path: Path, values: Tensor) -> None:
    """Write (h, w) values from 0 to 1 as a grey PNG."""
    Image.fromarray((values * 255).round().to("cpu", torch.uint8).numpy()).save(path)


def images_of(
    seeds: Mapping[str, Seed],
    images: str | Path,
    max_failed_fraction: float,
    workers: int,
    description: str,
) -> Iterator[tuple[str, Image.Image]]:
    """Read the photographs of a shard's seeds, with a progress bar; see `readable_images`."""
    listed = read_image_list(images)
    listed = listed[listed["image_id"].isin(list(seeds))]
    loaded = readable_images(listed, max_failed_fraction, workers)
    return progress(loaded, len(listed), description)


def check_finite(irnet: str | Path, what: str, ids: Sequence[str], maps: Tensor) -> None:
    """Raise InputError naming the first image whose map, of `maps` (B, ...), is not finite."""
    for image_id, values in zip(ids, maps, strict=True):
        if not torch.isfinite(values).all():
            raise InputError(f"{irnet}: the {what} of the image {image_id!r} is not finite.")


def boundary_maps(
    model: IRNet, images: Sequence[Image.Image], crop: int, device: torch.device
) -> Tensor:
    """Return the class boundary maps (B, ceil(H/4), ceil(W/4)) of images of one size."""
    return irnet_maps(model, images, crop, device)[0]


@torch.inference_mode()
def irnet_maps(
    model: IRNet, images: Sequence[Image.Image], crop: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the class boundary maps and the displacement fields of images of one size.

    They are (B, h, w) and (B, 2, h, w) with h = ceil(H/4) and w = ceil(W/4). The boundary's logits
    of the image and of its mirror image are averaged. Images smaller than the training crops are
    padded to their size, as they were in training: group normalisation sees the padding.
    """
    backbone = model.backbone
    width, height = images[0].size
    room = [max(crop, ceil(side / PAD) * PAD) - side for side in (width, height)]
    plain = stack([normalize(image, backbone.mean, backbone.std) for image in images], device)
    both = pad(torch.cat([plain, plain.flip(3)]), (0, room[0], 0, room[1]))
    with autocast(device):
        logits, displacement = model(both)
    grid = (slice(ceil(height / STRIDE)), slice(ceil(width / STRIDE)))
    direct, mirrored = logits[:, 0, *grid].float().chunk(2)
    field = displacement[: len(images), :, *grid].float()
    return torch.sigmoid((direct + mirrored.flip(2)) / 2), field


def walk_seeds(
    seeds: Sequence[Seed],
    boundary: Tensor,
    radius: int,
    beta: float,
    exp_times: int,
    power: float = 1.0,
) -> list[Tensor]:
    """Return the seeds of images of one size, spread by the random walk: (n, h, w) for each.

    The maps are raised to `power` before the walk, as in the published code of AdvCAM and W-OoD
    (`step/make_sem_seg_labels.py`). One walk serves all; images with fewer classes are filled up
    with empty maps.
    """
    counts = [len(seed.maps.classes) for seed in seeds]
    batch = boundary.new_zeros(len(seeds), max(counts), *boundary.shape[1:])
    for maps, seed, count in zip(batch, seeds, counts, strict=True):
        maps[:count] = seed.maps.maps
    if power != 1:
        batch = batch**power
    walked = random_walk(batch, boundary, radius=radius, beta=beta, exp_times=exp_times)
    return [maps[:count] for maps, count in zip(walked, counts, strict=True)]


def pseudo_mask(seed: Seed, scores: Tensor, threshold: float) -> np.ndarray:
    """Return the (H, W) uint8 mask of one image from its walked scores (n, h, w).

    Scores are upsampled and divided by their maximum over all classes; where none is above
    `threshold` the mask is background. An image without a seed is background.
    """
    best = relative_scores(scores, seed.maps.size, threshold).argmax(dim=0)
    return seed.maps.mask_values[best.cpu().numpy()]


def relative_scores(scores: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """Return (n + 1, H, W): `threshold` for the background, then the upsampled (n, h, w) scores.

    They are divided by their maximum over all n.
    """
    large = upsample(scores, size).to(scores.device)
    highest = large.max() if large.numel() else large.new_zeros(())
    relative = large / highest.clamp(min=torch.finfo(large.dtype).tiny)
    background = torch.full((1, *size), threshold, device=scores.device)
    return torch.cat([background, relative])
