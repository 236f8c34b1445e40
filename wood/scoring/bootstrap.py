"""Paired bootstrap over images: how far a difference in mIoU depends on which images were scored.

The images are drawn anew with replacement, the same ones for both sides and for every training
seed, so that what makes an image easy or hard for both cancels. It says nothing about what another
training run would give.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from wood.runtime.errors import InputError
from wood.scoring.per_image import ImageCounts

RESAMPLES = 2000
# A resample of one image is that image: the interval would have no width.
FEWEST_IMAGES = 5
AT_ONCE = 250  # resamples; bounds the memory for many images


def miou(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mIoU of weighted images, by the rule of `SegmentationScores.summary`.

    Args:
        counts: (N, 3, C) pixels of the intersection, of the target and of the prediction.
        weights: (B, N), how often each image counts in each of B resamples.

    Returns:
        (B,) fractions: the mean over the classes that occur in the resample's targets or
        predictions; NaN where none does.
    """
    totals = weights @ counts.reshape(len(counts), -1).astype(float)
    hits, targets, predictions = np.moveaxis(totals.reshape(len(weights), *counts.shape[1:]), 1, 0)
    present = targets + predictions > 0
    ious = hits / np.maximum(targets + predictions - hits, 1)
    classes = present.sum(axis=1)
    means = (ious * present).sum(axis=1) / np.maximum(classes, 1)
    return np.where(classes > 0, means, np.nan)


def difference_interval(
    pairs: Sequence[tuple[ImageCounts, ImageCounts]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a difference in mIoU over images, in points.

    Args:
        pairs: ours and the reference's counts, one pair for each shared training seed; the
            difference is the mean over the pairs, of the same resampled images.
        resamples: how often the images are drawn anew.
        seed: of the draws.

    Returns:
        Its ends; all that a difference can be, -100 to 100, with under `FEWEST_IMAGES` images.

    Raises:
        InputError: an image is in one of the files and not in another; the sentence names both.
    """
    images = pairs[0][0].image_ids
    for side in (side for pair in pairs for side in pair):
        _check_same(pairs[0][0], side)
    if len(images) < FEWEST_IMAGES:
        return -100.0, 100.0
    found = [
        np.mean([miou(a.counts, w) - miou(b.counts, w) for a, b in pairs], axis=0)
        for w in _draws(len(images), resamples, seed)
    ]
    low, high = np.nanpercentile(100 * np.concatenate(found), (2.5, 97.5))
    return float(low), float(high)


def _draws(images: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield (at most `AT_ONCE`, images) weights: how often each image is drawn."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, AT_ONCE):
        rows = min(AT_ONCE, resamples - start)
        cells = rng.integers(images, size=(rows, images)) + images * np.arange(rows)[:, None]
        yield np.bincount(cells.ravel(), minlength=cells.size).reshape(cells.shape).astype(float)


def _check_same(first: ImageCounts, other: ImageCounts) -> None:
    for have, lack in ((first, other), (other, first)):
        left = sorted(set(have.image_ids) - set(lack.image_ids))
        if left:
            raise InputError(
                f"{lack.source}: the image {left[0]!r} is not scored here, but in {have.source}; "
                "a comparison over images needs the same images on both sides."
            )
