"""Augmentation and normalisation of photographs for training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate


def normalize(
    image: Image.Image | np.ndarray, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """Return an RGB image as a (3, H, W) float tensor, `(x / 255 - mean) / std` per channel."""
    pixels = torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).float().div_(255)
    return pixels.sub_(torch.tensor(mean)[:, None, None]).div_(torch.tensor(std)[:, None, None])


def resize_long_side(image: Image.Image, long_side: int) -> Image.Image:
    """Resize so that the longer side is `long_side` pixels (bicubic); no side falls below 1."""
    return rescale(image, long_side / max(image.size))


def rescale(image: Image.Image, factor: float) -> Image.Image:
    """Resize both sides by `factor` (bicubic); no side falls below 1 pixel."""
    size = tuple(max(1, round(side * factor)) for side in image.size)
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def rescale_plainly(image: Image.Image, factor: float) -> Image.Image:
    """Resize both sides by `factor`, cut to whole pixels, by the four nearest pixels alone.

    Smaller images are sampled and not averaged, as OpenCV's INTER_LINEAR does; no side falls
    below 1 pixel.
    """
    width, height = (max(1, int(side * factor)) for side in image.size)
    if (width, height) == image.size:
        return image
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    resized = interpolate(pixels, size=(height, width), mode="bilinear", align_corners=False)
    return Image.fromarray(resized[0].round().byte().permute(1, 2, 0).contiguous().numpy())


@dataclass(frozen=True)
class Normalization:
    """Bytes to what a backbone reads, on the device: workers hand over a quarter of the memory.

    Attributes:
        mean, std: of the backbone's input.
    """

    mean: Sequence[float]
    std: Sequence[float]

    def __call__(self, pixels: Tensor, inside: Tensor) -> Tensor:
        """Return (B, 3, H, W) float32, channels-last, `(x / 255 - mean) / std`; 0 outside.

        Args:
            pixels: (B, 3, H, W) uint8.
            inside: (B, 4), the first row and the one behind the last, and so the columns, of the
                part of each image that is not padding.
        """
        device = pixels.device
        mean, std = (
            torch.tensor(values).view(1, 3, 1, 1).to(device, non_blocking=True)
            for values in (self.mean, self.std)
        )
        scaled = pixels.to(memory_format=torch.channels_last).float().div_(255)
        scaled = scaled.sub_(mean).div_(std)
        top, bottom, left, right = inside.T[:, :, None]
        rows = torch.arange(pixels.shape[2], device=device)
        columns = torch.arange(pixels.shape[3], device=device)
        seen = ((rows >= top) & (rows < bottom))[:, None, :, None]
        seen = seen & ((columns >= left) & (columns < right))[:, None, None, :]
        return torch.where(seen, scaled, 0.0)


@dataclass(frozen=True)
class Window:
    """A square crop of an image; what lies outside the image is padding.

    Attributes:
        crop: side of the window.
        box: (left, top, right, bottom) of the visible part, on the image.
        rows, columns: where the visible part stands in the window.
    """

    crop: int
    box: tuple[int, int, int, int]
    rows: slice
    columns: slice

    @classmethod
    def place(
        cls,
        size: tuple[int, int],
        crop: int,
        rng: np.random.Generator,
        padding_first: tuple[bool | None, bool | None] = (None, None),
    ) -> "Window":
        """Place a window at random on an image of (width, height) pixels.

        `padding_first`: see `place_crop`, across and down.
        """
        (from_x, to_x, width), (from_y, to_y, height) = (
            place_crop(side, crop, rng, first)
            for side, first in zip(size, padding_first, strict=True)
        )
        box = (from_x, from_y, from_x + width, from_y + height)
        return cls(crop, box, slice(to_y, to_y + height), slice(to_x, to_x + width))

    def pixels(self, image: Image.Image) -> dict[str, Tensor]:
        """Return an RGB image's {"image": (3, crop, crop) uint8, "inside": (4,)}."""
        canvas = torch.zeros(3, self.crop, self.crop, dtype=torch.uint8)
        cut = torch.from_numpy(np.array(image.crop(self.box))).permute(2, 0, 1)
        canvas[:, self.rows, self.columns] = cut
        edges = (self.rows.start, self.rows.stop, self.columns.start, self.columns.stop)
        return {"image": canvas, "inside": torch.tensor(edges)}

    def mask(self, mask: Image.Image, outside: int) -> Tensor:
        """Return a mask's (crop, crop) uint8; `outside` where there is padding."""
        canvas = torch.full((self.crop, self.crop), outside, dtype=torch.uint8)
        canvas[self.rows, self.columns] = torch.from_numpy(np.array(mask.crop(self.box)))
        return canvas


@dataclass(frozen=True)
class Augmentation:
    """Random resize, flip and crop, as IRN trains its classifier.

    Attributes:
        long_side: (lowest, highest) length of the longer side, in pixels.
        crop: side of the square crop; a smaller image is padded with zeros (after normalisation)
            at a random place.
        resolution: (lowest, highest) longer side that an image is shrunk to first, if it is
            larger, so that its sharpness says nothing about the data set it came from; or None.
        color_jitter: how far (brightness, contrast, saturation, hue) change at random; or None.
    """

    long_side: tuple[int, int]
    crop: int
    resolution: tuple[int, int] | None = None
    color_jitter: tuple[float, float, float, float] | None = None

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return {"image": (3, crop, crop) uint8, "inside": (4,)}; see `Normalization`."""
        if self.resolution is not None:
            target = int(rng.integers(self.resolution[0], self.resolution[1] + 1))
            if target < max(image.size):
                image = resize_long_side(image, target)
        image = resize_long_side(image, int(rng.integers(self.long_side[0], self.long_side[1] + 1)))
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.color_jitter is not None:
            image = jitter_colors(image, rng, self.color_jitter)
        return Window.place(image.size, self.crop, rng).pixels(image)


def jitter_colors(
    image: Image.Image, rng: np.random.Generator, ranges: Sequence[float]
) -> Image.Image:
    """Change an RGB image's colours at random, as torchvision's ColorJitter does.

    Brightness, contrast and saturation are multiplied by up to 1 -/+ their ranges, the hue turns by
    up to its range in full circles; the four come in random order.
    """
    # Here, because torchvision takes a second to import.
    from torchvision.transforms import functional

    *factors, turn = (rng.uniform(-reach, reach) for reach in ranges)
    changes = [
        (functional.adjust_brightness, max(0.0, 1 + factors[0])),
        (functional.adjust_contrast, max(0.0, 1 + factors[1])),
        (functional.adjust_saturation, max(0.0, 1 + factors[2])),
        (functional.adjust_hue, turn),
    ]
    for number in rng.permutation(len(changes)):
        change, amount = changes[number]
        image = change(image, amount)
    return image


def place_crop(
    side: int, crop: int, rng: np.random.Generator, padding_first: bool | None = None
) -> tuple[int, int, int]:
    """Place a window of `crop` pixels on a line of `side` pixels.

    `padding_first`: whether all padding of a shorter line is before it, or behind; None: at random.

    Returns:
        where the visible part starts on the image, where it starts in the window, its length.
    """
    if side >= crop:
        return int(rng.integers(0, side - crop + 1)), 0, crop
    if padding_first is None:
        return 0, int(rng.integers(0, crop - side + 1)), side
    return 0, (crop - side) * padding_first, side
