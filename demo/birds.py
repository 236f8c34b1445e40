"""Birds, facing right; 1 is the length from the beak to the tail (the span for one that flies)."""

# Tuples are added to points as vectors.
# ruff: noqa: RUF005

from collections.abc import Callable

import numpy as np

from demo.canvas import Canvas, Colour, Shapes, ellipse, limb, mixed, pick, placed, smooth, varied

# back, belly, breast, crown
PLUMAGES: tuple[tuple[Colour, Colour, Colour, Colour], ...] = (
    ((122, 88, 60), (206, 194, 176), (186, 166, 140), (112, 74, 50)),
    ((104, 88, 70), (226, 218, 206), (206, 96, 46), (112, 94, 72)),
    ((64, 104, 164), (226, 228, 230), (120, 150, 190), (44, 78, 140)),
    ((112, 128, 70), (232, 214, 110), (236, 206, 70), (52, 56, 52)),
    ((46, 46, 52), (52, 52, 58), (50, 50, 56), (40, 40, 46)),
    ((170, 52, 46), (196, 96, 80), (190, 60, 50), (180, 44, 40)),
    ((210, 180, 60), (240, 226, 140), (240, 210, 80), (220, 180, 50)),
)
BEAKS: tuple[Colour, ...] = ((70, 62, 56), (214, 150, 50), (52, 48, 48))

Paint = Callable[..., None]


def _eye(paint: Paint, x: float, y: float, size: float) -> None:
    paint(ellipse(x, y, size * 1.3, size * 1.3), (200, 190, 170), relief=0)
    paint(ellipse(x, y, size, size), (18, 16, 16), relief=0)
    paint(ellipse(x + size * 0.3, y - size * 0.35, size * 0.3, size * 0.3), (240, 240, 240),
          relief=0, grain=0)


def _songbird(paint: Paint, rng: np.random.Generator) -> None:
    back, belly, breast, crown = (varied(rng, tone, 7) for tone in pick(rng, PLUMAGES))
    leg = (110, 84, 66)
    for x in (-0.02, 0.06):
        paint(limb([(x, -0.14), (x + 0.02, -0.02)], 0.022), leg)
        paint(limb([(x - 0.02, 0.0), (x + 0.07, 0.0)], 0.024), leg)
    tail = rng.uniform(0.26, 0.36)
    drop = rng.uniform(-0.02, 0.1)
    paint(np.array([(-0.2, -0.3), (-0.2 - tail, -0.2 + drop), (-0.19 - tail, -0.12 + drop),
                    (-0.14, -0.2)]), np.asarray(back) * 0.8, grain=0.1)
    body = smooth([(-0.24, -0.24), (-0.1, -0.42), (0.1, -0.5), (0.25, -0.42), (0.27, -0.28),
                   (0.16, -0.13), (0.0, -0.09), (-0.16, -0.14)])
    paint(body, belly, relief=0.9)
    paint(smooth([(0.1, -0.46), (0.27, -0.42), (0.28, -0.27), (0.17, -0.17), (0.1, -0.28)]), breast,
          relief=0.5)
    beak = varied(rng, pick(rng, BEAKS), 5)
    reach = rng.uniform(0.08, 0.15)
    paint(np.array([(0.35, -0.55), (0.4 + reach, -0.49), (0.35, -0.46)]), beak, relief=0.3)
    paint(ellipse(0.24, -0.5, 0.15, 0.135), belly, relief=0.9)
    paint(smooth([(0.1, -0.46), (0.12, -0.6), (0.24, -0.65), (0.36, -0.58), (0.37, -0.53),
                  (0.26, -0.52)]), crown, relief=0.5)
    if rng.random() < 0.35:
        paint(np.array([(0.1, -0.58), (0.06, -0.76), (0.26, -0.63)]), crown, relief=0.3)
    paint(smooth([(0.12, -0.47), (-0.02, -0.46), (-0.18, -0.36), (-0.24, -0.26), (-0.05, -0.24),
                  (0.12, -0.3), (0.16, -0.38)]), back, relief=0.6)
    wing = smooth([(0.14, -0.4), (0.02, -0.42), (-0.2, -0.28), (-0.42, -0.16), (-0.2, -0.18),
                   (0.02, -0.2), (0.13, -0.29)])
    paint(wing, np.asarray(back) * 0.86, relief=0.7, grain=0.1)
    bar = mixed(back, (244, 240, 230), rng.uniform(0.1, 0.8))
    paint(limb([(0.08, -0.35), (0.02, -0.25)], 0.025), bar, relief=0)
    for row in (0.0, 0.04, 0.08):
        paint(limb([(-0.02, -0.3 + row), (-0.36 + row, -0.18 + row * 0.2)], 0.012),
              np.asarray(back) * 0.6, relief=0)
    _eye(paint, 0.29, -0.53, 0.022)


