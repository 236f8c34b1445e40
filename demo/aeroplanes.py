"""Aeroplanes: small solid models, turned in space and drawn part by part from back to front."""

from dataclasses import dataclass

import numpy as np

from demo.canvas import Canvas, Colour, Shapes, ellipse, limb, mixed, pick

LIVERIES: tuple[tuple[Colour, Colour], ...] = (
    ((238, 240, 244), (30, 62, 140)), ((236, 238, 240), (190, 36, 44)),
    ((222, 226, 232), (24, 110, 120)), ((240, 236, 226), (226, 140, 30)),
    ((196, 202, 210), (40, 44, 56)), ((232, 234, 238), (60, 130, 60)),
)
CAMOUFLAGE: tuple[tuple[Colour, Colour], ...] = (
    ((128, 138, 148), (84, 92, 102)), ((150, 154, 158), (110, 114, 120)),
    ((112, 118, 92), (78, 84, 66)),
)
SPORT: tuple[tuple[Colour, Colour], ...] = (
    ((240, 240, 240), (196, 40, 44)), ((236, 206, 60), (40, 60, 120)),
    ((200, 50, 46), (244, 240, 236)), ((236, 238, 242), (40, 90, 170)),
)
GLASS: Colour = (44, 56, 72)


@dataclass
class Part:
    """A piece of the model. Axes: x ahead, y to the right wing, z up; 1 is half the length."""

    points: np.ndarray
    colour: Colour
    radii: np.ndarray | None = None
    """Of a round body along `points`; None for a flat piece with `points` as its outline."""
    normal: tuple[float, float, float] = (0.0, 0.0, 1.0)
    on_top: float = 0.0
    """Moves the piece in the painting order: details lie on what they belong to."""


def _round(points, radii, colour, on_top=0.0) -> Part:
    return Part(np.array(points, float), colour, np.array(radii, float), on_top=on_top)


def _flat(points, colour, normal=(0.0, 0.0, 1.0), on_top=0.0) -> Part:
    return Part(np.array(points, float), colour, None, normal, on_top)


def _wings(colour: Colour, root: float, chord: float, span: float, sweep: float, tip: float,
           low: float, rise: float, inner: float = 0.0) -> list[Part]:
    """A pair of wings whose leading edge leaves the body at `root`."""
    return [
        _flat([(root, side * inner, low), (root - sweep, side * span, low + rise),
               (root - sweep - tip, side * span, low + rise), (root - chord, side * inner, low)],
              colour)
        for side in (-1, 1)
    ]


def _fin(colour: Colour, front: float, back: float, height: float, base: float,
         y: float = 0.0) -> Part:
    return _flat([(front, y, base), (back + 0.1, y, base + height),
                  (back - 0.06, y, base + height), (back, y, base)],
                 colour, (0, 1, 0), 0.02)


def _airliner(rng: np.random.Generator, parked: bool) -> list[Part]:
    body, accent = pick(rng, LIVERIES)
    r = rng.uniform(0.1, 0.13)
    nose = [(-1, 0, 0.07), (-0.72, 0, 0.03), (-0.45, 0, 0), (0.75, 0, 0), (0.9, 0, -0.015),
            (0.97, 0, -0.03), (1, 0, -0.04)]
    parts = [_round(nose, [0.025, 0.075, r, r, 0.8 * r, 0.5 * r, 0.2 * r], body)]
    wing = mixed(body, (140, 146, 154), 0.45)
    span = rng.uniform(0.85, 1.05)
    parts += _wings(wing, 0.28, 0.42, span, 0.62, 0.1, -0.05, 0.09)
    parts += _wings(wing, -0.76, 0.2, 0.36, 0.22, 0.07, 0.06, 0.03)
    parts.append(_fin(accent, -0.6, -0.98, rng.uniform(0.3, 0.4), 0.06))
    engines = [0.34] if rng.random() < 0.75 else [0.3, 0.58]
    metal = mixed(accent, (200, 204, 210), rng.uniform(0.2, 0.9))
    for y in engines:
        x = 0.3 - 0.68 * y
        for side in (-1, 1):
            parts.append(_round([(x - 0.12, side * y, -0.11), (x + 0.12, side * y, -0.11)],
                                [0.045, 0.06], metal, 0.05))
    for side in (-1, 1):
        panes = [[(x, side * r, 0.025), (x + 0.028, side * r, 0.025), (x + 0.028, side * r, 0.06),
                  (x, side * r, 0.06)] for x in np.arange(-0.55, 0.74, 0.065)]
        parts += [_flat(pane, GLASS, (0, side, 0.2), r + 0.02) for pane in panes]
        stripe = [(-0.75, side * r, -0.035), (0.85, side * r, -0.035), (0.85, side * r, -0.005),
                  (-0.75, side * r, -0.005)]
        parts.append(_flat(stripe, accent, (0, side, 0.2), r + 0.02))
        cockpit = [(0.86, side * 0.7 * r, 0.02), (0.93, side * 0.45 * r, 0.015),
                   (0.9, side * 0.35 * r, 0.05), (0.85, side * 0.6 * r, 0.055)]
        parts.append(_flat(cockpit, GLASS, (0.3, side, 0.4), r + 0.02))
    if parked:
        parts += _gear([(0.72, 0), (-0.1, 0.16), (-0.1, -0.16)], -0.1, -0.3, 0.045)
    return parts


