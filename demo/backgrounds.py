"""The backgrounds that go with the three classes, drawn without any object."""

import numpy as np

from demo.canvas import Canvas, Colour, box, ellipse, limb, mixed, pick, varied
from demo.nature import (
    Camera,
    Setting,
    buildings,
    grass_blades,
    ground,
    hills,
    pole,
    sky,
    treeline,
)

GRASS: tuple[Colour, ...] = ((104, 134, 58), (122, 142, 70), (148, 146, 82), (84, 118, 56))


def level_camera(
    canvas: Canvas, rng: np.random.Generator, horizon: tuple[float, float], height: float
) -> Camera:
    return Camera(canvas.width * rng.uniform(0.3, 0.7), canvas.height * rng.uniform(*horizon),
                  canvas.width * rng.uniform(0.9, 1.15), height)


def horizon_scenery(
    canvas: Canvas, rng: np.random.Generator, horizon: float, town: float = 0.2
) -> None:
    """Something on the horizon: hills, trees, a town, or nothing."""
    if rng.random() < 0.5:
        hills(canvas, rng, horizon, int(rng.integers(1, 4)))
    if rng.random() < town:
        buildings(canvas, rng, horizon, canvas.height * rng.uniform(0.08, 0.2))
    if rng.random() < 0.7:
        treeline(canvas, rng, horizon)


def water(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """Sea, lake or harbour: waves that shrink towards the horizon and mirror the sky."""
    camera = level_camera(canvas, rng, (0.22, 0.45), rng.uniform(2, 6))
    mood = sky(canvas, rng, camera.horizon + 2)
    horizon_scenery(canvas, rng, camera.horizon, town=0.2)
    deep = {"clear": (38, 88, 128), "fair": (52, 104, 136), "overcast": (96, 116, 124),
            "storm": (70, 90, 98), "evening": (110, 96, 118)}[mood]
    deep = varied(rng, mixed(deep, (60, 110, 100), rng.uniform(0, 0.5)), 8)
    bright = mixed(deep, (226, 232, 236), 0.45 if mood != "evening" else 0.3)
    choppy = rng.uniform(0.08, 0.24)
    ground(canvas, rng, camera, deep, bright, roughness=1.5, contrast=choppy,
           metre=rng.uniform(9, 22), stretch=rng.uniform(2.5, 5))
    top = int(camera.horizon)
    if rng.random() < 0.5:
        _glitter(canvas, rng, top, bright)
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(2, 8))):
            away = camera.away(camera.horizon + canvas.height * rng.uniform(0.06, 0.5))
            across = (rng.choice([0.05, 0.95]) * canvas.width - camera.x) / camera.focal * away
            pole(canvas, camera, across + rng.normal(0, 0.6), away, rng.uniform(1, 2.2), 0.25,
                 (86, 74, 62))
    if rng.random() < 0.3:
        reeds = varied(rng, (120, 124, 60), 10)
        side = rng.choice([0.0, 0.7]) * canvas.width
        grass_blades(canvas, rng, canvas.height * 1.02, 90, canvas.height * 0.25, reeds, side,
                     side + 0.3 * canvas.width)
    return Setting(camera, (camera.horizon, canvas.height), water=True)


def _glitter(canvas: Canvas, rng: np.random.Generator, top: int, bright: Colour) -> None:
    """The sun's path on the water."""
    centre, spread = canvas.width * rng.uniform(0.2, 0.8), canvas.width * rng.uniform(0.06, 0.15)
    sparkles = []
    for _ in range(150):
        depth = rng.random() ** 1.5
        y = top + depth * (canvas.height - top)
        x = centre + rng.normal(0, spread * (0.5 + depth))
        sparkles.append(ellipse(x, y, 3 + 14 * depth, 1 + 2.5 * depth))
    canvas.paint(sparkles, mixed(bright, (255, 250, 235), 0.7), None, opacity=0.6, blur=1.5)


