"""The picture grids: which images are shown follows a stated rule, never a hand."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from wood.data.images import load_image
from wood.data.lists import read_image_list
from wood.data.masks import load_mask, load_target
from wood.metrics import SegmentationScores
from wood.report.columns import SEED
from wood.report.comparison import member
from wood.report.plots import data_uri, heat_overlay, mask_overlay
from wood.report.scores import Scores
from wood.report.spec import Experiment, Run, Spec

if TYPE_CHECKING:
    from wood.maps import LocalizationMaps

LONGEST = 288  # pixels of a picture's long side, on the page shown smaller
GAIN, LOSS, RANDOM = "largest gain", "largest loss", "random"


@dataclass(frozen=True)
class Choice:
    """An image and the rule that chose it; `gain` is in points of its own mIoU."""

    image_id: str
    rule: str
    gain: float | None = None


@dataclass(frozen=True)
class Picture:
    """One picture of a row: its heading and data URI; None where there is nothing to show."""

    heading: str
    uri: str | None


@dataclass(frozen=True)
class PictureRow:
    """One chosen image in all its columns."""

    choice: Choice
    pictures: list[Picture]


@dataclass(frozen=True)
class PictureGrid:
    """The rows of one class (or of all classes together)."""

    title: str
    rows: list[PictureRow]


Pick = Callable[[Mapping[str, float | None], np.random.Generator], list[Choice]]


def choose(gains: Mapping[str, float | None], rng: np.random.Generator) -> list[Choice]:
    """Choose by the rule: the largest gain, the largest loss, and one at random of the others.

    The random one has a true mask if any of the others has. Without a gain (no true masks) only
    the random choice is left. An image that gained nothing is no gain, one that lost nothing no
    loss.
    """
    chosen: list[Choice] = []
    known = sorted((g, image_id) for image_id, g in gains.items() if g is not None)
    if known and known[-1][0] > 0:
        chosen.append(Choice(known[-1][1], GAIN, known[-1][0]))
    if known and known[0][0] < 0:
        chosen.append(Choice(known[0][1], LOSS, known[0][0]))
    taken = {choice.image_id for choice in chosen}
    others = sorted(image_id for image_id in gains if image_id not in taken)
    others = [image_id for image_id in others if gains[image_id] is not None] or others
    if others:
        image_id = others[int(rng.integers(len(others)))]
        chosen.append(Choice(image_id, RANDOM, gains[image_id]))
    return chosen


def draw(number: int) -> Pick:
    """Return the rule that draws `number` images, of those with a true mask if any has one."""

    def drawn(gains: Mapping[str, float | None], rng: np.random.Generator) -> list[Choice]:
        images = sorted(image_id for image_id, gain in gains.items() if gain is not None)
        images = images or sorted(gains)
        order = rng.permutation(len(images))[:number]
        return [Choice(images[place], RANDOM, gains[images[place]]) for place in order]

    return drawn


def most_lost(number: int) -> Pick:
    """Return the rule that takes the `number` images that lose most, the largest loss first."""

    def lost(gains: Mapping[str, float | None], rng: np.random.Generator) -> list[Choice]:
        del rng
        known = sorted((gain, image_id) for image_id, gain in gains.items() if gain is not None)
        return [Choice(image_id, LOSS, gain) for gain, image_id in known[:number] if gain < 0]

    return lost


def choose_two_each(gains: Mapping[str, float | None], rng: np.random.Generator) -> list[Choice]:
    """Choose as `choose` does, twice: the two largest gains, the two largest losses, two others."""
    remaining = dict(gains)
    chosen = []
    for _ in range(2):
        for choice in choose(remaining, rng):
            del remaining[choice.image_id]
            chosen.append(choice)
    order = [GAIN, LOSS, RANDOM]
    return sorted(chosen, key=lambda choice: order.index(choice.rule))


def image_miou(spec: Spec, target: np.ndarray, prediction: np.ndarray | None) -> float | None:
    """Return one image's own mIoU in per cent, over the classes in its target or prediction."""
    scores = SegmentationScores(["background", *spec.class_names])
    scores.update(target, prediction)
    miou = scores.summary()["miou"]
    return None if miou is None else 100 * miou


