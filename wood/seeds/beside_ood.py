"""A threshold of the seeds that no pixel mask chooses: beside OoD images, beyond the paper.

A labelled photograph with a hard OoD image at its side is one picture, labelled as the photograph.
No class is on the OoD image, so whatever of it is above a threshold is a false positive. The
threshold is the lowest that keeps these to a given share.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from wood.data.lists import read_image_list
from wood.data.photographs import readable_images
from wood.data.transforms import rescale
from wood.maps import STRIDE, LocalizationMaps
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.store import write_json
from wood.seeds.localize import classes_present, make_maps

# A share of one or two per cent is a mean over as many pictures.
PICTURES = 200
# Up to the maximum of a map, above which nothing is active.
THRESHOLDS = tuple(step / 100 for step in range(101))


def choose_threshold(
    images: str | Path,
    labels: str | Path,
    classifier: str | Path,
    ood_list: str | Path,
    output: str | Path,
    *,
    settings: Mapping[str, Any],
    share: float,
    class_names: Sequence[str],
    experiment: str,
    max_batch_pixels: int,
    max_failed_fraction: float,
    workers: int = 2,
) -> None:
    """Choose the lowest threshold that keeps the mean active share of OoD images to `share`.

    The classifier must not have been trained with these OoD images: one that was keeps them quiet,
    and the threshold comes out too low. So it is the baseline's.

    Args:
        images, labels, classifier, settings, class_names, max_batch_pixels, max_failed_fraction,
            workers: see `wood.seeds.localize.localize`.
        ood_list: hard OoD images.
        output: JSON with `threshold`, `share`, `pictures` (those that count), `experiment` and
            `reads_masks` (false).
        share, experiment: of an OoD image, from 0 to 1; the baseline, for the record.

    Raises:
        InputError: no photograph has a class, no picture can be made, or as `localize`.
    """
    photographs, present = _labelled(images, labels)
    widths: dict[str, int] = {}
    pictures = _pictures(
        readable_images(photographs, max_failed_fraction, workers),
        _endless(read_image_list(ood_list), max_failed_fraction, workers),
        widths,
    )
    made = make_maps(
        progress(pictures, len(photographs), "pictures"),
        present,
        classifier,
        settings=settings,
        class_names=class_names,
        max_batch_pixels=max_batch_pixels,
        workers=workers,
    )
    shares = _shares(made, widths, images, ood_list)
    write_json(
        output,
        {
            "threshold": THRESHOLDS[int(np.argmax(np.mean(shares, axis=0) <= share))],
            "share": share,
            "pictures": len(shares),
            "experiment": experiment,
            "reads_masks": False,
        },
    )


def side_by_side(photograph: Image.Image, ood: Image.Image) -> Image.Image:
    """Return one picture of the photograph's height, the OoD image on the right."""
    ood = rescale(ood, photograph.height / ood.height)
    both = Image.new("RGB", (photograph.width + ood.width, photograph.height))
    both.paste(photograph, (0, 0))
    both.paste(ood, (photograph.width, 0))
    return both


def active_share(maps: LocalizationMaps, width: int) -> np.ndarray | None:
    """Return the share of the part right of `width` pixels that is above each of `THRESHOLDS`.

    None where no cell of the maps begins there: beside a photograph the OoD image is too narrow.
    """
    right = maps.maps.float().numpy()[:, :, -(-width // STRIDE) :]
    if not right.size:
        return None
    strongest = np.sort(right.max(axis=0), axis=None)
    below = np.searchsorted(strongest, np.asarray(THRESHOLDS, np.float32), side="right")
    return 1 - below / strongest.size


def _shares(
    made: Iterable[LocalizationMaps],
    widths: Mapping[str, int],
    images: str | Path,
    ood_list: str | Path,
) -> list[np.ndarray]:
    """The active shares of the pictures; one whose OoD image is too narrow for any is left out."""
    found = [active_share(maps, widths[maps.image_id]) for maps in made]
    if not found:
        raise InputError(f"{images}, {ood_list}: no image of one of them can be read.")
    shares = [share for share in found if share is not None]
    if not shares:
        raise InputError(
            f"{ood_list}: at a photograph's height no image is wide enough for a cell of the "
            f"maps ({STRIDE} pixels)."
        )
    return shares


def _labelled(images: str | Path, labels: str | Path) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """Up to `PICTURES` images that have a class, at random, and the classes of all by image id."""
    listed = read_image_list(images)
    present = classes_present(listed["image_id"], labels)
    listed = listed[[len(present[image_id]) > 0 for image_id in listed["image_id"]]]
    if listed.empty:
        raise InputError(f"{labels}: no image of {images} has a class to choose a threshold with.")
    return listed.sample(min(PICTURES, len(listed)), random_state=0), present


def _endless(
    images: pd.DataFrame, max_failed_fraction: float, workers: int
) -> Iterator[tuple[str, Image.Image]]:
    """Images in a random order, again and again; none if none can be read."""
    mixed = images.sample(frac=1, random_state=0)
    last = None
    for last in readable_images(mixed, max_failed_fraction, workers):
        yield last
    while last is not None:
        yield from readable_images(mixed, max_failed_fraction, workers)


def _pictures(
    photographs: Iterable[tuple[str, Image.Image]],
    outside: Iterable[tuple[str, Image.Image]],
    widths: dict[str, int],
) -> Iterator[tuple[str, Image.Image]]:
    """Pictures by the photograph's id, whose width is written down."""
    for (image_id, photograph), (_, ood) in zip(photographs, outside, strict=False):
        widths[image_id] = photograph.width
        yield image_id, side_by_side(photograph, ood)
