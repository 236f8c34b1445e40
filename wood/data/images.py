"""Reading photographs of any common kind as RGB."""

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from wood.runtime.errors import InputError
from wood.runtime.sentences import reason

# Only raster formats of photographs: other plug-ins of Pillow (EPS, for one) start programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")

MAX_PIXELS = 64_000_000
EXIF_ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
COUNTER_CLOCKWISE = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}

# What Pillow's decoders raise on damaged files.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    AssertionError,
    struct.error,
    zlib.error,
)


def load_image(
    path: str | Path,
    max_pixels: int = MAX_PIXELS,
    rotation: float | None = 0,
    at_least: int | None = None,
) -> Image.Image:
    """The upright RGB image in `path`.

    Grey, CMYK, palette and 16-bit images are converted; transparent pixels are laid on white.
    `rotation` is Open Images' ``Rotation``: the degrees (0, 90, 180 or 270; None and NaN mean
    unknown, taken as 0) by which the stored image is to be turned counter-clockwise. That column
    was derived from the camera's EXIF tag, so a file that still carries the tag is turned by the
    tag alone.

    With `at_least`, pixels of the longer side, a larger JPEG may come at 1/2, 1/4 or 1/8 of its
    size, but not below that: its decoder skips the frequencies that nobody needs.

    Raises InputError naming the file if it is missing, unreadable, truncated, or has more than
    `max_pixels` pixels (seen in the header, before anything is decoded).
    """
    path = Path(path)
    turn = _whole_turn(rotation, path)
    with _opened(path, max_pixels) as image:
        if at_least is not None and image.format == "JPEG":
            factor = at_least / max(image.size)
            width, height = (math.ceil(side * factor) for side in image.size)
            image.draft(None, (width, height))
        image.load()
        orientation = _exif_orientation(image)
        rgb = _to_rgb(image)
    if orientation in UPRIGHT:
        return rgb.transpose(UPRIGHT[orientation])
    return rgb.transpose(COUNTER_CLOCKWISE[turn]) if turn else rgb


def long_side(path: str | Path) -> int:
    """The longer side in pixels of the image in `path`, from its header; errors as `load_image`."""
    with _opened(Path(path), MAX_PIXELS) as image:
        return max(image.size)


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise InputError(
                    f"{path}: {width}x{height} pixels are more than the {max_pixels} allowed."
                )
            yield image
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such image.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"{path}: more pixels than the {max_pixels} allowed.") from None
    except DAMAGE as error:
        raise InputError(f"{path}: not a readable image ({reason(error)}).") from error


def _whole_turn(rotation: float | None, path: Path) -> int:
    if rotation is None or math.isnan(rotation) or rotation == 0:
        return 0
    if rotation not in COUNTER_CLOCKWISE:
        raise InputError(f"{path}: rotation is 0, 90, 180 or 270 degrees, not {rotation}.")
    return int(rotation)


def _exif_orientation(image: Image.Image) -> int:
    """The orientation tag; a broken EXIF block does not spoil a readable image."""
    try:
        return image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion clips at 255 instead of scaling.
        grey = np.clip(np.asarray(image, dtype=np.int64), 0, 0xFFFF) >> 8
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")
    # convert() returns a loaded copy, so the result outlives the file.
    return image.convert("RGB")