def seed_grids(
    spec: Spec,
    scores: Scores,
    family: Sequence[Experiment],
    pick: Pick = choose,
    classes: Sequence[str] | None = None,
) -> list[PictureGrid]:
    """Image, map without and with W-OoD, pseudo-mask, prediction and truth, grouped by class.

    The gain is the image's mIoU with W-OoD minus without, seeds at the configured threshold.
    `pick` is the rule that chooses the images of a class; `classes` are those shown, None for all.
    Empty where the baseline or W-OoD has no localization maps.
    """
    baseline, wood = member(family, "baseline"), member(family, "wood")
    if not (spec.train_images and baseline and wood):
        return []
    before, after = baseline.runs[0], wood.runs[0]
    if not (before.maps and after.maps):
        return []
    paths = _paths(spec.train_images)
    threshold = _threshold(spec, scores, wood)
    without, with_wood = (_maps(run, paths, spec.class_names) for run in (before, after))
    shared = [image_id for image_id in paths if image_id in without and image_id in with_wood]
    gains = {
        image_id: _seed_gain(spec, threshold, without[image_id], with_wood[image_id])
        for image_id in shared
    }
    rng = np.random.default_rng(spec.picture_seed)
    grids = []
    for index, name in enumerate(spec.class_names):
        if classes is not None and name not in classes:
            continue
        candidates = {
            image_id: gains[image_id]
            for image_id in shared
            if index in without[image_id].classes and index in with_wood[image_id].classes
        }
        rows = [
            PictureRow(
                choice,
                _seed_pictures(
                    spec,
                    index,
                    threshold,
                    paths[choice.image_id],
                    after,
                    {
                        f"{wood.family} without": without[choice.image_id],
                        f"{wood.family} with W-OoD": with_wood[choice.image_id],
                    },
                ),
            )
            for choice in pick(candidates, rng)
        ]
        if rows:
            grids.append(PictureGrid(name, _drop_empty_columns(rows)))
    return grids


def prediction_grid(
    spec: Spec, family: Sequence[Experiment], pick: Pick = choose_two_each
) -> PictureGrid | None:
    """Fig. 4: image, predictions without and with W-OoD, truth, on the validation images."""
    baseline, wood = member(family, "baseline"), member(family, "wood")
    if not (spec.val_images and baseline and wood):
        return None
    before, after = baseline.runs[0].predictions, wood.runs[0].predictions
    if not (before and after):
        return None
    paths = _paths(spec.val_images)
    gains: dict[str, float | None] = {}
    for image_id in paths:
        first, second = (_mask(folder, image_id) for folder in (before, after))
        if first is None or second is None:
            continue
        gains[image_id] = None
        target = _truth(spec, image_id, second.shape)
        if target is not None:
            scored = [image_miou(spec, target, prediction) for prediction in (first, second)]
            gains[image_id] = _subtract(scored[1], scored[0])
    rng = np.random.default_rng(spec.picture_seed)
    drawn = [
        PictureRow(choice, _prediction_pictures(spec, choice.image_id, paths, before, after))
        for choice in pick(gains, rng)
    ]
    return PictureGrid("all classes", _drop_empty_columns(drawn)) if drawn else None


def example_grid(
    spec: Spec, scores: Scores, experiment: Experiment, number: int
) -> PictureGrid | None:
    """Images of the first shard at random: map of the first class, pseudo-mask, prediction, truth.

    None without localization maps.
    """
    run = experiment.runs[0]
    if not (spec.train_images and run.maps):
        return None
    paths = _paths(spec.train_images)
    first = dataclasses.replace(run, maps=run.maps[:1])
    found = {
        image_id: maps
        for image_id, maps in _maps(first, paths, spec.class_names).items()
        if len(maps.classes)
    }
    threshold = _threshold(spec, scores, experiment)
    rng = np.random.default_rng(spec.picture_seed)
    rows = [
        PictureRow(
            choice,
            _seed_pictures(
                spec,
                int(found[choice.image_id].classes[0]),
                threshold,
                paths[choice.image_id],
                run,
                {"Localization map": found[choice.image_id]},
            ),
        )
        for choice in draw(number)(dict.fromkeys(found), rng)
    ]
    return PictureGrid("examples", _drop_empty_columns(rows)) if rows else None