def _owl(paint: Paint, rng: np.random.Generator) -> None:
    feather = varied(rng, pick(rng, [(124, 98, 72), (150, 130, 106), (110, 104, 98),
                                     (206, 200, 190)]), 7)
    pale = mixed(feather, (240, 230, 214), 0.6)
    paint(
        smooth([(-0.12, -0.1), (0.12, -0.1), (0.08, 0.2), (-0.08, 0.2)]), np.asarray(feather) * 0.75
    )
    paint(smooth([(-0.25, -0.4), (-0.18, -0.66), (0.18, -0.66), (0.25, -0.4), (0.17, -0.06),
                  (-0.17, -0.06)]), feather, relief=0.8, grain=0.1)
    paint(smooth([(-0.14, -0.44), (0.14, -0.44), (0.11, -0.1), (-0.11, -0.1)]), pale, grain=0.08)
    flecks = [ellipse(x, y, 0.014, 0.024) for y in np.arange(-0.42, -0.12, 0.065)
              for x in np.arange(-0.1, 0.11, 0.05) + rng.uniform(0, 0.03)]
    paint(flecks, np.asarray(feather) * 0.7, relief=0)
    for side in (-1, 1):
        wing = smooth([(side * 0.17, -0.55), (side * 0.28, -0.4), (side * 0.23, -0.08),
                       (side * 0.15, -0.02), (side * 0.14, -0.3)])
        paint(wing, np.asarray(feather) * 0.82, relief=0.6, grain=0.12)
        paint(np.array([(side * 0.06, -0.84), (side * 0.2, -0.98), (side * 0.2, -0.78)]), feather)
    paint(ellipse(0, -0.73, 0.24, 0.19), feather, relief=0.8, grain=0.1)
    for side in (-1, 1):
        paint(ellipse(side * 0.1, -0.72, 0.105, 0.115), pale, relief=0.2)
        iris = pick(rng, [(240, 180, 40), (236, 120, 30)])
        paint(ellipse(side * 0.095, -0.73, 0.056, 0.056), iris, relief=0)
        paint(ellipse(side * 0.095, -0.73, 0.03, 0.03), (16, 14, 14), relief=0)
        paint(limb([(side * 0.07, -0.06), (side * 0.07, 0.01)], 0.06), (196, 160, 90))
    paint(np.array([(-0.03, -0.69), (0.03, -0.69), (0, -0.6)]), (70, 60, 50), relief=0.2)


