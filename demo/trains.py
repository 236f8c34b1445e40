"""Trains that cross the picture, seen from the side."""

import numpy as np

from demo.canvas import Canvas, Colour, box, ellipse, limb, mixed, pick, varied

LIVERIES: tuple[tuple[Colour, Colour], ...] = (
    ((190, 34, 40), (236, 232, 226)), ((232, 232, 234), (40, 70, 150)),
    ((34, 66, 128), (240, 200, 60)), ((40, 104, 70), (226, 218, 190)),
    ((236, 196, 50), (60, 66, 74)), ((222, 224, 228), (200, 40, 44)),
    ((70, 78, 90), (220, 120, 40)),
)
GLASS: Colour = (40, 50, 62)
BLACK: Colour = (38, 38, 42)
KINDS = ("commuter train", "high-speed train", "steam locomotive", "freight train")


def draw_train(
    canvas: Canvas,
    rng: np.random.Generator,
    label: int,
    kind: str,
    rail: tuple[float, float],
    metre: float,
) -> None:
    """A train seen from the side; `rail` is the point of the rail below its front end.

    `metre` is the number of pixels to the metre; the train reaches to the edge of the picture.
    """
    flip = -1 if rng.random() < 0.5 else 1
    origin = rail if flip == 1 else (canvas.width - rail[0], rail[1])
    side = _Side(canvas, label, origin, metre, flip)
    canvas.darken(side.shapes([box(-60, -0.1, 0, 0.35)]), 0.5, metre * 0.12)
    if kind == "steam locomotive":
        end = _steam_side(side, rng)
        _coaches(side, rng, end, pick(rng, LIVERIES[:4]), round_roof=True)
    elif kind == "freight train":
        end = _diesel_side(side, rng)
        _wagons(side, rng, end)
    else:
        livery = pick(rng, LIVERIES)
        end = _front_coach(side, rng, livery, pointed=kind == "high-speed train")
        _coaches(side, rng, end, livery, round_roof=False)


class _Side:
    """Paints shapes given in metres behind (negative x) the front end of the train."""

    def __init__(self, canvas: Canvas, label: int, origin: tuple[float, float], metre: float,
                 flip: int):
        self.canvas, self.label, self.metre = canvas, label, metre
        self.origin, self.flip = np.array(origin), flip

    def shapes(self, shapes: list[np.ndarray]) -> list[np.ndarray]:
        return [shape * (self.flip * self.metre, self.metre) + self.origin for shape in shapes]

    def __call__(self, shapes, colour, **look) -> None:
        shapes = [shapes] if isinstance(shapes, np.ndarray) else shapes
        look = {"grain": 0.025, "thickness": self.metre * 0.3} | look
        self.canvas.paint(self.shapes(shapes), colour, self.label, **look)

    @property
    def length(self) -> float:
        """Metres from the front end to where the picture ends."""
        inside = self.origin[0] if self.flip == 1 else self.canvas.width - self.origin[0]
        return inside / self.metre

    def wheels(self, places, radius: float, colour: Colour = (70, 68, 68)) -> None:
        self([ellipse(x, -radius, radius, radius) for x in places], BLACK, relief=0.3)
        self([ellipse(x, -radius, radius * 0.62, radius * 0.62) for x in places], colour)
        self([ellipse(x, -radius, radius * 0.2, radius * 0.2) for x in places], (150, 148, 146))


