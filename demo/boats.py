"""Boats, seen from the side; 1 is the length of the hull, the waterline is y = 0."""

import numpy as np

from demo.canvas import (
    Canvas,
    Colour,
    Shapes,
    box,
    ellipse,
    limb,
    mixed,
    pick,
    placed,
    smooth,
    varied,
)

HULLS: tuple[Colour, ...] = ((236, 236, 232), (30, 60, 110), (170, 40, 40), (40, 90, 76),
                             (228, 200, 90), (52, 56, 62), (120, 78, 48))
WOODS: tuple[Colour, ...] = ((142, 92, 52), (112, 74, 46), (168, 120, 70))


class _Brush:
    """Paints shapes given in hull lengths at one place of the canvas."""

    def __init__(self, canvas: Canvas, label: int, place: dict):
        self.canvas, self.label, self.place = canvas, label, place

    def __call__(self, shapes: Shapes | np.ndarray, colour: Colour, **look) -> None:
        look = {"grain": 0.02, "relief": 0.25, "thickness": self.place["scale"] * 0.02} | look
        self.canvas.paint(placed(shapes, **self.place), colour, self.label, **look)


def _hull(rng: np.random.Generator, bow: float, stern: float, rake: float) -> np.ndarray:
    """Outline with the bow on the right; `bow` and `stern` are heights above the water."""
    sheer = [(-0.5, -stern), (-0.25, -stern * 0.86), (0.05, -(stern + bow) * 0.42),
             (0.3, -bow * 0.8), (0.5 + rake, -bow)]
    keel = [(0.44, -0.01), (0.36, 0.02), (-0.46, 0.02)]
    return np.concatenate([smooth(sheer, closed=False), np.array(keel)])


def _striped_hull(brush: _Brush, rng: np.random.Generator, outline: np.ndarray) -> Colour:
    colour = varied(rng, pick(rng, HULLS), 8)
    brush(outline, colour, fade=0.15)
    band = outline[(outline[:, 1] > -0.03)]
    if len(band) > 2:
        brush(band, mixed(colour, (120, 40, 36), 0.7))
    rim = outline[outline[:, 1] < 0][:-1]
    brush(limb(rim, 0.012), mixed(colour, (250, 248, 240), 0.7), relief=0)
    return colour


def _sailboat(brush: _Brush, rng: np.random.Generator) -> None:
    tall = rng.uniform(1.0, 1.4)
    mast = rng.uniform(-0.02, 0.12)
    brush(limb([(mast, -0.05), (mast, -tall)], [0.018, 0.01]), (120, 108, 92))
    sail = varied(rng, pick(rng, [(246, 244, 238), (246, 244, 238), (232, 214, 180),
                                  (196, 60, 50), (60, 110, 170)]), 5)
    belly = rng.uniform(0.03, 0.09)
    main = [(mast - 0.015, -0.2), (mast - 0.015, -tall + 0.02),
            (mast - 0.22 - belly, -tall * 0.55), (mast - 0.5, -0.2)]
    brush(np.concatenate([smooth(main[1:], closed=False), np.array(main[:1])]), sail, relief=0.5,
          thickness=brush.place["scale"] * 0.05)
    if rng.random() < 0.85:
        jib = [(mast + 0.02, -tall * 0.9), (mast + 0.28, -0.42), (0.5, -0.12), (mast + 0.05, -0.2)]
        brush(np.array(jib), mixed(sail, (200, 206, 214), 0.25), relief=0.5,
              thickness=brush.place["scale"] * 0.05)
    brush(limb([(mast, -0.19), (mast - 0.52, -0.18)], 0.014), (120, 108, 92))
    _striped_hull(brush, rng, _hull(rng, 0.13, 0.09, 0.05))
    if rng.random() < 0.6:
        brush(smooth([(-0.2, -0.09), (-0.15, -0.14), (0.1, -0.15), (0.16, -0.1)]), (236, 234, 226))


