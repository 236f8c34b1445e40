"""Whole pictures: a background, with objects where they belong or, more rarely, elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from demo import (
    backgrounds,
    boats,
    horses,
    trains,
    unrelated,
)
from demo.canvas import Canvas, box, pick, varied
from demo.nature import Setting, grass_blades
from wood.data.masks import IGNORE, VOC_CLASSES
from wood.runtime.errors import InputError

CLASSES = ("boat", "horse", "train")

BACKGROUNDS: dict[str, Callable[[Canvas, np.random.Generator], Setting]] = {
    "water": backgrounds.water,
    "meadow": backgrounds.meadow,
    "rails": backgrounds.rails,
    "house fronts": unrelated.house_fronts,
    "desert": unrelated.desert,
    "mountains": unrelated.mountains,
    "pattern": unrelated.pattern,
}
UNRELATED = ("house fronts", "desert", "mountains", "pattern")

HOME = {"boat": "water", "horse": "meadow", "train": "rails"}
ELSEWHERE = {
    "boat": ("meadow", "desert", "house fronts"),
    "horse": ("desert", "house fronts", "rails"),
    "train": ("meadow", "desert", "water"),
}
PAIRS = (("horse", "train", "meadow"), ("boat", "train", "water"), ("boat", "horse", "meadow"))

SHARE = (0.035, 0.42)
"""The smallest and largest part of a picture that its objects together may cover."""

MAX_DRAWINGS = 200


@dataclass
class Scene:
    """A finished picture.

    `mask` is (H, W) uint8 with VOC's class indices, 0 = background, 255 = ignored border;
    `kinds` names what was drawn, as (class, finer kind).
    """

    image: Image.Image
    mask: np.ndarray
    background: str
    kinds: list[tuple[str, str]]

    @property
    def classes(self) -> list[str]:
        return sorted({name for name, _ in self.kinds})


def class_index(name: str) -> int:
    """VOC's mask value of a class."""
    return VOC_CLASSES.index(name) + 1


def background_scene(rng: np.random.Generator, size: tuple[int, int], background: str) -> Scene:
    """A background alone; `size` is (width, height)."""
    canvas = Canvas(*size, rng)
    BACKGROUNDS[background](canvas, rng)
    return Scene(*canvas.finish(rng), background, [])


def object_scene(
    rng: np.random.Generator, size: tuple[int, int], classes: list[str], background: str
) -> Scene:
    """A picture of the given objects; drawn anew until all can be seen and none fills it.

    Raises:
        InputError: it never succeeds, because of the shape of the picture.
    """
    for _ in range(MAX_DRAWINGS):
        canvas = Canvas(*size, rng)
        setting = BACKGROUNDS[background](canvas, rng)
        kinds = [
            (name, PLACE[name](canvas, rng, setting, background, slot, len(classes)))
            for slot, name in enumerate(classes)
        ]
        image, mask = canvas.finish(rng)
        shares = [(mask == class_index(name)).mean() for name in classes]
        covered = ((mask > 0) & (mask != IGNORE)).mean()
        if min(shares) >= SHARE[0] / len(classes) and SHARE[0] <= covered <= SHARE[1]:
            return Scene(image, mask, background, kinds)
    raise InputError(f"demo.size: {' and '.join(classes)} do not fit into {size[0]}x{size[1]}.")


def random_object_scene(rng: np.random.Generator, size: tuple[int, int], name: str) -> Scene:
    """A picture of class `name`: mostly where it belongs, now and then beside another class."""
    chance = rng.random()
    pairs = [pair for pair in PAIRS if name in pair]
    if chance < 0.08:
        first, second, background = pick(rng, pairs)
        # The train is drawn first: it is the one far away.
        return object_scene(rng, size, sorted([first, second], reverse=second == "train"),
                            background)
    usual = chance < 0.87
    background = HOME[name] if usual else pick(rng, ELSEWHERE[name])
    several = name != "train" and rng.random() < 0.16
    return object_scene(rng, size, [name] * (2 if several else 1), background)


def _extent(canvas: Canvas, rng: np.random.Generator, smallest: float, largest: float,
            count: int) -> float:
    """A length in pixels, as a part of the geometric mean of the picture's sides."""
    side = np.sqrt(canvas.width * canvas.height)
    return float(side * rng.uniform(smallest, largest) * (0.62 if count > 1 else 1))


def _column(canvas: Canvas, rng: np.random.Generator, slot: int, count: int,
            margin: float = 0.34) -> float:
    """Where across the picture object number `slot` of `count` stands."""
    if count == 1:
        return canvas.width * rng.uniform(margin, 1 - margin)
    return canvas.width * ((slot + 0.5) / count + rng.uniform(-0.05, 0.05))


