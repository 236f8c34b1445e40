"""Photographs and masks to train on: true masks, pseudo-masks or IR labels, one beside each."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from wood.data.image_ids import file_id
from wood.data.images import load_image
from wood.data.lists import read_image_list
from wood.data.masks import IGNORE, check_values, load_mask
from wood.data.photographs import readable_images
from wood.data.transforms import Normalization, Window, rescale, rescale_plainly
from wood.runtime.errors import InputError
from wood.runtime.progress import progress

logger = logging.getLogger(__name__)

LOADERS = ("irn", "deeplab")


@dataclass(frozen=True)
class MaskedPhotographs:
    """Photographs and their masks, randomly resized, flipped and cropped together.

    Attributes:
        images, masks: N paths each; without masks, every pixel is background, as in OoD images.
        crop: side of the square crop; what lies outside the image is the mean colour, ignored.
        scale_range: the resize factor is drawn evenly from it.
        normalization: of the backbone's input.
        scale_step: if given, from the steps of that size alone, both ends included.
        loader: "irn": bicubic resizing, padding anywhere; "deeplab": as deeplab-pytorch's
            `libs/datasets/base.py`, bilinear resizing, padding below and on the right, of the
            image or of its mirror image.
    """

    images: Sequence[str]
    masks: Sequence[Path] | None
    crop: int
    scale_range: tuple[float, ...]
    normalization: Normalization
    scale_step: float | None = None
    loader: str = "irn"

    def __post_init__(self) -> None:
        if self.loader not in LOADERS:
            raise InputError(f"loader is {' or '.join(LOADERS)}, not {self.loader!r}.")

    def __len__(self) -> int:
        return len(self.images)

    def example(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return {"image": (3, crop, crop) uint8, "inside": (4,), "target": (crop, crop) uint8}."""
        image = load_image(self.images[index])
        size = (image.height, image.width)
        values = np.zeros(size, np.uint8)
        if self.masks is not None:
            values = load_mask(self.masks[index], size)
        published = self.loader == "deeplab"
        image = (rescale_plainly if published else rescale)(image, self._factor(rng))
        mask = Image.fromarray(values).resize(image.size, Image.Resampling.NEAREST)
        mirrored = rng.random() < 0.5
        if mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            mask = mask.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        # The published loader pads before it mirrors.
        padding_first = (bool(mirrored), False) if published else (None, None)
        window = Window.place(image.size, self.crop, rng, padding_first)
        return window.pixels(image) | {"target": window.mask(mask, IGNORE)}

    def _factor(self, rng: np.random.Generator) -> float:
        low, high = self.scale_range
        if self.scale_step is None:
            return float(rng.uniform(low, high))
        return low + self.scale_step * int(rng.integers(round((high - low) / self.scale_step) + 1))

    def on_device(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return a batch of examples with its images as the backbone reads them."""
        return batch | {"image": self.normalization(batch["image"], batch["inside"])}


def find_masks(
    images: str | Path,
    mask_dirs: Sequence[str | Path],
    num_classes: int,
    max_failed_fraction: float = 0.0,
) -> tuple[list[str], list[Path]]:
    """Return the image paths of a list, and the mask `<image_id>.png` of each.

    Every image and mask is read once, so that training does not stop at a broken file hours later.
    Further files in the folders are ignored. Images without a mask, and unreadable ones, are
    logged and left out.

    Raises:
        InputError: more than `max_failed_fraction` of the images have no mask, or cannot be read;
            a mask is broken, of another size than its image, or has a value above `num_classes`.
    """
    places: dict[str, Path] = {}
    for folder in map(Path, mask_dirs):
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of masks.")
        for path in folder.glob("*.png"):
            places.setdefault(file_id(path), path)
    listed = read_image_list(images)
    has_mask = listed["image_id"].isin(list(places))
    missing = list(listed["image_id"][~has_mask])
    if len(missing) > max_failed_fraction * len(listed):
        folders = ", ".join(map(str, mask_dirs))
        raise InputError(
            f"{folders}: {len(missing)} of {len(listed)} images have no mask, "
            f"the first is {missing[0]!r}."
        )
    for image_id in missing:
        logger.warning("Left out, because it has no mask: %s", image_id)
    paths = dict(zip(listed["image_id"], listed["path"], strict=True))
    readable = readable_images(listed[has_mask], max_failed_fraction)
    found = []
    for image_id, image in progress(readable, int(has_mask.sum()), "checking images and masks"):
        mask = load_mask(places[image_id], (image.height, image.width))
        check_values(places[image_id], mask, num_classes)
        found.append(image_id)
    return [paths[image_id] for image_id in found], [places[image_id] for image_id in found]