def _motor_boat(brush: _Brush, rng: np.random.Generator) -> None:
    outline = _hull(rng, rng.uniform(0.17, 0.22), rng.uniform(0.12, 0.15), 0.06)
    cabin = varied(rng, (240, 240, 238), 5)
    back, front = rng.uniform(-0.3, -0.15), rng.uniform(0.15, 0.24)
    roof = rng.uniform(0.3, 0.38)
    brush(np.array([(back, -0.1), (back + 0.02, -roof), (front - 0.1, -roof), (front, -0.12)]),
          cabin, fade=0.1)
    brush(np.array([(back + 0.06, -roof * 0.62), (back + 0.06, -roof * 0.9),
                    (front - 0.12, -roof * 0.9), (front - 0.05, -roof * 0.62)]),
          (44, 58, 74), relief=0)
    brush(limb([(0.0, -0.2), (0.0, -roof * 0.95)], 0.02), cabin, relief=0)
    if rng.random() < 0.5:
        brush(limb([(back + 0.1, -roof), (back + 0.06, -roof - 0.16)], 0.012), (90, 94, 98))
    _striped_hull(brush, rng, outline)


def _fishing_vessel(brush: _Brush, rng: np.random.Generator) -> None:
    outline = _hull(rng, rng.uniform(0.22, 0.28), rng.uniform(0.13, 0.17), 0.06)
    rope, steel = (80, 78, 76), (150, 120, 70)
    top = rng.uniform(0.7, 0.9)
    brush(limb([(-0.12, -0.1), (-0.12, -top)], [0.022, 0.012]), steel)
    brush(limb([(-0.12, -0.25), (-0.42, -top * 0.8)], 0.016), steel)
    for end in ((0.52, -0.24), (-0.48, -0.14), (-0.42, -top * 0.8)):
        brush(limb([(-0.12, -top), end], 0.006), rope, relief=0)
    house = varied(rng, pick(rng, [(240, 240, 236), (240, 226, 190)]), 5)
    brush(box(0.04, -0.5, 0.26, -0.1), house, fade=0.1)
    brush(box(0.02, -0.53, 0.29, -0.49), varied(rng, pick(rng, HULLS), 5))
    brush([box(x, -0.45, x + 0.05, -0.37) for x in (0.06, 0.13, 0.2)], (46, 58, 72), relief=0)
    for x in rng.uniform(-0.42, -0.2, 3):
        brush(box(x, -0.2, x + 0.07, -0.12), varied(rng, (200, 120, 50), 20))
    _striped_hull(brush, rng, outline)
    brush([ellipse(x, -0.08, 0.022, 0.03) for x in rng.uniform(-0.4, 0.25, 3)], (40, 40, 42))


def _canoe(brush: _Brush, rng: np.random.Generator) -> None:
    colour = varied(rng, pick(rng, (*WOODS, (196, 50, 44), (40, 110, 80))), 8)
    high = rng.uniform(0.1, 0.14)
    rim = smooth([(-0.5, -high - 0.05), (-0.38, -high), (0, -high * 0.8), (0.38, -high),
                  (0.5, -high - 0.05)], closed=False)
    inside = np.concatenate([rim, rim[::-1] - (0, 0.035)])
    brush(inside, mixed(colour, (40, 30, 24), 0.5), relief=0)
    brush(np.concatenate([rim, np.array([(0.42, -0.01), (0.3, 0.02), (-0.3, 0.02),
                                         (-0.42, -0.01)])]), colour, fade=0.2)
    brush(limb(rim, 0.016), mixed(colour, (250, 230, 190), 0.5), relief=0)
    for x in (-0.2, 0.18):
        brush(box(x, -high - 0.03, x + 0.08, -high + 0.01), mixed(colour, (230, 200, 150), 0.5))
    lean = rng.uniform(0.1, 0.3)
    brush(limb([(-0.02, -high - 0.02), (-0.1 - lean, 0.0)], 0.014), (180, 150, 110))
    brush(limb([(0.1, -high - 0.02), (0.1 + lean, 0.0)], 0.014), (180, 150, 110))


