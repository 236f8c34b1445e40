"""Multi-scale inference: palette PNGs for a list of images, with and without dense CRF."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from wood.data.lists import read_image_list, shard
from wood.data.masks import save_mask
from wood.data.photographs import readable_images, stack
from wood.data.transforms import normalize
from wood.models.deeplab import DeepLabV2, at_pixels, load_to_predict, rescale_images
from wood.models.weights import check_classes
from wood.runtime.devices import autocast, find_device
from wood.runtime.errors import InputError
from wood.runtime.pool import Outcome, parallel_map, successes
from wood.runtime.progress import progress
from wood.runtime.store import atomic_directory
from wood.segmentation.tiles import (
    TILING,
    MaskAssembly,
    ScoredTile,
    Tiling,
    cut_tiles,
    labels_of,
    refined_labels_of,
)

# Of the even share 1 / L: a label that nowhere in a tile is more probable is left out there. The
# most probable label always stays.
LEAST_SHARE = 0.2


@dataclass(frozen=True)
class MultiScale:
    """How the scores of an image are made.

    Attributes:
        scales: resize factors.
        flip: the mirror image too.
        merge: "max" of the logits over scales and flips (as published), or their "mean".
    """

    scales: Sequence[float] = (1.0, 0.75, 0.5)
    flip: bool = False
    merge: str = "max"

    def __post_init__(self) -> None:
        if self.merge not in ("max", "mean"):
            raise InputError(f"merge is max or mean, not {self.merge!r}.")
        if not self.scales or min(self.scales) <= 0:
            raise InputError("scales is a list of at least one number above 0.")


@torch.inference_mode()
def class_probabilities(
    network: DeepLabV2, image: Image.Image, method: MultiScale, device: torch.device
) -> Tensor:
    """Return the probabilities (L, H, W) of the labels at every pixel, on `device`.

    The logits of all scales are merged on the grid of the largest one, then upsampled.
    """
    backbone = network.backbone
    whole = stack([normalize(image, backbone.mean, backbone.std)], device)
    merged: Tensor | None = None
    for scale in sorted(method.scales, reverse=True):
        batch = rescale_images(whole, scale, network.alignment)
        if method.flip:
            batch = torch.cat([batch, batch.flip(3)])
        with autocast(device):
            logits = network(batch).float()
        if method.flip:
            logits = torch.stack([logits[0], logits[1].flip(2)])
        if merged is not None:
            logits = interpolate(
                logits, size=merged.shape[-2:], mode="bilinear", align_corners=False
            )
        if method.merge == "max":
            logits = logits.amax(dim=0)
            merged = logits if merged is None else torch.maximum(merged, logits)
        else:
            logits = logits.mean(dim=0) / len(method.scales)
            merged = logits if merged is None else merged + logits
    cell = backbone.stage_strides[-1] / max(method.scales)
    full = at_pixels(merged[None], (image.height, image.width), cell, network.alignment)
    return full[0].softmax(dim=0)


def score_tiles(
    network: DeepLabV2,
    images: Iterable[tuple[str, Image.Image]],
    method: MultiScale,
    tiling: Tiling,
    device: torch.device,
) -> Iterator[ScoredTile]:
    """Yield the tiles of every image with their probabilities, in order.

    Raises:
        InputError: naming the image whose probabilities are not finite.
    """
    for image_id, image in images:
        tiles = cut_tiles(image.height, image.width, tiling)
        for tile in tiles:
            top, left, bottom, right = tile.window
            part = image.crop((left, top, right, bottom))
            probabilities = class_probabilities(network, part, method, device)
            highest = probabilities.amax(dim=(1, 2))
            if not torch.isfinite(highest).all():
                raise InputError(f"The network's scores of the image {image_id} hold NaN.")
            labels = (highest >= LEAST_SHARE / len(highest)).nonzero()[:, 0]
            yield ScoredTile(
                image_id,
                (image.height, image.width),
                tile,
                len(tiles),
                np.array(part),
                labels.cpu().numpy().astype(np.uint8),
                probabilities[labels].cpu().numpy(),
            )


def segment_images(
    images: str | Path,
    network: str | Path,
    output: str | Path,
    *,
    shard_index: int = 0,
    shard_count: int = 1,
    class_names: Sequence[str] | None = None,
    scales: Sequence[float],
    flip: bool,
    merge: str,
    crf: Mapping[str, Any] | None = None,
    crf_output: str | Path | None = None,
    workers: int = 1,
    max_failed_fraction: float = 0.0,
) -> None:
    """Write a palette PNG `<image_id>.png` of each image's size for one shard of an image list.

    Args:
        images: image list.
        network: weights written by `train_segmentation`.
        output: folder of the masks; it appears whole.
        shard_index, shard_count: the part of the list.
        class_names: the foreground classes that the network must have been trained for.
        scales, flip, merge: see `MultiScale`.
        crf: parameters of `wood.crf.refine`; None for no dense CRF.
        crf_output: folder of the masks after the CRF, written in the same pass.
        workers: processes for the CRF.
        max_failed_fraction: share of images that may fail, and then are listed and left out.

    Raises:
        InputError: weights of another architecture or other classes, scores with NaN (naming the
            image), or too many images that are unreadable or fail in the CRF.
    """
    if (crf is None) != (crf_output is None):
        raise InputError("crf and crf_output belong together.")
    method = MultiScale(tuple(scales), flip, merge)
    device = find_device()
    model, metadata = load_to_predict(network, device)
    if class_names is not None:
        check_classes(network, metadata, class_names)
    listed = shard(read_image_list(images), shard_index, shard_count)
    loaded = progress(
        readable_images(listed, max_failed_fraction, workers), len(listed), "segmentation"
    )
    scored = score_tiles(model, loaded, method, TILING, device)
    with ExitStack() as folders:
        plain = MaskAssembly(_writer(folders.enter_context(atomic_directory(output))))
        if crf is None:
            for tile in scored:
                plain.add(tile, labels_of(tile))
            return
        refined = MaskAssembly(_writer(folders.enter_context(atomic_directory(crf_output))))
        outcomes = _refine(_added(scored, plain), crf, workers)
        for outcome in successes(outcomes, len(listed), max_failed_fraction):
            refined.add(outcome.item, outcome.value)


def _refine(tiles: Iterable[ScoredTile], crf: Mapping[str, Any], workers: int) -> Iterator[Outcome]:
    refined = partial(refined_labels_of, parameters=crf)
    return parallel_map(refined, tiles, workers=workers, name=lambda tile: tile.image_id)


def _added(tiles: Iterable[ScoredTile], masks: MaskAssembly) -> Iterator[ScoredTile]:
    """Pass tiles on, their labels added to the masks."""
    for tile in tiles:
        masks.add(tile, labels_of(tile))
        yield tile


def _writer(folder: Path) -> Callable[[str, np.ndarray], None]:
    return lambda image_id, mask: save_mask(folder / f"{image_id}.png", mask)
