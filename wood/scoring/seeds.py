"""Scores of localization maps as initial seeds, over every threshold in one pass (Sec. 4.2)."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wood.data.image_ids import file_of
from wood.data.lists import half
from wood.data.masks import VOC_CLASSES, load_target
from wood.maps import LocalizationMaps, read_maps
from wood.metrics import SegmentationScores
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.sentences import quoted
from wood.runtime.store import read_json, write_json
from wood.scoring.evaluation import HALVES, with_targets
from wood.scoring.per_image import write_counts
from wood.scoring.thresholds import threshold_value

logger = logging.getLogger(__name__)

THRESHOLDS = tuple(step / 100 for step in range(81))


class ThresholdCounts:
    """Exact counts of pixels for every threshold, from one look at each image.

    At threshold t a pixel is its best class if that class's map is above t, else background: the
    argmax over the maps with t put in front as the background's score. So a pixel only needs its
    best class and, of its best score, the number of thresholds below it.

    Attributes:
        thresholds: (T,) float32, ascending.
        counts: (C + 1, C, T + 1) int64, pixels by target, best class and number of thresholds
            below the best score.
        images: how many images were counted.
    """

    def __init__(
        self, class_names: Sequence[str], thresholds: Sequence[float], ignore_index: int = 255
    ) -> None:
        self.names = ("background", *class_names)
        # Maps are float32, and so is the comparison wherever a mask is made from them.
        self.thresholds = np.asarray(thresholds, np.float32)
        self.ignore_index = ignore_index
        classes = len(class_names)
        self.counts = np.zeros((classes + 1, classes, len(self.thresholds) + 1), np.int64)
        self.images = 0

    def update(self, target: np.ndarray, maps: LocalizationMaps | None) -> None:
        """Count one image: its (H, W) target, and its maps (None: all background)."""
        if maps is None:
            self.update_scores(target, np.zeros(0, np.int64), np.zeros((0, *target.shape)))
        else:
            self.update_scores(target, maps.classes.numpy(), maps.upsampled().numpy())

    def update_scores(self, target: np.ndarray, classes: np.ndarray, scores: np.ndarray) -> None:
        """Count one image: its (H, W) target, and the scores (n, H, W) of n classes from 0."""
        best_class = np.zeros(target.shape, np.int64)
        below = np.zeros(target.shape, np.int64)
        if len(classes):
            best = scores.argmax(axis=0)
            best_class = classes[best]
            highest = np.take_along_axis(scores, best[None], axis=0)[0]
            below = np.searchsorted(self.thresholds, highest, side="left")
        counted = target != self.ignore_index
        cells = np.ravel_multi_index(
            (target[counted], best_class[counted], below[counted]), self.counts.shape
        )
        self.counts += np.bincount(cells, minlength=self.counts.size).reshape(self.counts.shape)
        self.images += 1

    def merge(self, other: "ThresholdCounts") -> None:
        """Add the counts of `other`, of the same classes and thresholds."""
        self.counts += other.counts
        self.images += other.images

    def scores(self, index: int) -> SegmentationScores:
        """The scores at threshold number `index`."""
        foreground = self.counts[:, :, index + 1 :].sum(axis=2)
        background = self.counts.sum(axis=(1, 2)) - foreground.sum(axis=1)
        confusion = np.concatenate([background[:, None], foreground], axis=1)
        return SegmentationScores(self.names, self.ignore_index, confusion, self.images)

    def curve(self) -> list[SegmentationScores]:
        """The scores at every threshold."""
        return [self.scores(index) for index in range(len(self.thresholds))]


def score_seeds(
    map_shards: Sequence[str | Path],
    target_dir: str | Path,
    image_list: str | Path,
    *,
    class_names: Sequence[str],
    threshold: float | str,
    split: str,
    output: str | Path,
    all_classes: Sequence[str] = VOC_CLASSES,
    published_sweep: Sequence[float] | None = None,
) -> None:
    """Score localization maps as seeds at the configured and at every other threshold.

    Args:
        map_shards: the shards with the maps; images that are not scored are passed over.
        target_dir: the folder of true masks, with values of the data set's list `all_classes`.
        image_list: CSV of the images; those with a true mask are scored.
        class_names: the foreground classes the maps are for.
        threshold: the configured threshold, a score in [0, 1]; a pixel whose best class is not
            above it is background. Or the file of `choose_threshold`.
        split: the name of the image set, for the record.
        output: JSON with `split`, `images`, `missing` (of them without maps, all background),
            `threshold`, `configured` (the summary of `SegmentationScores` there), `oracle` (the
            `threshold` with the best mIoU on these masks, and its `summary`), `curve` (threshold,
            miou, precision, recall, f1: at `THRESHOLDS` and the configured one) and `halves`
            (images, configured, oracle of each half: a threshold chosen on A can be scored on B);
            of a chosen threshold `chosen`, how, and with `published_sweep` the `published` of it.
            Beside it lie the pixel counts of each image at the configured threshold
            (`wood.scoring.per_image`, step "seed").
        all_classes: the data set's full class list.
        published_sweep: the lowest and highest threshold that a published program tries on all
            scored images, of which it reports the best: `published` has this `range`, the
            `threshold` and the `summary`.

    Raises InputError if no image has a true mask, none of those has maps, a mask is damaged, of
    another size than its image or has a value that is no class, or a shard is damaged, was made for
    other classes or has an image that an earlier one had.
    """
    number = float(threshold_value(threshold))
    grid = sorted({float(value) for value in (*THRESHOLDS, number)})
    image_ids, _ = with_targets(image_list, target_dir)
    read = _targets_and_maps(map_shards, target_dir, image_ids, class_names, all_classes)
    counts, per_image, missing = _counted(read, class_names, grid, grid.index(number))
    _check_missing(image_list, missing, image_ids)
    write_counts(output, {"seed": per_image}, ("background", *class_names))
    parts = {name: part.curve() for name, part in counts.items()}
    whole = [_sum(scores) for scores in zip(*parts.values(), strict=True)]
    result = {"split": split, "missing": missing, **_result(whole, parts, grid, number)}
    if isinstance(threshold, str):
        choice = read_json(threshold)
        result["chosen"] = {k: choice[k] for k in ("half", "share", "experiment") if k in choice}
    if published_sweep is not None:
        result["published"] = _best_between(whole, grid, *published_sweep)
    write_json(output, result)


def _check_missing(image_list: str | Path, missing: int, image_ids: Sequence[str]) -> None:
    """Say how many images have no maps; that none has any is an error."""
    if missing == len(image_ids):
        raise InputError(
            f"{image_list}: none of its {missing} images with a mask, such as "
            f"{quoted(image_ids[0])}, has localization maps: the files do not belong together."
        )
    if missing:
        logger.warning("%d of %d images have no localization maps", missing, len(image_ids))


def _counted(
    read: Iterator[tuple[str, np.ndarray, LocalizationMaps | None]],
    class_names: Sequence[str],
    grid: Sequence[float],
    configured: int,
) -> tuple[dict[str, ThresholdCounts], dict[str, np.ndarray], int]:
    """Count images, by half; beside it those of each at one threshold, and how many lack maps."""
    counts = {name: ThresholdCounts(class_names, grid) for name in HALVES}
    per_image, missing = {}, 0
    for image_id, target, maps in read:
        one = ThresholdCounts(class_names, grid)
        one.update(target, maps)
        per_image[image_id] = one.scores(configured).counts()
        counts[half(image_id)].merge(one)
        missing += maps is None
    return counts, per_image, missing


def _result(
    whole: Sequence[SegmentationScores],
    parts: Mapping[str, Sequence[SegmentationScores]],
    grid: Sequence[float],
    threshold: float,
) -> dict[str, Any]:
    """What a score file says of a curve, its configured threshold, and the halves."""
    configured = grid.index(threshold)
    return {
        "threshold": threshold,
        **_described(whole, grid, configured),
        "curve": [_point(value, scores) for value, scores in zip(grid, whole, strict=True)],
        "halves": {name: _described(scores, grid, configured) for name, scores in parts.items()},
    }


def choose_threshold(
    map_shards: Sequence[str | Path],
    target_dir: str | Path,
    image_list: str | Path,
    *,
    class_names: Sequence[str],
    experiment: str,
    output: str | Path,
    all_classes: Sequence[str] = VOC_CLASSES,
) -> None:
    """Choose the threshold with the best mIoU of the seeds on half A of the scored images.

    This reads pixel masks: what is made with the threshold has seen those of half A.

    Args:
        map_shards, target_dir, image_list, class_names, all_classes: see `score_seeds`.
        experiment: the baseline whose seeds these are, for the record.
        output: JSON with `threshold`, `half` ("A"), `images` (of it), `miou` there, `experiment`
            and `reads_masks` (true).

    Raises:
        InputError: as `score_seeds`, or half A has no image.
    """
    image_ids, _ = with_targets(image_list, target_dir)
    chosen_on = [image_id for image_id in image_ids if half(image_id) == "A"]
    if not chosen_on:
        raise InputError(f"{image_list}: half A of its images, to choose a threshold on, is empty.")
    counts, missing = ThresholdCounts(class_names, THRESHOLDS), 0
    for _, target, maps in _targets_and_maps(
        map_shards, target_dir, chosen_on, class_names, all_classes
    ):
        counts.update(target, maps)
        missing += maps is None
    _check_missing(f"{image_list} (half A)", missing, chosen_on)
    scores = counts.curve()
    best = best_of(scores)
    write_json(
        output,
        {
            "threshold": THRESHOLDS[best],
            "half": "A",
            "images": len(chosen_on),
            "miou": scores[best].summary()["miou"],
            "experiment": experiment,
            "reads_masks": True,
        },
    )


def _targets_and_maps(
    map_shards: Sequence[str | Path],
    target_dir: str | Path,
    image_ids: Sequence[str],
    class_names: Sequence[str],
    all_classes: Sequence[str],
) -> Iterator[tuple[str, np.ndarray, LocalizationMaps | None]]:
    """Each listed image with its true mask and its maps, None where it has none."""
    wanted, unseen = frozenset(image_ids), set(image_ids)

    def target(image_id: str, maps: LocalizationMaps | None) -> np.ndarray:
        path = file_of(target_dir, image_id, ".png")
        size = maps.size if maps else None
        return load_target(path, class_names, size=size, all_classes=all_classes)

    for path in progress(map_shards, len(map_shards), "shards scored"):
        for maps in read_maps(path, class_names):
            if maps.image_id not in wanted:
                continue
            if maps.image_id not in unseen:
                raise InputError(f"{path}: another shard has the image {maps.image_id!r} too.")
            unseen.remove(maps.image_id)
            yield maps.image_id, target(maps.image_id, maps), maps
    for image_id in sorted(unseen):
        yield image_id, target(image_id, None), None


def best_of(scores: Sequence[SegmentationScores]) -> int:
    """Return the place of the best mIoU, the first of equals; a set without images has 0."""
    mious = [part.summary()["miou"] or 0.0 for part in scores]
    return mious.index(max(mious))


def _best_between(
    scores: Sequence[SegmentationScores], grid: Sequence[float], low: float, high: float
) -> dict[str, Any]:
    """The best threshold of the curve from `low` to `high`, as a published program reports it."""
    inside = [index for index, value in enumerate(grid) if low <= value <= high]
    if not inside:
        raise InputError(f"published_sweep: no threshold of the curve is from {low} to {high}.")
    best = inside[best_of([scores[index] for index in inside])]
    return {"range": [low, high], "threshold": grid[best], "summary": scores[best].summary()}


def _sum(scores: Sequence[SegmentationScores]) -> SegmentationScores:
    total = SegmentationScores(scores[0].class_names, scores[0].ignore_index)
    for part in scores:
        total.merge(part)
    return total


def _point(threshold: float, scores: SegmentationScores) -> dict[str, float]:
    summary = scores.summary()
    return {
        "threshold": threshold,
        **{key: summary[key] for key in ("miou", "precision", "recall", "f1")},
    }


def _described(
    scores: Sequence[SegmentationScores], grid: Sequence[float], configured: int
) -> dict[str, Any]:
    best = best_of(scores)
    return {
        "images": scores[0].images,
        "configured": scores[configured].summary(),
        "oracle": {"threshold": grid[best], "summary": scores[best].summary()},
    }
