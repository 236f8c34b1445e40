"""Images in tiles: cutting, dense CRF on a tile, and putting the labels together again.

Without torch, because the worker processes of the CRF import this module.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wood.runtime.errors import InputError


@dataclass(frozen=True)
class Tiling:
    """How images larger than a tile are cut.

    Attributes:
        side: longest side that is worked on at once, pixels.
        margin: context around the part of a tile that is kept, pixels. With both a multiple of
            the network's stride, tiles lie on the grid of the whole image.
    """

    side: int = 1024
    margin: int = 192

    def __post_init__(self) -> None:
        if self.margin < 0 or self.side <= 2 * self.margin:
            raise InputError(
                f"A tile of {self.side} pixels has no room for margins of {self.margin} pixels."
            )


TILING = Tiling()  # bounds the memory whatever an image's size


@dataclass(frozen=True)
class Tile:
    """A window of an image, and the part of it that is kept; (top, left, bottom, right) pixels."""

    window: tuple[int, int, int, int]
    kept: tuple[int, int, int, int]


def cut_tiles(height: int, width: int, tiling: Tiling) -> list[Tile]:
    """Cut an image into windows of at most `side` pixels; the kept parts cover it without overlap.

    Every kept pixel has `margin` pixels of context, or all that the image has.
    """
    rows, columns = (_cut(length, tiling) for length in (height, width))
    return [
        Tile((top, left, bottom, right), (first, start, last, stop))
        for top, bottom, first, last in rows
        for left, right, start, stop in columns
    ]


def _cut(length: int, tiling: Tiling) -> list[tuple[int, int, int, int]]:
    if length <= tiling.side:
        return [(0, length, 0, length)]
    parts = []
    kept_to = 0
    while kept_to < length:
        start = max(0, kept_to - tiling.margin)
        stop = min(start + tiling.side, length)
        kept_from, kept_to = kept_to, length if stop == length else stop - tiling.margin
        parts.append((start, stop, kept_from, kept_to))
    return parts


@dataclass(frozen=True)
class ScoredTile:
    """The probabilities of one tile of an image, on their way to a mask.

    Attributes:
        size: (H, W) of the whole image.
        count: the number of tiles of this image.
        pixels: (h, w, 3) uint8 RGB of the window.
        labels: (n,) uint8, those that may occur.
        probabilities: (n, h, w) float32, of these labels.
    """

    image_id: str
    size: tuple[int, int]
    tile: Tile
    count: int
    pixels: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray


def labels_of(scored: ScoredTile) -> np.ndarray:
    """Return the (h, w) uint8 labels of the highest probability."""
    return scored.labels[scored.probabilities.argmax(axis=0)]


def refined_labels_of(scored: ScoredTile, parameters: Mapping[str, Any]) -> np.ndarray:
    """Return the (h, w) uint8 labels after the dense CRF (see `wood.crf.refine`)."""
    from wood.crf import refine

    refined = refine(scored.pixels, scored.probabilities, parameters=parameters)
    return scored.labels[refined.argmax(axis=0)]


class MaskAssembly:
    """Puts the labels of tiles, which come image by image, together; hands on each whole mask.

    An image of which a tile never comes is left out.
    """

    def __init__(self, finished: Callable[[str, np.ndarray], None]):
        self.finished = finished
        self.image_id: str | None = None
        self.added = 0
        self.mask = np.zeros((0, 0), dtype=np.uint8)

    def add(self, scored: ScoredTile, labels: np.ndarray) -> None:
        """Place the (h, w) `labels` of a tile's window."""
        if scored.image_id != self.image_id:
            self.image_id, self.added = scored.image_id, 0
            self.mask = np.zeros(scored.size, dtype=np.uint8)
        (top, left, _, _), (first, start, end, stop) = scored.tile.window, scored.tile.kept
        kept = labels[first - top : end - top, start - left : stop - left]
        self.mask[first:end, start:stop] = kept
        self.added += 1
        if self.added == scored.count:
            self.finished(scored.image_id, self.mask)
