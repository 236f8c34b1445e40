"""Image-level labels: one row an image, one boolean column a foreground class."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from wood.runtime.errors import InputError
from wood.runtime.sentences import quoted
from wood.runtime.store import read_table, write_table

if TYPE_CHECKING:
    import torch


def write_labels(path: str | Path, labels: pd.DataFrame) -> None:
    """Write labels indexed by image_id as Parquet (`image_id`, one boolean column per class)."""
    write_table(path, labels.rename_axis("image_id").astype(bool).reset_index())


def read_labels(path: str | Path) -> pd.DataFrame:
    """Read labels, indexed by image_id; the columns are the foreground classes in their order.

    Raises:
        InputError: the file is unreadable, lacks the column image_id, names an image twice, or has
            a column that is not true or false throughout.
    """
    table = read_table(path)
    if "image_id" not in table.columns:
        raise InputError(f"{path}: the column 'image_id' is missing.")
    labels = table.set_index("image_id")
    for name, kind in labels.dtypes.items():
        if kind != np.dtype(bool):
            raise InputError(
                f"{path}: the column {quoted(name)} is {kind}, not true or false for every image."
            )
    if not all(isinstance(image_id, str) for image_id in labels.index):
        raise InputError(f"{path}: the column 'image_id' holds what is no text.")
    twice = labels.index[labels.index.duplicated()]
    if len(twice):
        raise InputError(f"{path}: the image {quoted(twice[0])} is there twice.")
    return labels


def label_matrix(
    labels: pd.DataFrame, image_ids: Sequence[str], path: str | Path
) -> "torch.Tensor":
    """Return the labels of `image_ids` as a (N, C) float tensor of 0 and 1.

    Raises:
        InputError: an image has no labels in the table that `path` names.
    """
    import torch

    unknown = [image_id for image_id in image_ids if image_id not in labels.index]
    if unknown:
        raise InputError(f"{path}: there are no labels for the image {unknown[0]!r}.")
    return torch.tensor(labels.loc[list(image_ids)].to_numpy(dtype=np.float32))