def _within(canvas: Canvas, x: float, length: float) -> float:
    """`x` moved so that an object of this length stays in the picture, if it can."""
    margin = min(0.5 * length, canvas.width / 2)
    return float(np.clip(x, margin, canvas.width - margin))


def _ground_row(canvas: Canvas, rng: np.random.Generator, setting: Setting) -> float:
    top, bottom = setting.ground
    return max(top + (bottom - top) * rng.uniform(0.55, 0.9), canvas.height * 0.7)


def _put_boat(
    canvas: Canvas,
    rng: np.random.Generator,
    setting: Setting,
    background: str,
    slot: int,
    count: int,
) -> str:
    kind = pick(
        rng, list(boats.KINDS) if setting.water else ["canoe", "motorboat", "fishing vessel"]
    )
    length = min(_extent(canvas, rng, 0.6, 1.2, count), canvas.width)
    top, bottom = setting.ground
    row = top + (bottom - top) * rng.uniform(0.3, 0.7)
    row = row if setting.water else _ground_row(canvas, rng, setting)
    foot = (_column(canvas, rng, slot, count, 0.4), max(row, canvas.height * 0.55))
    boats.draw_boat(canvas, rng, class_index("boat"), kind, foot, length, afloat=setting.water)
    if background == "meadow":
        grass_blades(canvas, rng, foot[1] + 6, 60, 18, (104, 128, 60), foot[0] - length / 2,
                     foot[0] + length / 2)
    return kind


def _put_horse(
    canvas: Canvas,
    rng: np.random.Generator,
    setting: Setting,
    background: str,
    slot: int,
    count: int,
) -> str:
    kind = pick(rng, list(horses.KINDS))
    length = min(_extent(canvas, rng, 0.55, 1.25, count), canvas.width * 0.98)
    x = _within(canvas, _column(canvas, rng, slot, count, 0.38), length)
    row = max(_ground_row(canvas, rng, setting), length * 0.78)
    foot = (x, min(row, canvas.height * 0.96))
    horses.draw_horse(canvas, rng, class_index("horse"), kind, foot, length)
    if background == "meadow":
        grass_blades(canvas, rng, foot[1] + 5, 110, length * 0.045 + 4, (108, 134, 62),
                     foot[0] - length * 0.5, foot[0] + length * 0.5)
    return kind


def _put_train(
    canvas: Canvas,
    rng: np.random.Generator,
    setting: Setting,
    background: str,
    slot: int,
    count: int,
) -> str:
    index = class_index("train")
    kind = pick(rng, trains.KINDS)
    nose = canvas.width * rng.uniform(0.55, 0.97)
    if setting.side_track:
        row, metre = setting.side_track
    else:
        row, metre = _improvised_track(canvas, rng, setting, background, count)
    trains.draw_train(canvas, rng, index, kind, (nose, row), metre)
    if background == "meadow":
        grass_blades(canvas, rng, row + metre * 0.2, 220, metre * 0.7, (116, 134, 66))
    return kind


def _improvised_track(
    canvas: Canvas, rng: np.random.Generator, setting: Setting, background: str, count: int
) -> tuple[float, float]:
    """A line for a train where there are no rails to see: a bridge, or a hidden track."""
    metre = canvas.width / rng.uniform(13, 26) * (0.7 if count > 1 else 1)
    top, bottom = setting.ground
    if background != "water":
        row = top + (bottom - top) * (0.2 if count > 1 else rng.uniform(0.35, 0.7))
        row = max(row, canvas.height * 0.45)
        canvas.paint([box(0, row - 2, canvas.width, row + 0.25 * metre)], (112, 100, 88), grain=0.3)
        return row, metre
    row = max(top + (bottom - top) * 0.12, canvas.height * 0.4)
    stone = varied(rng, (150, 140, 128), 10)
    foot = row + 2.6 * metre
    canvas.paint([box(0, row, canvas.width, row + 0.6 * metre)], stone, grain=0.15)
    for x in np.arange(rng.uniform(0, 5) * metre, canvas.width, 6 * metre):
        canvas.paint([box(x, row + 0.5 * metre, x + 0.9 * metre, foot)], np.asarray(stone) * 0.85,
                     grain=0.15)
    return row, metre


PLACE: dict[str, Callable[..., str]] = {
    "boat": _put_boat,
    "horse": _put_horse,
    "train": _put_train,
}
