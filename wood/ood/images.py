"""The OoD images that a classifier is trained with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from wood.data.images import long_side
from wood.data.lists import read_image_list, subset
from wood.runtime.errors import InputError


def in_images(listing: str | Path, data: Mapping[str, Any]) -> pd.DataFrame:
    """Return the images of D_in that a classifier uses, in the order of their list.

    Args:
        listing: image list.
        data: `in`, how many are drawn at random, or None for all; `subset_seed`.

    Raises:
        InputError: there are fewer images than asked for.
    """
    what = f"{listing} (classifier.data.in)"
    return subset(read_image_list(listing), data["in"], data["subset_seed"], what)


def ood_images(
    listing: str | Path, wood: Mapping[str, Any], data: Mapping[str, Any]
) -> pd.DataFrame:
    """Return the images of an OoD list that a classifier uses, in its order.

    Args:
        listing: hard_ood.csv, or the random control's list.
        wood: `min_long_side`, pixels below which an image is left out, or None.
        data: `ood`, how many of the others are drawn at random, or None for all; `subset_seed`.

    Raises:
        InputError: there are fewer images than asked for.
    """
    images = read_image_list(listing)
    if wood["min_long_side"] is not None:
        large = [_is_large(path, wood["min_long_side"]) for path in images["path"]]
        images = images[large].reset_index(drop=True)
        if images.empty:
            raise InputError(
                f"{listing}: no image has a longer side of {wood['min_long_side']} pixels "
                "(wood.min_long_side)."
            )
    return subset(images, data["ood"], data["subset_seed"], f"{listing} (classifier.data.ood)")


def _is_large(path: str, least: int) -> bool:
    """Whether an image has a side of `least` pixels; an unreadable one is left to its reader."""
    try:
        return long_side(path) >= least
    except InputError:
        return True