def meadow(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """Grass with tufts and flowers, trees behind it, often a fence."""
    camera = level_camera(canvas, rng, (0.25, 0.5), rng.uniform(1.5, 3.5))
    sky(canvas, rng, camera.horizon + 2)
    horizon_scenery(canvas, rng, camera.horizon, town=0.05)
    if rng.random() < 0.5:
        treeline(canvas, rng, camera.horizon, canvas.height * rng.uniform(0.12, 0.25))
    grass = varied(rng, pick(rng, GRASS), 10)
    ground(canvas, rng, camera, grass, mixed(grass, (176, 184, 130), 0.35), contrast=0.2,
           roughness=0.8, metre=30)
    if rng.random() < 0.6:
        _fence(canvas, rng, camera)
    span = canvas.height - camera.horizon
    for row in np.linspace(0.08, 1, 9):
        grass_blades(canvas, rng, camera.horizon + row * span, int(90 * (1.3 - row)),
                     6 + 26 * row**1.5, varied(rng, grass, 6))
    if rng.random() < 0.45:
        petals = varied(rng, pick(rng, [(240, 214, 60), (244, 240, 236), (190, 110, 170)]), 8)
        places = [(rng.uniform(0, canvas.width), rng.random()) for _ in range(60)]
        canvas.paint([ellipse(x, camera.horizon + depth * span, 1 + 5 * depth, 1 + 4 * depth)
                      for x, depth in places], petals, relief=0.3, thickness=3)
    return Setting(camera, (camera.horizon, canvas.height))


def _fence(canvas: Canvas, rng: np.random.Generator, camera: Camera) -> None:
    away = camera.away(camera.horizon + canvas.height * rng.uniform(0.05, 0.14))
    wood = varied(rng, pick(rng, [(150, 132, 108), (220, 218, 210), (96, 80, 64)]), 8)
    high = rng.uniform(1.1, 1.5)
    reach = canvas.width / camera.focal * away
    for rail in (0.35, 0.65, 0.95)[int(rng.integers(0, 2)) :]:
        line = [camera.at(-reach, rail * high, away), camera.at(reach, rail * high, away)]
        canvas.paint(limb(line, max(2.0, 0.1 * camera.focal / away)), wood)
    for across in np.arange(-reach, reach, 2.4):
        pole(canvas, camera, across, away, high, 0.16, wood)


def rails(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """A railway track on ballast across the picture, often with an overhead line."""
    camera = level_camera(canvas, rng, (0.3, 0.45), rng.uniform(3.6, 7))
    _railway_land(canvas, rng, camera)
    row = canvas.height * rng.uniform(0.72, 0.86)
    away = camera.away(row)
    near, far = away - 0.72, away + 0.72
    reach = canvas.width / camera.focal * away * 1.2
    ballast = varied(rng, (136, 128, 118), 10)
    canvas.paint([_ribbon(camera, -reach, reach, np.array([max(near - 1.6, 1), far + 1.6]))],
                 ballast, grain=0.34)
    wood = varied(rng, pick(rng, [(84, 70, 60), (150, 146, 140)]), 8)
    sleepers = [_ribbon(camera, across, across + 0.26, np.array([near - 0.55, far + 0.55]))
                for across in np.arange(-reach, reach, 0.65)]
    canvas.paint(sleepers, wood, grain=0.25)
    for distance in (far, near):
        scale = camera.focal / distance
        _, y = camera.at(0, 0, distance)
        canvas.paint([box(0, y - 0.16 * scale, canvas.width, y)], (84, 66, 56), grain=0.15)
        canvas.paint([box(0, y - 0.18 * scale, canvas.width, y - 0.11 * scale)], (200, 202, 206))
    if rng.random() < 0.6:
        for across in np.arange(-reach, reach, rng.uniform(9, 16)):
            pole(canvas, camera, across, far + 2.2, 7, 0.24, (100, 100, 104))
        _, high = camera.at(0, 5.9, away)
        canvas.paint([box(0, high, canvas.width, high + 2)], (60, 62, 66), grain=0)
    _, row = camera.at(0, 0.15, near)
    return Setting(camera, (camera.horizon, canvas.height), side_track=(row, camera.focal / near))


def _railway_land(canvas: Canvas, rng: np.random.Generator, camera: Camera) -> None:
    sky(canvas, rng, camera.horizon + 2)
    horizon_scenery(canvas, rng, camera.horizon, town=0.4)
    if rng.random() < 0.6:
        treeline(canvas, rng, camera.horizon, canvas.height * rng.uniform(0.08, 0.2))
    grass = varied(rng, mixed(pick(rng, GRASS), (140, 128, 104), rng.uniform(0, 0.6)), 8)
    ground(canvas, rng, camera, grass, mixed(grass, (150, 152, 130), 0.4), contrast=0.22)


def _ribbon(camera: Camera, left: float, right: float, distances: np.ndarray) -> np.ndarray:
    there = [camera.at(left, 0, away) for away in distances]
    back = [camera.at(right, 0, away) for away in distances[::-1]]
    return np.array(there + back)