def _parrot(paint: Paint, rng: np.random.Generator) -> None:
    body, wing, tip = pick(rng, [((206, 44, 40), (230, 180, 40), (40, 84, 180)),
                                 ((60, 150, 60), (40, 120, 70), (200, 60, 50)),
                                 ((40, 110, 190), (36, 90, 170), (236, 180, 50))])
    body = varied(rng, body, 6)
    paint(np.array([(-0.16, -0.2), (-0.34, 0.28), (-0.26, 0.3), (-0.04, -0.12)]), tip, grain=0.08)
    paint(smooth([(-0.16, -0.12), (-0.16, -0.45), (-0.02, -0.64), (0.16, -0.58), (0.2, -0.36),
                  (0.08, -0.08)]), body, relief=0.8)
    paint(ellipse(0.09, -0.7, 0.16, 0.15), body, relief=0.8)
    paint(smooth([(0.2, -0.78), (0.31, -0.74), (0.32, -0.6), (0.27, -0.52), (0.24, -0.63),
                  (0.18, -0.66)]), (52, 48, 48), relief=0.4)
    paint(ellipse(0.14, -0.7, 0.07, 0.07), (240, 234, 224), relief=0.1)
    _eye(paint, 0.14, -0.72, 0.02)
    paint(smooth([(0.06, -0.52), (-0.1, -0.5), (-0.2, -0.28), (-0.25, 0.04), (-0.06, -0.16),
                  (0.06, -0.34)]), wing, relief=0.7, grain=0.08)
    paint(smooth([(-0.14, -0.3), (-0.22, -0.14), (-0.27, 0.1), (-0.1, -0.1), (-0.04, -0.26)]), tip,
          relief=0.5, grain=0.08)
    for x in (0.0, 0.08):
        paint(limb([(x, -0.1), (x + 0.02, 0.0)], 0.05), (120, 116, 112))


def _duck(paint: Paint, rng: np.random.Generator) -> None:
    drake = rng.random() < 0.6
    head = (36, 96, 66) if drake else (132, 100, 70)
    body = varied(rng, (176, 168, 160) if drake else (140, 108, 78), 7)
    breast = (104, 64, 46) if drake else (152, 118, 86)
    if rng.random() < 0.25:
        head = body = breast = (238, 238, 234)
    paint(
        np.array([(-0.36, -0.2), (-0.52, -0.28), (-0.4, -0.08)]), mixed(body, (240, 240, 236), 0.5)
    )
    hull = smooth([(-0.42, -0.14), (-0.25, -0.27), (0.0, -0.27), (0.22, -0.26), (0.32, -0.12),
                   (0.24, 0.015), (-0.3, 0.015)])
    paint(hull, body, relief=0.8, grain=0.06)
    paint(smooth([(0.14, -0.27), (0.3, -0.3), (0.34, -0.13), (0.25, 0.01), (0.12, -0.05)]), breast,
          relief=0.6)
    paint(limb([(0.24, -0.2), (0.28, -0.36)], [0.17, 0.13]), head, relief=0.6)
    if drake:
        paint(limb([(0.19, -0.27), (0.33, -0.28)], 0.028), (240, 238, 230), relief=0)
    paint(smooth([(0.36, -0.43), (0.53, -0.36), (0.52, -0.32), (0.35, -0.34)]),
          pick(rng, [(222, 170, 50), (206, 120, 50)]), relief=0.4)
    paint(ellipse(0.3, -0.41, 0.12, 0.1), head, relief=0.8)
    paint(smooth([(0.1, -0.24), (-0.2, -0.25), (-0.4, -0.15), (-0.1, -0.05), (0.1, -0.1)]),
          np.asarray(body) * 0.85, relief=0.6, grain=0.1)
    paint(limb([(-0.24, -0.11), (-0.08, -0.09)], 0.04), (50, 80, 170), relief=0.2)
    _eye(paint, 0.34, -0.43, 0.016)


