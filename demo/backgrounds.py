"""The backgrounds that go with the five classes, drawn without any object."""

from itertools import pairwise

import numpy as np

from demo.canvas import Canvas, Colour, box, ellipse, limb, mixed, pick, varied
from demo.canvas import smooth as spline
from demo.nature import (
    Camera,
    Setting,
    bokeh,
    buildings,
    grass_blades,
    ground,
    hills,
    leaves,
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


def open_sky(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """Nothing but sky, sometimes with tree tops or hills at the lower edge."""
    sky(canvas, rng, canvas.height)
    kind = rng.random()
    if kind < 0.25:
        treeline(canvas, rng, canvas.height, canvas.height * rng.uniform(0.08, 0.2))
    elif kind < 0.4:
        hills(canvas, rng, canvas.height, 2)
    return Setting()


def runway(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """Tarmac with markings and grass beside it, hangars or trees in the distance."""
    camera = level_camera(canvas, rng, (0.42, 0.62), rng.uniform(2.5, 6))
    sky(canvas, rng, camera.horizon + 2)
    horizon_scenery(canvas, rng, camera.horizon, town=0.15)
    if rng.random() < 0.55:
        _terminal(canvas, rng, camera.horizon)
    grass = varied(rng, pick(rng, GRASS), 8)
    ground(canvas, rng, camera, grass, mixed(grass, (170, 176, 160), 0.3))
    tarmac = varied(rng, (112, 114, 118), 10)
    paint = mixed(tarmac, pick(rng, [(236, 236, 230), (230, 190, 60)]), 0.8)
    nearest = camera.away(canvas.height) * 0.7
    if rng.random() < 0.5:
        half = rng.uniform(6, 13)
        _strip(canvas, camera, (-half, half), (nearest, 900), tarmac)
        for away in np.arange(nearest, 160, 9.0):
            _strip(canvas, camera, (-0.35, 0.35), (away, away + 4.5), paint)
        for side in (-half + 0.8, half - 1.2):
            _strip(canvas, camera, (side, side + 0.4), (nearest, 600), paint)
    else:
        far = nearest * rng.uniform(2.5, 6)
        _strip(canvas, camera, (-900, 900), (nearest, far), tarmac)
        line = nearest + (far - nearest) * rng.uniform(0.2, 0.4)
        _strip(canvas, camera, (-900, 900), (line, line * 1.04), paint)
    for _ in range(int(rng.integers(0, 6))):
        x, y = camera.at(rng.uniform(-8, 8), 0, nearest * rng.uniform(1.2, 3))
        canvas.darken([ellipse(x, y, canvas.width * 0.09, canvas.height * 0.012)], 0.3, 8)
    return Setting(camera, (camera.horizon, canvas.height))


def _strip(canvas: Canvas, camera: Camera, across: tuple[float, float],
           away: tuple[float, float], colour: Colour) -> None:
    corners = [camera.at(across[0], 0, away[0]), camera.at(across[1], 0, away[0]),
               camera.at(across[1], 0, away[1]), camera.at(across[0], 0, away[1])]
    canvas.paint([np.array(corners)], colour, grain=0.07, fade=-0.08)


def _terminal(canvas: Canvas, rng: np.random.Generator, horizon: float) -> None:
    high = canvas.height * rng.uniform(0.05, 0.1)
    left = canvas.width * rng.uniform(-0.1, 0.6)
    width = high * rng.uniform(4, 9)
    wall = varied(rng, (186, 188, 190), 12)
    canvas.paint([box(left, horizon - high, left + width, horizon + 2)], wall, fade=0.15)
    glass = mixed(wall, (60, 80, 100), 0.7)
    top, bottom = horizon - 0.7 * high, horizon - 0.35 * high
    canvas.paint([box(left + high * 0.2, top, left + width - high * 0.2, bottom)], glass)
    if rng.random() < 0.5:
        x = left + width * rng.uniform(0.2, 0.8)
        canvas.paint([box(x - high * 0.15, horizon - 2.6 * high, x + high * 0.15, horizon)], wall)
        canvas.paint([box(x - high * 0.4, horizon - 3 * high, x + high * 0.4,
                          horizon - 2.5 * high)], glass)


def branches(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """Branches and twigs with leaves, needles or blossom before a blurred background."""
    blurred: tuple[tuple[Colour, Colour], ...] = (
        ((66, 92, 50), (128, 150, 84)), ((156, 176, 196), (196, 206, 210)),
        ((96, 84, 66), (150, 138, 108)), ((120, 146, 170), (110, 134, 92)),
    )
    bokeh(canvas, rng, pick(rng, blurred))
    bark = varied(rng, pick(rng, [(88, 70, 54), (104, 92, 80), (70, 58, 48), (120, 104, 88)]), 8)
    season = pick(rng, ["summer", "summer", "spring", "autumn", "winter"])
    foliage = {"summer": (78, 118, 46), "spring": (132, 164, 70), "autumn": (190, 120, 46),
               "winter": (112, 92, 72)}[season]
    setting = Setting()
    spots: list[tuple[float, float]] = []
    for _ in range(int(rng.integers(0, 3))):
        _branch(canvas, rng, bark, canvas.height * 0.018, rng.uniform(0, 1), spots, None)
    thick = canvas.height * rng.uniform(0.035, 0.075)
    _branch(canvas, rng, bark, thick, rng.uniform(0.58, 0.85), spots, setting)
    if season == "winter":
        spots = [spot for spot in spots if rng.random() < 0.08]
    leaves(canvas, rng, spots, canvas.height * rng.uniform(0.045, 0.09), varied(rng, foliage, 8))
    if season == "spring" and rng.random() < 0.5:
        flowers = [ellipse(x, y, *(canvas.height * rng.uniform(0.01, 0.02, 2)))
                   for x, y in spots if rng.random() < 0.5]
        canvas.paint(flowers, (240, 214, 224), relief=0.3, thickness=4)
    return setting


def _branch(
    canvas: Canvas,
    rng: np.random.Generator,
    bark: Colour,
    thick: float,
    level: float,
    spots: list[tuple[float, float]],
    setting: Setting | None,
) -> None:
    """One branch across the picture with twigs; `level` is its height on the left, 0 = top."""
    flip = rng.random() < 0.5
    xs = np.linspace(-0.05, rng.uniform(0.8, 1.1), 6) * canvas.width
    ys = level * canvas.height + np.cumsum(rng.normal(-0.015, 0.028, 6)) * canvas.height
    if flip:
        xs = canvas.width - xs
    line = spline(np.stack([xs, ys], axis=1), closed=False)
    widths = np.linspace(1.2, 0.45, len(line)) * thick
    for start in rng.integers(3, len(line), int(rng.integers(4, 11))):
        _twig(canvas, rng, bark, line[start], widths[start] * 0.5, spots, -1 if flip else 1)
    canvas.paint(limb(line, widths), bark, relief=0.6, thickness=thick / 2.5, grain=0.22)
    if setting is not None:
        inside = (line[:, 0] > 0.2 * canvas.width) & (line[:, 0] < 0.8 * canvas.width)
        chosen = zip(line[inside], widths[inside], strict=True)
        setting.perches += [(x, y, width) for (x, y), width in chosen]


def _twig(
    canvas: Canvas, rng: np.random.Generator, bark: Colour, root: np.ndarray, thick: float,
    spots: list[tuple[float, float]], direction: int,
) -> None:
    angle = rng.choice([-1, 1]) * rng.uniform(0.35, 1.2)
    length = canvas.width * rng.uniform(0.08, 0.26)
    bends = angle + np.cumsum(rng.normal(0, 0.25, 4))
    steps = np.stack([direction * np.cos(bends), np.sin(bends)], axis=1) * length / 4
    line = np.concatenate([[root], root + np.cumsum(steps, axis=0)])
    canvas.paint(limb(line, np.linspace(max(thick, 2.5), 1.8, 5)), bark, relief=0.4, thickness=3)
    for start, end in pairwise(line[1:]):
        spots += [tuple(start + (end - start) * t + rng.normal(0, 5, 2))
                  for t in rng.uniform(0, 1, int(rng.integers(1, 5)))]


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
