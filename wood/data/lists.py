"""Image lists: what every stage takes its photographs from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from wood.runtime.errors import InputError
from wood.runtime.store import atomic_path

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["image_id", "path"]

Items = TypeVar("Items", bound="Sequence | pd.DataFrame")


def write_image_list(path: str | Path, images: pd.DataFrame) -> None:
    """Write the columns image_id and path (and any others there are) as CSV, atomically."""
    others = [column for column in images.columns if column not in COLUMNS]
    with atomic_path(path) as temporary:
        images[COLUMNS + others].to_csv(temporary, index=False, lineterminator="\n")


def read_image_list(path: str | Path) -> pd.DataFrame:
    """Read a CSV with at least the columns image_id and path; every value is a string.

    Raises:
        InputError: the file is missing, lacks a column, is empty, or names an image twice.
    """
    import pandas as pd

    try:
        images = pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such image list.") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a CSV file ({str(error).strip()}).") from None
    missing = [column for column in COLUMNS if column not in images.columns]
    if missing:
        raise InputError(f"{path}: the column {missing[0]!r} is missing.")
    if images.empty:
        raise InputError(f"{path}: the list names no image.")
    if not isinstance(images.index, pd.RangeIndex):
        raise InputError(f"{path}: the rows have more values than the header has columns.")
    twice = images["image_id"][images["image_id"].duplicated()]
    if not twice.empty:
        raise InputError(f"{path}: the image {twice.iloc[0]!r} is listed twice.")
    return images


def subset(images: pd.DataFrame, count: int | None, seed: int, source: str) -> pd.DataFrame:
    """Return `count` images of a list, drawn at random, in its order; None keeps all.

    Of one seed, a smaller part of a list is within a larger one.

    Raises:
        InputError: the list, which the sentence calls `source`, is shorter.
    """
    if count is None:
        return images
    if count > len(images):
        raise InputError(f"{source}: {count} images are asked for, but there are {len(images)}.")
    drawn = np.random.default_rng(seed).permutation(len(images))[:count]
    return images.iloc[np.sort(drawn)].reset_index(drop=True)


def shard(items: Items, index: int, count: int) -> Items:
    """Return the contiguous part number `index` of `count`; sizes differ by at most one."""
    if not 0 <= index < count:
        raise ValueError(f"shard {index} of {count}")
    start, stop = (len(items) * number // count for number in (index, index + 1))
    return items[start:stop]


def half(image_id: str) -> str:
    """Return "A" or "B": a split of the images that does not depend on the list they stand in.

    Hyper-parameters and thresholds are chosen on half A of `train`; claims are scored on half B.
    """
    return "AB"[hashlib.sha1(image_id.encode(), usedforsecurity=False).digest()[0] & 1]