def _threshold(spec: Spec, scores: Scores, experiment: Experiment) -> float | None:
    found = scores.thresholds(experiment, SEED)
    return next(iter(found.values()), spec.threshold)


def _paths(image_list: str) -> dict[str, str]:
    images = read_image_list(image_list)
    return dict(zip(images["image_id"], images["path"], strict=True))


def _maps(
    run: Run, wanted: Mapping[str, str], names: Sequence[str]
) -> dict[str, "LocalizationMaps"]:
    # Here, since it brings torch, which a report of tables alone does without.
    from wood.maps import read_maps

    return {
        maps.image_id: maps
        for shard in run.maps
        for maps in read_maps(shard, names)
        if maps.image_id in wanted
    }


def _seed_gain(
    spec: Spec, threshold: float | None, without: "LocalizationMaps", with_wood: "LocalizationMaps"
) -> float | None:
    target = _truth(spec, without.image_id, without.size)
    if target is None or threshold is None:
        return None
    before, after = (
        image_miou(spec, target, maps.seed(threshold)) for maps in (without, with_wood)
    )
    return _subtract(after, before)


def _subtract(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before


def _truth(spec: Spec, image_id: str, size: tuple[int, ...]) -> np.ndarray | None:
    if spec.truth is None:
        return None
    path = Path(spec.truth) / f"{image_id}.png"
    if not path.exists():
        return None
    return load_target(path, spec.class_names, (size[0], size[1]), spec.mask_class_names)


def _mask(folder: str | None, image_id: str) -> np.ndarray | None:
    path = Path(folder, f"{image_id}.png") if folder else None
    return load_mask(path) if path and path.exists() else None


def _seed_pictures(
    spec: Spec,
    index: int,
    threshold: float | None,
    path: str,
    run: Run,
    shown: Mapping[str, "LocalizationMaps"],
) -> list[Picture]:
    image = load_image(path)
    pictures = [Picture("Image", data_uri(image, LONGEST))]
    for heading, maps in shown.items():
        heat = maps.upsampled()[maps.classes.tolist().index(index)].numpy()
        pictures.append(Picture(heading, data_uri(heat_overlay(image, heat, threshold), LONGEST)))
    image_id = maps.image_id
    pictures.append(_masked("Pseudo-mask", image, _mask(run.masks, image_id)))
    pictures.append(_masked("Prediction", image, _mask(run.predictions, image_id)))
    pictures.append(_masked("Truth", image, _truth(spec, image_id, maps.size)))
    return pictures


def _prediction_pictures(
    spec: Spec, image_id: str, paths: Mapping[str, str], before: str, after: str
) -> list[Picture]:
    image = load_image(paths[image_id])
    size = (image.height, image.width)
    return [
        Picture("Image", data_uri(image, LONGEST)),
        _masked("Prediction without", image, _mask(before, image_id)),
        _masked("Prediction with W-OoD", image, _mask(after, image_id)),
        _masked("Truth", image, _truth(spec, image_id, size)),
    ]


def _masked(heading: str, image: Image.Image, mask: np.ndarray | None) -> Picture:
    if mask is None:
        return Picture(heading, None)
    return Picture(heading, data_uri(mask_overlay(image, mask), LONGEST))


def _drop_empty_columns(rows: list[PictureRow]) -> list[PictureRow]:
    """Leave out a column in which no row has a picture (no truth, no prediction)."""
    used = {p.heading for row in rows for p in row.pictures if p.uri is not None}
    return [PictureRow(row.choice, [p for p in row.pictures if p.heading in used]) for row in rows]