def _steam_side(side: _Side, rng: np.random.Generator) -> float:
    paint = varied(rng, pick(rng, [BLACK, BLACK, (36, 70, 52), (120, 34, 32), (34, 52, 92)]), 5)
    red = (166, 40, 36)
    side(box(-9.4, -1.5, -0.4, -1.1), red if rng.random() < 0.6 else BLACK)
    side(np.array([(-0.6, -1.3), (0.1, -0.25), (-0.9, -0.25), (-1.2, -1.2)]), (70, 66, 66))
    side(box(-7.4, -3.3, -0.9, -1.5), paint, relief=0.7, fade=0.5, thickness=side.metre * 0.5)
    side([box(x, -3.32, x + 0.1, -1.5) for x in (-2.2, -3.6, -5.0, -6.4)], (190, 160, 80))
    side(box(-1.1, -3.3, -0.7, -1.5), (58, 58, 62), fade=0.5)
    side(np.array([(-2.0, -3.2), (-2.1, -4.3), (-1.3, -4.3), (-1.4, -3.2)]), paint, relief=0.6)
    side(box(-2.2, -4.4, -1.2, -4.2), (190, 160, 80))
    for x in (-3.9, -5.6):
        side(ellipse(x, -3.35, 0.45, 0.5), pick(rng, [(190, 160, 80), paint]), relief=0.5)
    side(box(-9.4, -4.0, -7.3, -1.2), paint, fade=0.2)
    side(box(-9.7, -4.2, -7.1, -3.95), BLACK)
    side(box(-8.9, -3.6, -7.8, -2.6), (150, 176, 190))
    side.wheels((-2.9, -4.6, -6.3), 0.82, red)
    side.wheels((-1.2, -8.0, -9.0), 0.45, red)
    side(limb([(-6.3, -0.62), (-2.9, -0.62), (-1.7, -0.95)], 0.18), (170, 170, 172))
    side(box(-2.2, -1.4, -0.9, -0.7), paint, relief=0.4)
    side(box(-15.0, -2.9, -9.9, -1.1), paint, fade=0.2)
    side(limb([(-14.8, -2.95), (-12.5, -3.4), (-10.2, -2.95)], 0.7), (36, 34, 34), grain=0.3)
    side(box(-15.6, -1.2, -9.2, -1.0), BLACK)
    side.wheels((-10.8, -12.4, -14.2), 0.5, red)
    mouth = side.shapes([np.array([[-1.7, -4.5]])])[0][0]
    _smoke(side.canvas, rng, tuple(mouth), side.metre * 0.9)
    return -15.9


def _diesel_side(side: _Side, rng: np.random.Generator) -> float:
    body, accent = pick(rng, LIVERIES)
    body = varied(rng, body, 6)
    nose = rng.uniform(0.2, 1.6)
    side(box(-15.6, -1.15, -0.2, -0.8), BLACK)
    side(np.array([(-15.6, -3.9), (-nose - 0.7, -3.9), (-nose, -2.6), (0, -2.4), (0, -1.1),
                   (-15.6, -1.1)]), body, relief=0.3, fade=0.15)
    side(box(-15.6, -1.9, 0, -1.55), accent)
    side(np.array([(-nose - 0.8, -3.6), (-nose - 0.25, -2.75), (-nose - 2.2, -2.75),
                   (-nose - 2.2, -3.6)]), GLASS)
    grey = mixed(body, (40, 44, 48), 0.55)
    side([box(x, -3.4, x + 1.5, -2.3) for x in np.arange(-14.4, -5, 2.2)], grey, grain=0.25)
    side([box(x, -4.15, x + 2, -3.85) for x in (-12.5, -7.5)], (80, 82, 86))
    side(box(-9.5, -0.9, -6.2, -0.35), (60, 62, 64))
    side.wheels((-2, -3.6, -11.9, -13.5), 0.5)
    return -16.2


