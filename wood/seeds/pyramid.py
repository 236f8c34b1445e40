"""Photographs at several scales: resized ahead by threads, normalised on the device."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from wood.data.transforms import rescale
from wood.models.backbone import Backbone


@dataclass(frozen=True)
class Pyramid:
    """One photograph at several scales.

    Attributes:
        size: height and width in pixels at scale 1.
        levels: (h, w, 3) uint8 for each scale, in their order.
    """

    size: tuple[int, int]
    levels: tuple[np.ndarray, ...]


def make_pyramid(image: Image.Image, scales: Sequence[float]) -> Pyramid:
    """Resize an RGB image to each of `scales` (bicubic, as IRN does)."""
    levels = tuple(np.array(rescale(image, scale)) for scale in scales)
    return Pyramid((image.height, image.width), levels)


def pyramids(
    batches: Iterable[tuple[list[str], list[Image.Image]]], scales: Sequence[float], workers: int
) -> Iterator[tuple[list[str], list[Pyramid]]]:
    """Yield each batch of images as pyramids; `workers` threads make those of the next one."""
    waiting: deque[tuple[list[str], list[Future[Pyramid]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for ids, images in batches:
            waiting.append((ids, [pool.submit(make_pyramid, image, scales) for image in images]))
            if len(waiting) > 1:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())


def _finished(ids: list[str], made: Sequence[Future[Pyramid]]) -> tuple[list[str], list[Pyramid]]:
    return ids, [future.result() for future in made]


def level(
    images: Sequence[Pyramid], number: int, backbone: Backbone, device: torch.device
) -> Tensor:
    """Return scale number `number` of images of one size, as the backbone reads them.

    (B, 3, h, w) float32, channels-last, on the device: the bytes are moved, and normalised there.
    """
    pixels = torch.from_numpy(np.stack([image.levels[number] for image in images]))
    if device.type == "cuda":
        pixels = pixels.pin_memory()
    batch = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1).to(device, non_blocking=True)
        for values in (backbone.mean, backbone.std)
    )
    return batch.sub_(mean).div_(std)


def chunk_length(batch: Tensor, max_batch_pixels: int) -> int:
    """Return how many images (B, 3, h, w) go through at once, each with its mirror image."""
    return max(1, max_batch_pixels // (2 * batch.shape[2] * batch.shape[3]))
