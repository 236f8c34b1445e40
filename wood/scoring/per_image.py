"""Pixel counts of single images, beside a score file: the mIoU of any resample follows from them.

One CSV has a row for each image, step and class that occurs there; the background always has one,
so that every scored image is listed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from wood.data.lists import half
from wood.data.tables import from_text, write_table
from wood.runtime.errors import InputError
from wood.runtime.sentences import reason

COUNTS = ["intersection", "target", "predicted"]  # pixels
COLUMNS = ["image_id", "step", "class", *COUNTS]


@dataclass(frozen=True)
class ImageCounts:
    """Counts of N images at one step of one experiment.

    Attributes:
        source: the file they come from.
        image_ids: the N images, sorted.
        counts: (N, 3, C) int64, pixels of the intersection, of the target and of the prediction
            for each of the C classes that occur.
        classes: the C classes, sorted.
    """

    source: str
    image_ids: list[str]
    classes: list[str]
    counts: np.ndarray

    def of_half(self, name: str) -> "ImageCounts":
        """Return the images of half "A" or "B" (`wood.data.lists.half`)."""
        chosen = [half(image_id) == name for image_id in self.image_ids]
        image_ids = [i for i, kept in zip(self.image_ids, chosen, strict=True) if kept]
        return replace(self, image_ids=image_ids, counts=self.counts[chosen])


def counts_path(score: str | Path) -> Path:
    """Return the place of the counts of a score file."""
    return Path(score).with_suffix(".csv")


def write_counts(
    score: str | Path,
    steps: Mapping[str, Mapping[str, np.ndarray]],
    class_names: Sequence[str],
) -> None:
    """Write the counts that belong to a score file, atomically.

    Args:
        score: the score file; the counts lie beside it.
        steps: for each step (seed, mask, network, crf) the (3, C) counts of each image, see
            `SegmentationScores.counts`.
        class_names: the C classes, the background first.
    """
    rows = [
        (image_id, step, class_names[int(index)], *images[image_id][:, index].tolist())
        for step, images in steps.items()
        for image_id in sorted(images)
        for index in np.flatnonzero(
            images[image_id].any(axis=0) | (np.arange(len(class_names)) == 0)
        )
    ]
    write_table(counts_path(score), pd.DataFrame(rows, columns=COLUMNS))


def read_counts(score: str | Path, step: str) -> ImageCounts | None:
    """Read the counts of one step beside a score file; None where there are none.

    Raises:
        InputError: the file is not what `write_counts` wrote.
    """
    path = counts_path(score)
    if not path.is_file():
        return None
    types = dict.fromkeys(COLUMNS[:3], str) | dict.fromkeys(COUNTS, np.int64)
    try:
        table = pd.read_csv(path, dtype=types, keep_default_na=False)[COLUMNS]
    except (KeyError, ValueError, OverflowError) as error:
        said = reason(error)
        raise InputError(f"{path}: these are not pixel counts of images ({said}).") from None
    table = table[table["step"] == step]
    table = table.assign(**{name: table[name].map(from_text) for name in COLUMNS[:3]})
    if table.empty:
        return None
    if table.duplicated(["image_id", "class"]).any():
        raise InputError(f"{path}: an image has two rows of one class and step.")
    images, image_ids = pd.factorize(table["image_id"], sort=True)
    classes, names = pd.factorize(table["class"], sort=True)
    counts = np.zeros((len(image_ids), len(COUNTS), len(names)), np.int64)
    counts[images, :, classes] = table[COUNTS].to_numpy()
    return ImageCounts(str(path), image_ids.tolist(), names.tolist(), counts)