def _ferry(brush: _Brush, rng: np.random.Generator) -> None:
    outline = _hull(rng, rng.uniform(0.13, 0.17), rng.uniform(0.1, 0.13), 0.04)
    house = varied(rng, (242, 242, 240), 4)
    decks = int(rng.integers(2, 4))
    for deck in range(decks):
        low = 0.1 + 0.075 * deck
        left, right = -0.44 + 0.05 * deck, 0.32 - 0.08 * deck
        brush(box(left, -low - 0.075, right, -low), house, relief=0.1, fade=0.12)
        brush([box(x, -low - 0.055, x + 0.02, -low - 0.025)
               for x in np.arange(left + 0.03, right - 0.03, 0.035)],
              (52, 66, 84), relief=0)
    top = 0.1 + 0.075 * decks
    funnel = varied(rng, pick(rng, HULLS[1:5]), 6)
    brush(
        np.array([(-0.2, -top), (-0.19, -top - 0.13), (-0.1, -top - 0.13), (-0.08, -top)]), funnel
    )
    brush(box(-0.19, -top - 0.13, -0.1, -top - 0.1), (40, 40, 44), relief=0)
    brush(limb([(0.08, -top), (0.08, -top - 0.16)], 0.01), (100, 104, 108))
    _striped_hull(brush, rng, outline)


KINDS = {
    "sailboat": (_sailboat, 0.62),
    "motorboat": (_motor_boat, 0.85),
    "fishing vessel": (_fishing_vessel, 0.8),
    "canoe": (_canoe, 1.05),
    "ferry": (_ferry, 1.1),
}


def draw_boat(
    canvas: Canvas,
    rng: np.random.Generator,
    label: int,
    kind: str,
    foot: tuple[float, float],
    length: float,
    *,
    afloat: bool,
) -> None:
    """Draw one with its waterline (or keel) at `foot`; afloat, it is mirrored in the water."""
    sketch, relative_length = KINDS[kind]
    place = {"x": foot[0], "y": foot[1], "scale": length * relative_length,
             "flip": bool(rng.random() < 0.5), "angle": rng.normal(0, 0.025)}
    if not afloat:
        shadow = ellipse(foot[0], foot[1] + 4, place["scale"] * 0.45, place["scale"] * 0.035)
        canvas.darken([shadow], 0.5, 5)
    before = canvas.object_mask()
    sketch(_Brush(canvas, label, place), rng)
    if afloat:
        _mirror(canvas, rng, canvas.object_mask() & ~before, foot[1])
        _foam(canvas, rng, foot, place["scale"])


def _mirror(canvas: Canvas, rng: np.random.Generator, boat: np.ndarray, waterline: float) -> None:
    """A dim, wavering reflection below the waterline; it is water, not boat."""
    row = int(np.clip(waterline, 1, canvas.height - 1))
    depth = min(row, canvas.height - row)
    if depth < 2:
        return
    pixels = canvas.pixels()
    rows = np.arange(depth)
    sway = np.round(np.cumsum(rng.normal(0, 0.9, depth)) * 0.6 + 4 * np.sin(rows * 0.55)).astype(
        int
    )
    source = np.clip(row - 1 - rows, 0, None)[:, None]
    columns = np.clip(np.arange(canvas.width)[None] + sway[:, None], 0, canvas.width - 1)
    strength = 0.5 * boat[source, columns] * (1 - rows / depth)[:, None] ** 0.8
    strength *= ~canvas.object_mask()[row : row + depth]
    below = pixels[row : row + depth]
    mirrored = pixels[source, columns] * 0.8
    blended = below + strength[..., None] * (mirrored - below)
    keep = canvas.labels.copy()
    canvas.set_rows(row, blended)
    canvas.labels.paste(keep)


def _foam(canvas: Canvas, rng: np.random.Generator, foot: tuple[float, float],
          length: float) -> None:
    """Small waves in front of the hull; they hide its lowest edge."""
    waves = [ellipse(foot[0] + length * x, foot[1] + length * rng.uniform(0.008, 0.03),
                     length * rng.uniform(0.01, 0.05), max(1.0, length * 0.006))
             for x in rng.uniform(-0.5, 0.52, 14)]
    canvas.paint(waves, (206, 218, 224), opacity=0.75, blur=1)
