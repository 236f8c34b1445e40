"""Localization maps on disk: many images to one safetensors file, called a shard.

Maps are kept at stride 4 in float16, only for the classes present, and upsampled where they are
used: over 30 times less disk than full-resolution float32 maps, one file an image.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from wood.runtime.errors import InputError
from wood.runtime.sentences import listed, quoted
from wood.runtime.store import load_tensors, save_tensors

STRIDE = 4
PAD = 16
KIND = "localization maps"


@dataclass
class LocalizationMaps:
    """The localization maps of one image.

    Attributes:
        image_id: the image.
        size: its height and width in pixels.
        classes: (n,) int64, the foreground classes present, counted from 0, ascending.
        maps: (n, ceil(H/4), ceil(W/4)) float16, each map's maximum 1 (or 0 where it is empty).
    """

    image_id: str
    size: tuple[int, int]
    classes: torch.Tensor
    maps: torch.Tensor

    def upsampled(self) -> torch.Tensor:
        """Return the maps at the image's size, (n, H, W) float32, by bilinear interpolation."""
        return upsample(self.maps, self.size)

    def seed_labels(self, threshold: float) -> np.ndarray:
        """Return where the maps exceed `threshold`: (H, W) int64, 0 or 1 + the place in `classes`.

        Their comparison is that of float32: a score equal to the threshold is background.
        """
        background = np.full((1, *self.size), threshold, np.float32)
        return np.concatenate([background, self.upsampled().numpy()]).argmax(axis=0)

    @property
    def mask_values(self) -> np.ndarray:
        """The mask values of background and of the classes present: (n + 1,) uint8."""
        return np.array([0, *(self.classes + 1).tolist()], dtype=np.uint8)

    def seed(self, threshold: float) -> np.ndarray:
        """Return the seed at `threshold` as a mask: (H, W) uint8."""
        return self.mask_values[self.seed_labels(threshold)]


def grid_size(size: tuple[int, int], stride: int = STRIDE) -> tuple[int, int]:
    """Return the height and width of the maps of an image of `size` (H, W)."""
    height, width = size
    return ceil(height / stride), ceil(width / stride)


def on_grid(maps: torch.Tensor, size: tuple[int, int], stride: int = STRIDE) -> torch.Tensor:
    """Bring maps (N, h, w) of images of `size` (H, W) to the grid that they are kept on.

    They are stretched over the image padded to a multiple of 16 pixels, as in IRN, and cropped:
    (N, ceil(H/stride), ceil(W/stride)).
    """
    rows, columns = grid_size(size, stride)
    padded = [ceil(side / PAD) * PAD // stride for side in size]
    large = interpolate(maps[None], size=padded, mode="bilinear", align_corners=False)[0]
    return large[:, :rows, :columns]


def normalize_maps(maps: torch.Tensor, zero_is_minimum: bool = False) -> torch.Tensor:
    """Divide each map of (n, h, w) by its maximum; an empty map stays zero.

    `zero_is_minimum`: its minimum is subtracted first, as SEAM does.
    """
    if zero_is_minimum:
        maps = maps - maps.amin(dim=(1, 2), keepdim=True)
    highest = maps.amax(dim=(1, 2), keepdim=True)
    return torch.where(highest > 0, maps / highest, torch.zeros_like(maps))


def upsample(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bring (n, ceil(H/4), ceil(W/4)) to (n, H, W) float32: bilinear by 4, cropped to `size`."""
    height, width = size
    if len(maps) == 0:
        return torch.zeros(0, height, width)
    large = interpolate(
        maps.float()[None], scale_factor=STRIDE, mode="bilinear", align_corners=False
    )[0]
    return large[:, :height, :width]


def write_maps(
    path: str | Path,
    images: Iterable[LocalizationMaps],
    *,
    class_names: Sequence[str],
    source: str,
) -> None:
    """Write one shard; `source` names the classifier and the localization that made it."""
    tensors, index = {}, []
    for image in images:
        tensors[image.image_id] = image.maps.to(torch.float16)
        index.append([image.image_id, list(image.size), image.classes.tolist()])
    metadata = {"kind": KIND, "classes": list(class_names), "source": source, "images": index}
    save_tensors(path, tensors, metadata)


def read_maps(
    path: str | Path, class_names: Sequence[str] | None = None, classifier: str | None = None
) -> list[LocalizationMaps]:
    """Read one shard, in the order it was written.

    Args:
        path: the shard.
        class_names: foreground classes that the maps must be for. None means any.
        classifier: weights file that must have made the maps, as it was called then. None means
            any.

    Raises:
        InputError: the file is truncated, holds something else, was made for other classes or by
            another classifier.
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("kind") != KIND:
        raise InputError(f"{path}: this file does not hold localization maps.")
    source, names = metadata.get("source"), metadata.get("classes")
    if not isinstance(source, str) or not isinstance(names, list):
        raise InputError(f"{path}: it does not say what made these maps, or for which classes.")
    if classifier is not None and not source.startswith(f"{classifier}: "):
        raise InputError(f"{path}: these maps are of {source}, not of {classifier}.")
    if class_names is not None and names != list(class_names):
        raise InputError(
            f"{path}: these maps were made for the classes {listed(names)}, "
            f"not for {listed(class_names)}."
        )
    entries = metadata.get("images")
    if not isinstance(entries, list):
        raise InputError(f"{path}: it does not list its images.")
    return [_image_maps(path, entry, tensors, len(names)) for entry in entries]


def _image_maps(
    path: str | Path, entry: Any, tensors: Mapping[str, torch.Tensor], class_count: int
) -> LocalizationMaps:
    """Return the maps of one entry of a shard's metadata, if they are what it says."""
    try:
        image_id, (height, width), classes = entry
        maps = tensors[image_id]
    except (TypeError, ValueError, KeyError):
        raise InputError(f"{path}: the entry {quoted(entry)} is not one of an image.") from None
    sides = (height, width, *classes) if isinstance(classes, list) else (None,)
    if any(type(number) is not int for number in sides) or min(height, width) < 1:
        raise InputError(f"{path}: the entry {quoted(entry)} is not one of an image.")
    where = f"{path}: the image {quoted(image_id)}"
    if classes != sorted(set(classes)) or not all(0 <= one < class_count for one in classes):
        raise InputError(f"{where} has the classes {classes}; there are {class_count}.")
    if tuple(maps.shape) != (len(classes), *grid_size((height, width))):
        raise InputError(
            f"{where} has maps of {tuple(maps.shape)}, not {len(classes)} for {height}x{width} "
            "pixels."
        )
    if not torch.isfinite(maps).all():
        raise InputError(f"{where} has maps that are not finite.")
    return LocalizationMaps(
        image_id, (height, width), torch.tensor(classes, dtype=torch.int64), maps
    )