def _gull(paint: Paint, rng: np.random.Generator) -> None:
    """In flight, both wings spread."""
    grey = varied(rng, (150, 158, 168), 8)
    white, dark = (240, 240, 240), (52, 54, 60)
    up = rng.uniform(0.12, 0.32)
    far = [(0.06, -0.05), (0.12, -up * 0.9), (0.02, -up - 0.28), (-0.1, -up - 0.1), (-0.08, -0.03)]
    paint(smooth(far, steps=4), mixed(grey, dark, 0.25), relief=0.3)
    paint(np.array([(-0.2, 0.0), (-0.36, -0.04), (-0.36, 0.07), (-0.2, 0.06)]), white)
    paint(smooth([(-0.24, 0.02), (0.0, -0.07), (0.2, -0.08), (0.28, -0.02), (0.16, 0.06),
                  (-0.05, 0.08)]), white, relief=0.8)
    paint(np.array([(0.28, -0.05), (0.36, -0.01), (0.27, 0.01)]), (228, 170, 50))
    _eye(paint, 0.23, -0.045, 0.012)
    tip = np.array([-0.3 + rng.uniform(-0.1, 0.1), -up - 0.18])
    wing = [(0.1, -0.04), (0.06, -up * 0.6), tip, (-0.14, -up * 0.5), (-0.12, -0.01)]
    paint(smooth(wing, steps=5), grey, relief=0.6, grain=0.06)
    paint(np.array([tip, (tip + (0.14, 0.02)), tip + (0.13, 0.08)]), dark, relief=0.2)


def _heron(paint: Paint, rng: np.random.Generator) -> None:
    """A long-legged wader."""
    body = varied(rng, pick(rng, [(140, 152, 168), (236, 236, 234), (226, 160, 160)]), 6)
    leg = pick(rng, [(190, 90, 60), (80, 78, 70)])
    for x in (-0.03, 0.05):
        paint(limb([(x, -0.4), (x + 0.02, -0.2), (x, 0.0)], 0.02), leg)
        paint(limb([(x, 0), (x + 0.08, 0)], 0.016), leg)
    paint(smooth([(-0.3, -0.36), (-0.1, -0.56), (0.12, -0.6), (0.18, -0.48), (0.05, -0.38)]), body,
          relief=0.8)
    neck = smooth([(0.1, -0.52), (0.22, -0.64), (0.12, -0.78), (0.2, -0.92)], closed=False)
    paint(limb(neck, np.linspace(0.12, 0.06, len(neck))), body, relief=0.5)
    paint(np.array([(0.24, -0.97), (0.48, -0.89), (0.24, -0.9)]), (220, 160, 60), relief=0.3)
    paint(ellipse(0.21, -0.935, 0.065, 0.048), body, relief=0.5)
    paint(limb([(0.2, -0.965), (0.08, -0.96)], [0.025, 0.008]), (50, 54, 62))
    paint(smooth([(0.08, -0.54), (-0.1, -0.53), (-0.36, -0.32), (-0.1, -0.4), (0.08, -0.44)]),
          np.asarray(body) * 0.78, relief=0.5, grain=0.1)
    _eye(paint, 0.23, -0.945, 0.011)


KINDS: dict[str, tuple[Callable, str, float]] = {
    # how to draw it, where it is at home, size compared with a songbird's
    "sparrow": (_songbird, "perch", 1.0),
    "owl": (_owl, "perch", 0.9),
    "parrot": (_parrot, "perch", 0.9),
    "duck": (_duck, "water", 0.95),
    "gull": (_gull, "air", 1.35),
    "heron": (_heron, "ground", 1.0),
}


def draw_bird(
    canvas: Canvas,
    rng: np.random.Generator,
    label: int,
    kind: str,
    foot: tuple[float, float],
    length: float,
) -> None:
    """Draw one whose feet (whose middle, if it flies) are at `foot`; `length` in pixels."""
    sketch, home, relative = KINDS[kind]
    scale = length * relative
    place = {"x": foot[0], "y": foot[1], "scale": scale, "flip": bool(rng.random() < 0.5),
             "angle": rng.normal(0, 0.12 if home == "air" else 0.04)}

    def paint(shapes: Shapes | np.ndarray, colour: Colour, **look) -> None:
        look = {"relief": 0.4, "grain": 0.05, "thickness": scale * 0.035} | look
        canvas.paint(placed(shapes, **place), colour, label, **look)

    sketch(paint, rng)
