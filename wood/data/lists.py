"""Image lists: what every stage takes its photographs from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from wood.data.image_ids import as_image_id
from wood.data.tables import read_table, write_table
from wood.runtime.errors import InputError
from wood.runtime.sentences import quoted

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["image_id", "path"]

Items = TypeVar("Items", bound="Sequence | pd.DataFrame")


def write_image_list(path: str | Path, images: pd.DataFrame) -> None:
    """Write the columns image_id and path (and any others there are) as CSV, atomically."""
    others = [column for column in images.columns if column not in COLUMNS]
    write_table(path, images[COLUMNS + others])


def read_image_list(path: str | Path) -> pd.DataFrame:
    """Read a CSV with at least the columns image_id and path; every value is a string.

    Raises:
        InputError: the file is missing, no CSV (`wood.data.tables`), lacks a column, is empty, or
            has an id that is none (`wood.data.image_ids`) or stands there twice.
    """
    images = read_table(path, COLUMNS, "image list")
    if images.empty:
        raise InputError(f"{path}: the list names no image.")
    images["image_id"] = check_ids(path, images["image_id"])
    return images.reset_index(drop=True)


def check_ids(path: str | Path, ids: pd.Series) -> list[str]:
    """Return the ids of a table's column, by the one rule; its index numbers the file's lines.

    Raises:
        InputError: a value is no image id, or stands there twice.
    """
    lines: dict[str, int] = {}
    for line, text in ids.items():
        name = as_image_id(text, f"{path}: row {line}")
        if name in lines:
            raise InputError(
                f"{path}: row {line}: the image {quoted(name)} is listed twice, it is in row "
                f"{lines[name]} already."
            )
        lines[name] = line
    return list(lines)


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
    return items[start:stop]  # type: ignore[return-value]


def half(image_id: str) -> str:
    """Return "A" or "B": a split of the images that does not depend on the list they stand in.

    Hyper-parameters and thresholds are chosen on half A of `train`; claims are scored on half B.
    """
    return "AB"[hashlib.sha1(image_id.encode(), usedforsecurity=False).digest()[0] & 1]
