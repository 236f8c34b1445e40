"""Horses, seen from the side, facing right; 1 is the length of the trunk, the ground is y = 0."""

# Tuples are added to points as vectors.
# ruff: noqa: RUF005

import numpy as np

from demo.canvas import (
    Canvas,
    Colour,
    Shapes,
    ellipse,
    limb,
    mixed,
    pick,
    placed,
    rotation,
    smooth,
    varied,
)

COATS: tuple[tuple[Colour, Colour], ...] = (
    ((134, 82, 48), (40, 30, 26)), ((150, 92, 50), (190, 140, 84)), ((62, 46, 38), (36, 28, 24)),
    ((196, 190, 182), (226, 222, 214)), ((186, 136, 78), (236, 222, 190)),
    ((112, 64, 40), (96, 54, 36)), ((150, 146, 142), (92, 90, 90)),
)
HOOF: Colour = (54, 46, 42)
KINDS = ("mare", "pony", "foal", "stallion")

# Joints from the trunk to the hoof, for a leg that stands; (x, y), y downwards.
FORELEG = np.array([(0.36, -0.62), (0.38, -0.44), (0.37, -0.26), (0.37, -0.08), (0.41, 0.0)])
HINDLEG = np.array([(-0.36, -0.68), (-0.30, -0.50), (-0.42, -0.29), (-0.39, -0.08), (-0.35, 0.0)])
FORE_WIDTHS = np.array([0.20, 0.13, 0.085, 0.058, 0.08])
HIND_WIDTHS = np.array([0.30, 0.20, 0.088, 0.06, 0.08])


def draw_horse(
    canvas: Canvas,
    rng: np.random.Generator,
    label: int,
    kind: str,
    foot: tuple[float, float],
    length: float,
) -> None:
    """Draw one that stands, walks, grazes or gallops with the ground below it at `foot`.

    `length` in pixels is about that of the whole animal, head and tail included.
    """
    coat, mane = pick(rng, COATS)
    coat, mane = varied(rng, coat, 7), varied(rng, mane, 5)
    gait = pick(rng, ["stand", "stand", "walk", "graze", "graze", "gallop"])
    flip = bool(rng.random() < 0.5)
    scale = length / 1.75
    stout = {"mare": 1.0, "pony": 1.12, "foal": 0.82, "stallion": 1.05}[kind]
    tall = {"mare": 1.0, "pony": 0.84, "foal": 1.12, "stallion": 1.0}[kind]
    lift = 0.06 if gait == "gallop" else 0.0

    def put(shapes: Shapes | np.ndarray) -> Shapes:
        return placed(shapes, foot[0], foot[1] - lift * scale, scale, flip=flip)

    def paint(shapes: Shapes | np.ndarray, colour: Colour, relief: float = 0.8, **look) -> None:
        canvas.paint(put(shapes), colour, label, relief=relief, thickness=scale * 0.05, **look)

    canvas.darken([ellipse(foot[0], foot[1], 0.62 * scale, 0.07 * scale)], 0.5, scale * 0.03)
    shade = np.asarray(coat) * 0.62
    socks = (232, 228, 222) if rng.random() < 0.35 else mixed(coat, (30, 26, 24), 0.45)
    near, far = _legs(rng, gait, tall)
    for points, widths in far:
        _leg(paint, points + (0.035, -0.015), widths * stout, shade, np.asarray(socks) * 0.7)
    _tail(paint, rng, mane, gait, tall)
    trunk, neck, head, crest = _outlines(rng, gait, stout, tall)
    paint([trunk, neck, *head, *(shape for points, widths in near
                                 for shape in limb(points[:3], widths[:3] * stout))], coat,
          fade=0.22)
    for points, widths in near:
        _leg(paint, points[1:], widths[1:] * stout, np.asarray(coat) * 0.95, socks)
    _mane(paint, rng, mane, crest)
    _face(paint, rng, head, coat, crest)


def _legs(rng: np.random.Generator, gait: str, tall: float) -> tuple[list, list]:
    """Near and far legs, each a pair (joints, widths)."""
    swings = {
        "stand": (0.05, -0.05, 0.06, -0.06),
        "graze": (0.12, -0.1, 0.08, -0.1),
        "walk": (0.3, -0.28, 0.25, -0.3),
        "gallop": (0.95, 0.5, -0.75, -0.35),
    }[gait]
    legs = []
    for number, swing in enumerate(swings):
        joints, widths = (FORELEG, FORE_WIDTHS) if number < 2 else (HINDLEG, HIND_WIDTHS)
        joints = joints * (1, tall) if tall != 1 else joints.copy()
        legs.append((_swung(joints, swing + rng.normal(0, 0.04)), widths))
    return [legs[0], legs[2]], [legs[1], legs[3]]


def _swung(joints: np.ndarray, angle: float) -> np.ndarray:
    """The leg turned about its upper end."""
    return (joints - joints[0]) @ rotation(angle) + joints[0]


def _leg(paint, points: np.ndarray, widths: np.ndarray, coat: Colour, sock: Colour) -> None:
    paint(limb(points, widths), coat)
    paint(limb(points[-3:], widths[-3:]), mixed(coat, sock, 0.55))
    ankle, toe = points[-2], points[-1]
    hoof = np.array([ankle * 0.35 + toe * 0.65 + (-0.03, 0), ankle * 0.35 + toe * 0.65 + (0.035, 0),
                     toe + (0.055, 0.012), toe + (-0.05, 0.012)])
    paint(hoof, HOOF, relief=0.3)


