"""Segmentation masks: palette PNGs in Pascal VOC's colours, 0 = background, 255 = ignore."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from wood.data.image_ids import file_of
from wood.data.images import DAMAGE
from wood.data.lists import read_image_list
from wood.runtime.errors import InputError
from wood.runtime.store import atomic_directory, atomic_path

IGNORE = 255

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)


def _voc_palette() -> list[int]:
    """VOC's colour map: bits 0, 1, 2 of the index, then bits 3, 4, 5 and so on, become the
    highest, next-highest, ... bits of red, green and blue."""
    palette = []
    for index in range(256):
        for channel in range(3):
            colour = 0
            for level in range(8):
                bit = 3 * level + channel
                colour |= (index >> bit & 1) << (7 - level)
            palette.append(colour)
    return palette


VOC_PALETTE = _voc_palette()
VOC_COLOURS = {tuple(VOC_PALETTE[3 * index : 3 * index + 3]): index for index in range(256)}

# Grey of fewer bits is stretched to 0..255 when it is read: by bits, what one step becomes.
GREY_STEP = {2: 85, 4: 17}


def load_mask(path: str | Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """(H, W) uint8 palette indices of the mask in `path`, `size` being the image's (H, W).

    A palette that is not VOC's, as an editor writes that saves the mask again, is read by its
    colours; a grey palette is read as grey values are.

    Raises InputError naming the file if it is missing, damaged, not a palette or grey PNG, of
    another size, or has a colour that is not one of VOC's.
    """
    path = Path(path)
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if size is not None and image.size != (size[1], size[0]):
                raise InputError(
                    f"{path}: the mask has {image.width}x{image.height} pixels, "
                    f"its image {size[1]}x{size[0]}."
                )
            if image.mode not in ("P", "L"):
                raise InputError(
                    f"{path}: a mask is a palette or 8-bit grey PNG, this one's mode is "
                    f"{image.mode}."
                )
            values = np.array(image, dtype=np.uint8)
            if image.mode == "L":
                return values // GREY_STEP.get(_bit_depth(path), 1)
            return _by_colour(path, values, image.getpalette("RGB") or [])
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such mask.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(f"{path}: the mask has too many pixels.") from None
    except DAMAGE as error:
        raise InputError(f"{path}: not a readable mask ({error}).") from error


def _bit_depth(path: Path) -> int:
    """The bits of a PNG's sample, from its header."""
    with path.open("rb") as file:
        return file.read(25)[24]


def _by_colour(path: Path, values: np.ndarray, palette: Sequence[int]) -> np.ndarray:
    """(H, W) uint8: the indices of `values` in VOC's palette, or as grey values."""
    if list(palette) == VOC_PALETTE[: len(palette)]:
        return values
    table = np.arange(256, dtype=np.uint8)
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256))
    colours = {index: tuple(palette[3 * index : 3 * index + 3]) for index in map(int, used)}
    if all(colour == (index,) * 3 for index, colour in colours.items()):
        return values
    for index, colour in colours.items():
        if colour not in VOC_COLOURS:
            raise InputError(
                f"{path}: the palette is not VOC's: value {index} has the colour {colour}, which "
                "VOC does not know; save the mask with VOC's palette, or as 8-bit grey."
            )
        table[index] = VOC_COLOURS[colour]
    return table[values]


def save_mask(path: str | Path, mask: np.ndarray) -> None:
    """Write the (H, W) integer `mask` (values 0..255) as a palette PNG in VOC's colours."""
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.size == 0 or not np.issubdtype(mask.dtype, np.integer):
        raise ValueError(
            f"a mask is a non-empty (H, W) integer array, not {mask.dtype} {mask.shape}"
        )
    if mask.min() < 0 or mask.max() > 255:
        raise ValueError(f"mask values are 0..255, not {mask.min()}..{mask.max()}")
    image = Image.fromarray(np.ascontiguousarray(mask, dtype=np.uint8)).convert("L")
    image.putpalette(VOC_PALETTE)
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def remap(mask: np.ndarray, table: np.ndarray) -> np.ndarray:
    """(H, W) uint8: each value v of the uint8 `mask` replaced by table[v]; table is (256,)."""
    return np.asarray(table, dtype=np.uint8)[mask]


def label_to_index(classes: Sequence[str], all_classes: Sequence[str] = VOC_CLASSES) -> np.ndarray:
    """(256,) uint8 table for `remap`: mask values of the full class list to those of a subset.

    A mask value is the class's 1-based place in `all_classes`, the result its 1-based place in
    `classes`. The other classes become 0 (background); 255 (ignore) stays.
    """
    table = np.zeros(256, dtype=np.uint8)
    for index, name in enumerate(classes, start=1):
        if name not in all_classes:
            raise InputError(
                f"class {name!r} is not in the data set's list: {', '.join(all_classes)}."
            )
        table[list(all_classes).index(name) + 1] = index
    table[IGNORE] = IGNORE
    return table


def load_target(
    path: str | Path,
    classes: Sequence[str],
    size: tuple[int, int] | None = None,
    all_classes: Sequence[str] = VOC_CLASSES,
) -> np.ndarray:
    """(H, W) uint8 true mask in `path`, its values turned into 1-based places in `classes`.

    Raises InputError naming the file as `load_mask` does, and for a value outside `all_classes`.
    """
    mask = load_mask(path, size)
    check_values(path, mask, len(all_classes))
    return remap(mask, label_to_index(classes, all_classes))


def write_targets(
    masks: str | Path,
    images: str | Path,
    output: str | Path,
    *,
    class_names: Sequence[str],
    all_classes: Sequence[str] = VOC_CLASSES,
) -> None:
    """Write the true mask of every listed image with the values of `class_names`, to train on.

    Images without a true mask are left out; what a training makes of that is its own matter.

    Raises:
        InputError: as `load_target`.
    """
    with atomic_directory(output) as folder:
        for image_id in read_image_list(images)["image_id"]:
            path = file_of(masks, image_id, ".png")
            if path.exists():
                mask = load_target(path, class_names, all_classes=all_classes)
                save_mask(folder / f"{image_id}.png", mask)


def check_values(path: str | Path, mask: np.ndarray, classes: int) -> None:
    """Raise InputError if `mask` has a value that is neither 0..classes nor 255."""
    wrong = mask[(mask > classes) & (mask != IGNORE)]
    if wrong.size:
        raise InputError(f"{path}: the mask has value {wrong[0]}, the last class is {classes}.")