def _gear(wheels: list[tuple[float, float]], top: float, bottom: float,
          radius: float) -> list[Part]:
    parts = []
    for x, y in wheels:
        parts.append(_round([(x, y, top), (x, y, bottom)], [0.015, 0.015], (110, 112, 116), -0.2))
        parts.append(_round([(x, y - 0.015, bottom), (x, y + 0.015, bottom)], [radius] * 2,
                            (34, 34, 36), -0.2))
    return parts


def _fighter(rng: np.random.Generator, parked: bool) -> list[Part]:
    body, accent = pick(rng, CAMOUFLAGE)
    spine = [(-0.95, 0, 0), (-0.4, 0, 0), (0.2, 0, 0.01), (0.6, 0, 0), (0.85, 0, -0.02),
             (1.05, 0, -0.03)]
    parts = [_round(spine, [0.085, 0.12, 0.115, 0.085, 0.045, 0.01], body)]
    wing = mixed(body, accent, 0.5)
    parts += _wings(wing, 0.25, 0.85, rng.uniform(0.55, 0.7), 0.65, 0.14, -0.01, -0.01)
    parts += _wings(wing, -0.66, 0.3, 0.38, 0.25, 0.1, 0, 0)
    if rng.random() < 0.5:
        parts += [_fin(accent, -0.5, -0.9, 0.32, 0.06, side * 0.1) for side in (-1, 1)]
    else:
        parts.append(_fin(accent, -0.4, -0.92, 0.36, 0.08))
    parts.append(_round([(0.22, 0, 0.09), (0.38, 0, 0.11), (0.58, 0, 0.06)], [0.03, 0.06, 0.025],
                        GLASS, 0.1))
    if parked:
        parts += _gear([(0.55, 0), (-0.15, 0.16), (-0.15, -0.16)], -0.06, -0.26, 0.05)
    return parts


def _light_plane(rng: np.random.Generator, parked: bool) -> list[Part]:
    body, accent = pick(rng, SPORT)
    spine = [(-1, 0, 0.06), (-0.4, 0, 0.02), (0.1, 0, 0.01), (0.45, 0, -0.01), (0.72, 0, -0.03),
             (0.82, 0, -0.03)]
    parts = [_round(spine, [0.03, 0.1, 0.16, 0.15, 0.11, 0.05], body)]
    high = rng.random() < 0.6
    parts += _wings(body, 0.36, 0.34, rng.uniform(1.1, 1.3), 0.04, 0.28, 0.19 if high else -0.1,
                    0.02 if high else 0.09)
    parts += _wings(accent, -0.78, 0.22, 0.42, 0.08, 0.12, 0.07, 0)
    parts.append(_fin(accent, -0.68, -1.0, 0.3, 0.06))
    for side in (-1, 1):
        pane = [(0.02, side * 0.155, 0.03), (0.4, side * 0.14, 0.03), (0.3, side * 0.1, 0.16),
                (0.04, side * 0.1, 0.16)]
        parts.append(_flat(pane, GLASS, (0, side, 0.3), 0.2))
        stripe = [(-0.8, side * 0.12, -0.02), (0.7, side * 0.13, -0.06), (0.7, side * 0.13, -0.02),
                  (-0.8, side * 0.12, 0.02)]
        parts.append(_flat(stripe, accent, (0, side, 0), 0.18))
    parts += _propeller(rng, 0.84, -0.03, 0.32)
    return parts + _gear([(0.55, 0), (0.05, 0.24), (0.05, -0.24)], -0.1, -0.3, 0.06)


def _propeller(rng: np.random.Generator, x: float, z: float, reach: float) -> list[Part]:
    angle = rng.uniform(0, np.pi)
    y, up = reach * np.cos(angle), reach * np.sin(angle)
    blades = _round([(x, -y, z - up), (x, 0, z), (x, y, z + up)], [0.012, 0.03, 0.012],
                    (60, 60, 64), 0.1)
    return [blades, _round([(x - 0.05, 0, z), (x + 0.04, 0, z)], [0.06, 0.02], (180, 60, 50), 0.1)]