def _outlines(
    rng: np.random.Generator, gait: str, stout: float, tall: float
) -> tuple[np.ndarray, np.ndarray, Shapes, np.ndarray]:
    """Trunk, neck, head (skull and ears) and the line of the crest from the poll to the withers."""
    belly = -0.47 + 0.07 * (stout - 1)
    trunk = np.array(
        [(0.28, -1.0), (0.08, -0.925), (-0.14, -0.93), (-0.34, -0.985), (-0.48, -0.9),
         (-0.535, -0.74), (-0.44, -0.58), (-0.3, -0.54), (-0.05, belly), (0.22, belly - 0.02),
         (0.42, -0.54), (0.52, -0.68), (0.47, -0.86)]
    )
    lower = (1 - tall) * 0.45
    trunk = smooth(trunk + (0, lower))
    raise_ = {"stand": 0.95, "walk": 0.75, "graze": -0.72, "gallop": 0.5}[gait]
    angle = raise_ + rng.normal(0, 0.1)
    reach = 0.66 if gait == "graze" else 0.56
    along = np.array([np.cos(angle), -np.sin(angle)])
    across = np.array([np.sin(angle), np.cos(angle)])
    withers, chest = np.array([0.24, -0.97 + lower]), np.array([0.47, -0.62 + lower])
    root = (withers + chest) / 2
    poll = root + reach * along
    top, throat = poll - 0.075 * across, poll + 0.085 * across - 0.05 * along
    middle = root * 0.45 + poll * 0.55
    neck = smooth([withers + (-0.1, 0.04), middle - 0.145 * across, top, throat,
                   middle + 0.13 * across, chest + (0.02, 0.06), (0.25, -0.7 + lower)])
    tilt = angle - rng.uniform(1.35, 1.6) if gait != "graze" else angle - rng.uniform(0.35, 0.6)
    nose = np.array([np.cos(tilt), -np.sin(tilt)])
    side = np.array([np.sin(tilt), np.cos(tilt)])
    inward = side * np.sign(np.dot(side, root - poll))
    start = poll - 0.01 * nose
    skull = smooth([start - 0.06 * inward - 0.02 * nose, start - 0.035 * inward + 0.16 * nose,
                    start + 0.0 * inward + 0.34 * nose, start + 0.05 * inward + 0.41 * nose,
                    start + 0.115 * inward + 0.37 * nose, start + 0.125 * inward + 0.25 * nose,
                    start + 0.185 * inward + 0.12 * nose, start + 0.13 * inward - 0.02 * nose])
    ears = [np.array([start - 0.05 * inward + offset * nose, start - 0.14 * nose - 0.1 * inward
                      + (offset + 0.02) * nose, start - 0.01 * inward + (offset - 0.05) * nose])
            for offset in (0.0, 0.04)]
    crest = smooth([top, middle - 0.14 * across, withers + (0.0, -0.02)], closed=False)
    return trunk, neck, [skull, *ears], crest


def _mane(paint, rng: np.random.Generator, colour: Colour, crest: np.ndarray) -> None:
    strands = []
    for root in crest:
        drop = rng.uniform(0.1, 0.17)
        strands += limb([root + (-0.01, -0.015), root + (0.02 + rng.normal(0, 0.02), drop * 0.5),
                         root + (rng.normal(0.01, 0.03), drop)], [0.06, 0.055, 0.012])
    paint(strands, colour, relief=0.5, grain=0.12)


def _tail(paint, rng: np.random.Generator, colour: Colour, gait: str, tall: float) -> None:
    root = np.array([-0.5, -0.9 + (1 - tall) * 0.45])
    if gait == "gallop":
        bends = [(-0.17, -0.02), (-0.36, 0.06), (-0.5, 0.18)]
    else:
        sway = rng.normal(0, 0.04)
        bends = [(-0.08, 0.1), (-0.1 + sway, 0.34), (-0.06 + 2 * sway, 0.6)]
    line = smooth([root, *(root + bend for bend in bends)], closed=False)
    paint(limb(line, np.interp(np.linspace(0, 1, len(line)), [0, 0.55, 1], [0.07, 0.15, 0.03])),
          colour, relief=0.5, grain=0.12)


def _face(paint, rng: np.random.Generator, head: Shapes, coat: Colour, crest: np.ndarray) -> None:
    """Eye, nostril, and often a white blaze."""
    skull = head[0]
    forehead, nose = skull[0], skull[18]
    along = (nose - forehead) / np.linalg.norm(nose - forehead)
    centre = skull.mean(axis=0)
    inward = centre - forehead - np.dot(centre - forehead, along) * along
    inward /= np.linalg.norm(inward)
    muzzle = nose - 0.03 * along + 0.03 * inward
    paint(ellipse(*muzzle, 0.06, 0.05), mixed(coat, (50, 44, 44), 0.4), relief=0.3)
    if rng.random() < 0.4:
        blaze = [forehead + 0.1 * along + 0.012 * inward, forehead + 0.33 * along + 0.03 * inward]
        paint(limb(blaze, 0.035), (236, 232, 226), relief=0)
    eye = forehead + 0.12 * along + 0.06 * inward
    paint(ellipse(*eye, 0.022, 0.018), (22, 18, 18), relief=0)
    paint(ellipse(*(muzzle + 0.015 * along), 0.013, 0.01), (34, 28, 28), relief=0)