def _wagons(side: _Side, rng: np.random.Generator, end: float) -> None:
    while -end < side.length:
        colour = varied(rng, pick(rng, [(134, 60, 44), (60, 84, 120), (96, 100, 104), (70, 96, 70),
                                        (196, 130, 50), (110, 84, 64)]), 10)
        front, back = end - 0.5, end - 12.5
        side(box(back - 0.6, -1.2, front + 0.6, -0.95), BLACK)
        kind = int(rng.integers(4))
        if kind == 0:
            side(box(back, -3.9, front, -1.15), colour, fade=0.15)
            side([box(x, -3.85, x + 0.12, -1.2) for x in np.arange(back, front, 1.2)],
                 np.asarray(colour) * 0.75)
            side(box(back + 4.6, -3.6, back + 7.4, -1.2), np.asarray(colour) * 0.85)
        elif kind == 1:
            side([box(back + 0.3, -3.5, front - 0.3, -1.3), ellipse(back + 0.5, -2.4, 0.5, 1.1),
                  ellipse(front - 0.5, -2.4, 0.5, 1.1)], mixed(colour, (190, 192, 196), 0.6),
                 relief=0.8, fade=0.5, thickness=side.metre * 0.6)
            side(box(back + 5.5, -3.9, back + 6.5, -3.4), (90, 92, 96))
        elif kind == 2:
            side(np.array([(back, -2.9), (front, -2.9), (front - 0.4, -1.15), (back + 0.4, -1.15)]),
                 colour, fade=0.2)
            load = [(x, -2.85 - 0.6 * rng.uniform(0.4, 1)) for x in np.linspace(front, back, 7)]
            side(np.array([(front, -2.8), *load[1:-1], (back, -2.8)]), (70, 64, 60), grain=0.4)
        else:
            for left in (back + 0.2, back + 6.1):
                tone = varied(rng, colour, 25)
                side(box(left, -3.7, left + 5.7, -1.2), tone, fade=0.1)
                side([box(x, -3.65, x + 0.1, -1.25) for x in np.arange(left, left + 5.6, 0.5)],
                     np.asarray(tone) * 0.85)
        side.wheels((front - 1.6, front - 3.0, back + 1.6, back + 3.0), 0.46)
        end -= 13.2


def _front_coach(side: _Side, rng: np.random.Generator, livery: tuple[Colour, Colour], *,
                 pointed: bool) -> float:
    body, accent = livery
    tip = 6.0 if pointed else 0.9
    outline = [(-20, -3.95), (-tip - 0.6, -3.95), (-tip * 0.7, -3.5), (-tip * 0.25, -2.2),
               (0, -1.35), (0.05, -0.7), (-0.6, -0.45), (-20, -0.45)]
    side(np.array(outline), body, relief=0.3, fade=0.12)
    side(np.array([(-20, -1.7), (-tip * 0.16, -1.7), (0, -1.3), (-20, -1.3)]), accent)
    glass = [(-tip * 0.82, -3.45), (-tip * 0.45, -2.55), (-tip * 0.8 - 0.6, -2.45),
             (-tip * 0.8 - 0.9, -3.4)]
    side(np.array(glass), GLASS)
    _coach_windows(side, -19.4, -tip - 3.0, accent)
    side(box(-20, -0.75, -1.2, -0.4), BLACK)
    side.wheels((-3.6, -5.6, -15.6, -17.6), 0.44)
    return -20.4


def _coach_windows(side: _Side, back: float, front: float, accent: Colour) -> None:
    side([box(x, -3.2, x + 1.25, -2.15) for x in np.arange(back + 1.6, front, 1.75)], GLASS,
         grain=0.12)
    side([box(back + 0.2, -3.3, back + 1.2, -0.8)], np.asarray(accent) * 0.85)


def _coaches(side: _Side, rng: np.random.Generator, end: float, livery: tuple[Colour, Colour],
             *, round_roof: bool) -> None:
    body, accent = livery
    while -end < side.length:
        front, back = end, end - 19.5
        side(box(back - 0.7, -3.4, front + 0.7, -0.9), BLACK)
        side(box(back, -3.75, front, -0.85), body, fade=0.12)
        roof = mixed(body, (110, 112, 116), 0.75 if round_roof else 0.4)
        side(box(back, -4.0, front, -3.55), roof, relief=0.4)
        side(box(back, -1.7, front, -1.3), accent)
        _coach_windows(side, back, front - 1.2, accent)
        side(box(back, -0.95, front, -0.6), BLACK)
        side.wheels((front - 2.2, front - 4.2, back + 2.2, back + 4.2), 0.44)
        end = back - 0.6


def _smoke(canvas: Canvas, rng: np.random.Generator, mouth: tuple[float, float],
           size: float) -> None:
    drift = rng.choice([-1, 1]) * rng.uniform(0.2, 0.7)
    grey = varied(rng, (214, 214, 216), 14)
    x, y = mouth
    for puff in range(9):
        radius = size * (0.3 + 0.16 * puff)
        x += drift * radius * 0.8
        y -= radius * 0.55
        canvas.paint([ellipse(x, y, radius * 1.1, radius * 0.85)], grey, None, opacity=0.4,
                     blur=radius * 0.3, relief=0.3, thickness=radius / 2)