def _biplane(rng: np.random.Generator, parked: bool) -> list[Part]:
    body, accent = pick(rng, SPORT)
    spine = [(-1, 0, 0.03), (-0.3, 0, 0), (0.3, 0, 0), (0.62, 0, -0.01), (0.74, 0, -0.01)]
    parts = [_round(spine, [0.03, 0.11, 0.15, 0.15, 0.1], body)]
    span = rng.uniform(0.95, 1.1)
    parts += _wings(accent, 0.42, 0.3, span, 0.03, 0.27, -0.14, 0.03)
    parts += _wings(accent, 0.52, 0.3, span, 0.03, 0.27, 0.27, 0.02)
    for side in (-1, 1):
        for x, y in ((0.38, 0.75), (0.18, 0.75), (0.4, 0.14), (0.2, 0.14)):
            parts.append(_round([(x, side * y, -0.12), (x + 0.08, side * y, 0.28)], [0.012] * 2,
                                (120, 100, 70), 0.02))
    parts += _wings(accent, -0.75, 0.22, 0.36, 0.06, 0.14, 0.04, 0)
    parts.append(_fin(accent, -0.68, -1.0, 0.26, 0.03))
    parts.append(_round([(-0.08, 0, 0.13), (-0.06, 0, 0.2)], [0.04, 0.05], (70, 52, 40), 0.1))
    parts += _propeller(rng, 0.77, -0.01, 0.34)
    return parts + _gear([(0.4, 0.22), (0.4, -0.22)], -0.1, -0.34, 0.075)


KINDS = {
    "airliner": _airliner,
    "fighter aircraft": _fighter,
    "light aircraft": _light_plane,
    "biplane": _biplane,
}


def draw_aeroplane(
    canvas: Canvas,
    rng: np.random.Generator,
    label: int,
    kind: str,
    centre: tuple[float, float],
    length: float,
    *,
    parked: bool,
) -> None:
    """Draw one; `length` in pixels as seen from the side."""
    parts = KINDS[kind](rng, parked)
    heading = rng.choice([0, np.pi]) + rng.choice([-1, 1]) * rng.uniform(0.1, 0.8)
    if parked:
        pitch, roll, seen_from = 0.0, 0.0, rng.uniform(0.06, 0.17)
    else:
        pitch, roll = rng.normal(0.12, 0.16), rng.normal(0, 0.35)
        seen_from = pick(rng, [-1, -1, 1]) * rng.uniform(0.1, 0.75)
    turn = _orientation(heading, pitch, roll, seen_from)
    scale = length / 2
    light = turn.T @ np.array([-canvas.light[0], -0.5, 0.8])
    ordered = sorted(parts, key=lambda part: _depth(part, turn))
    outlines = [(part, _outline(part, turn, scale, centre)) for part in ordered]
    if parked:
        lowest = max(shape[:, 1].max() for _, shapes in outlines for shape in shapes)
        shadow = ellipse(centre[0], lowest, scale * 0.85, scale * 0.09)
        canvas.darken([shadow], 0.45, scale * 0.04)
    for part, shapes in outlines:
        if part.radii is not None:
            canvas.paint(shapes, part.colour, label, relief=0.75, grain=0.02,
                         thickness=max(2.0, float(part.radii.max()) * scale * 0.5))
        elif part.on_top < 0.1 or _faces_viewer(part, turn):
            brightness = 0.8 + 0.3 * abs(float(np.dot(part.normal, light)))
            brightness -= 0.25 * (seen_from < 0 and part.normal[2] == 1)
            canvas.paint(shapes, np.asarray(part.colour) * min(brightness, 1.05), label, grain=0.03)


def _orientation(heading: float, pitch: float, roll: float, seen_from: float) -> np.ndarray:
    """(3, 3) matrix from model axes to right, away, up as seen; `seen_from` > 0 is from above."""
    c, s = np.cos, np.sin
    rolled = np.array([[1, 0, 0], [0, c(roll), -s(roll)], [0, s(roll), c(roll)]])
    pitched = np.array([[c(pitch), 0, -s(pitch)], [0, 1, 0], [s(pitch), 0, c(pitch)]])
    headed = np.array([[c(heading), -s(heading), 0], [s(heading), c(heading), 0], [0, 0, 1]])
    tilt = seen_from
    viewed = np.array([[1, 0, 0], [0, c(tilt), -s(tilt)], [0, s(tilt), c(tilt)]])
    return viewed @ headed @ pitched @ rolled


def _depth(part: Part, turn: np.ndarray) -> float:
    """Smaller is farther away."""
    away = (part.points.mean(axis=0) @ turn.T)[1]
    return -away + part.on_top


def _faces_viewer(part: Part, turn: np.ndarray) -> bool:
    return (turn @ np.array(part.normal))[1] < 0


def _outline(part: Part, turn: np.ndarray, scale: float, centre: tuple[float, float]) -> Shapes:
    seen = part.points @ turn.T
    flat = np.stack([seen[:, 0], -seen[:, 2]], axis=1) * scale + centre
    if part.radii is None:
        return [flat]
    return limb(flat, 2 * part.radii * scale)
