"""Photographs for training with image-level labels, and for inference one after another."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wood.data.groups import of_one_size
from wood.data.images import load_image
from wood.data.transforms import Augmentation, Normalization
from wood.runtime.errors import InputError
from wood.runtime.progress import progress

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photographs:
    """Photographs and their labels, to train on.

    Attributes:
        paths: N files.
        labels: (N, C) float, 0 or 1; zeros for OoD images.
        augmentation: what makes a crop of a photograph.
        normalization: of the backbone's input.
    """

    paths: Sequence[str]
    labels: Tensor
    augmentation: Augmentation
    normalization: Normalization

    def __len__(self) -> int:
        return len(self.paths)

    def example(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return {"image": (3, crop, crop) uint8, "inside": (4,), "labels": (C,)}."""
        image = load_image(self.paths[index])
        return self.augmentation(image, rng) | {"labels": self.labels[index]}

    def on_device(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a batch of examples with its images as the backbone reads them."""
        return batch | {"image": self.normalization(batch["image"], batch["inside"])}


def readable_images(
    images: pd.DataFrame,
    max_failed_fraction: float,
    workers: int = 2,
    at_least: int | None = None,
) -> Iterator[tuple[str, Image.Image]]:
    """Yield (image_id, RGB image) in the order of the list; unreadable ones are logged and skipped.

    Decoding runs ahead in `workers` threads; `at_least` is that of `load_image`.

    Raises:
        InputError: more than `max_failed_fraction` of the images cannot be read.
    """
    rows = images[["image_id", "path"]].itertuples(index=False)
    allowed = max_failed_fraction * len(images)
    failures: list[str] = []
    waiting: deque[tuple[str, Future]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for row in rows:
            loaded = pool.submit(load_image, row.path, at_least=at_least)
            waiting.append((row.image_id, loaded))
            if len(waiting) > 2 * workers:
                yield from _next(waiting, failures, allowed)
        while waiting:
            yield from _next(waiting, failures, allowed)


def readable_rows(
    images: pd.DataFrame, max_failed_fraction: float, workers: int = 2
) -> pd.DataFrame:
    """Return the rows of an image list whose images can be read; the others are logged.

    Every file is read to its end once, so that training does not stop at a broken one hours later;
    a JPEG is decoded at an eighth of its size, in half to two thirds of the time.

    Raises:
        InputError: more than `max_failed_fraction` of the images cannot be read, or none can.
    """
    loaded = readable_images(images, max_failed_fraction, workers, at_least=1)
    found = {image_id for image_id, _ in progress(loaded, len(images), "checking images")}
    if not found:
        first, others = images["path"].iloc[0], len(images) - 1
        raise InputError(f"{first}: neither this image nor one of {others} others can be read.")
    return images[images["image_id"].isin(found)].reset_index(drop=True)


def _next(
    waiting: deque[tuple[str, Future]], failures: list[str], allowed: float
) -> Iterator[tuple[str, Image.Image]]:
    image_id, future = waiting.popleft()
    try:
        yield image_id, future.result()
    except InputError as error:
        logger.warning("Skipped: %s", error)
        failures.append(str(error))
        if len(failures) > allowed:
            raise InputError(
                f"{len(failures)} unreadable images are more than the allowed share "
                f"(max_failed_fraction); the last one: {error}"
            ) from None


def batches_of_one_size(
    images: Iterable[tuple[str, Image.Image]], max_pixels: int
) -> Iterator[tuple[list[str], list[Image.Image]]]:
    """Group images of one size into batches of at most `max_pixels` pixels (at least one image).

    `wood.data.groups.of_one_size` says how many images wait meanwhile.
    """
    for group in of_one_size(images, lambda named: named[1].size, max_pixels):
        yield [image_id for image_id, _ in group], [image for _, image in group]


def stack(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    """Stack (3, H, W) tensors to (B, 3, H, W), channels-last, on the device."""
    return torch.stack(list(tensors)).to(device, memory_format=torch.channels_last)
