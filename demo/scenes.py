"""Whole pictures: a background, with objects where they belong or, more rarely, elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from demo import (
    aeroplanes,
    backgrounds,
    birds,
    boats,
    horses,
    passing_trains,
    railways,
    trains,
    unrelated,
)
from demo.canvas import Canvas, box, ellipse, pick, varied
from demo.nature import Setting, grass_blades, leaves
from wood.data.masks import IGNORE, VOC_CLASSES
from wood.runtime.errors import InputError

CLASSES = ("aeroplane", "bird", "boat", "horse", "train")

BACKGROUNDS: dict[str, Callable[[Canvas, np.random.Generator], Setting]] = {
    "sky": backgrounds.open_sky,
    "runway": backgrounds.runway,
    "branches": backgrounds.branches,
    "water": backgrounds.water,
    "meadow": backgrounds.meadow,
    "rails": railways.rails,
    "room": unrelated.room,
    "house fronts": unrelated.house_fronts,
    "desert": unrelated.desert,
    "mountains": unrelated.mountains,
    "pattern": unrelated.pattern,
}
UNRELATED = ("room", "house fronts", "desert", "mountains", "pattern")

HOME = {"aeroplane": ("sky", "runway"), "bird": ("branches",), "boat": ("water",),
        "horse": ("meadow",), "train": ("rails",)}
ELSEWHERE = {
    "aeroplane": ("meadow", "water", "desert", "mountains"),
    "bird": ("water", "sky", "meadow", "desert", "rails"),
    "boat": ("meadow", "desert", "house fronts"),
    "horse": ("desert", "house fronts", "runway", "rails"),
    "train": ("meadow", "desert", "water"),
}
PAIRS = (("aeroplane", "boat", "water"), ("bird", "boat", "water"), ("horse", "train", "meadow"),
         ("bird", "horse", "meadow"), ("boat", "train", "water"), ("aeroplane", "bird", "sky"))

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
    background = pick(rng, HOME[name] if usual else ELSEWHERE[name])
    several = name != "train" and background != "runway" and rng.random() < 0.16
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


def _put_aeroplane(
    canvas: Canvas,
    rng: np.random.Generator,
    setting: Setting,
    background: str,
    slot: int,
    count: int,
) -> str:
    kind = pick(rng, list(aeroplanes.KINDS))
    parked = background in ("runway", "meadow", "desert") and count == 1
    x = _column(canvas, rng, slot, count, 0.4)
    if parked:
        length = min(_extent(canvas, rng, 0.75, 1.15, count), canvas.width * 0.95)
        centre = (x, _ground_row(canvas, rng, setting) - 0.24 * length)
    else:
        length = min(_extent(canvas, rng, 0.55, 1.3, count), canvas.width * 1.05)
        low = setting.ground[0] if setting.camera else canvas.height
        centre = (x, max(low * rng.uniform(0.3, 0.65), 0.2 * length))
    aeroplanes.draw_aeroplane(canvas, rng, class_index("aeroplane"), kind, centre, length,
                              parked=parked)
    return kind


def _put_bird(
    canvas: Canvas,
    rng: np.random.Generator,
    setting: Setting,
    background: str,
    slot: int,
    count: int,
) -> str:
    homes = {"branches": "perch", "water": "water", "sky": "air"}
    home = homes.get(background, "ground")
    kinds = [kind for kind, (_, where, _) in birds.KINDS.items() if where == home]
    if home == "ground":
        kinds.append("sparrow")
    kind = pick(rng, kinds)
    length = _extent(canvas, rng, 0.5, 1.15, count)
    x = _column(canvas, rng, slot, count)
    if home == "perch":
        places = np.array(setting.perches)
        nearest = places[np.argmin(abs(places[:, 0] - x))]
        foot = (nearest[0], nearest[1] - nearest[2] * 0.4)
        length = min(length, 0.95 * foot[1] / (1.0 if kind == "owl" else 0.8))
    elif home == "air":
        foot = (x, canvas.height * rng.uniform(0.4, 0.65))
    else:
        foot = (x, _ground_row(canvas, rng, setting))
    if home == "ground":
        canvas.darken([ellipse(*foot, length * 0.25, length * 0.03)], 0.45, 5)
    index = class_index("bird")
    birds.draw_bird(canvas, rng, index, kind, foot, length)
    if home == "perch" and rng.random() < 0.4:
        spots = [(foot[0] + rng.normal(0, 0.3) * length, foot[1] + rng.normal(0, 0.05) * length)
                 for _ in range(5)]
        leaves(canvas, rng, spots, canvas.height * 0.06, varied(rng, (92, 122, 56), 12))
    return kind


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
    if setting.tracks:
        return _oncoming_train(canvas, rng, setting, index)
    kind = pick(rng, passing_trains.KINDS)
    nose = canvas.width * rng.uniform(0.55, 0.97)
    if setting.side_track:
        row, metre = setting.side_track
    else:
        row, metre = _improvised_track(canvas, rng, setting, background, count)
    passing_trains.draw_passing_train(canvas, rng, index, kind, (nose, row), metre)
    if background == "meadow":
        grass_blades(canvas, rng, row + metre * 0.2, 220, metre * 0.7, (116, 134, 66))
    return kind


def _oncoming_train(canvas: Canvas, rng: np.random.Generator, setting: Setting, index: int) -> str:
    camera = setting.camera
    away = camera.focal * trains.WIDTH / (canvas.width * rng.uniform(0.18, 0.42))
    across = min(setting.tracks, key=lambda track: abs(camera.at(track, 0, away)[0]
                                                       - canvas.width / 2))
    kind = pick(rng, trains.KINDS)
    if kind != "commuter train":
        away += 4  # their fronts reach so far towards the camera
    while not 0.12 < camera.at(across, 0, away)[0] / canvas.width < 0.88 and away < 80:
        away *= 1.1
    trains.draw_oncoming_train(canvas, rng, index, kind, camera, across, away)
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
    "aeroplane": _put_aeroplane,
    "bird": _put_bird,
    "boat": _put_boat,
    "horse": _put_horse,
    "train": _put_train,
}
