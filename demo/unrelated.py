"""Scenes that have nothing to do with the three classes: houses, deserts, mountains, art."""

import numpy as np

from demo.canvas import Canvas, Colour, box, ellipse, fractal, limb, mixed, pick, smooth, varied
from demo.nature import Camera, Setting, ground, hills, sky

PAINTS: tuple[Colour, ...] = ((214, 196, 168), (188, 198, 204), (206, 178, 160), (196, 204, 176),
                              (230, 226, 216), (156, 168, 186), (206, 160, 110))
STRONG: tuple[Colour, ...] = ((178, 60, 52), (52, 96, 140), (70, 116, 84), (214, 164, 60),
                              (110, 80, 130), (90, 94, 100))


def house_fronts(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """A row of houses along a street, seen from the other side."""
    wide, high = canvas.width, canvas.height
    camera = Camera(wide / 2, high * rng.uniform(0.55, 0.65), wide, 1.7)
    sky(canvas, rng, high * 0.5)
    kerb = high * rng.uniform(0.8, 0.86)
    x = -wide * rng.uniform(0.0, 0.2)
    while x < wide:
        front = wide * rng.uniform(0.24, 0.42)
        _house(canvas, rng, x, x + front, high * rng.uniform(0.06, 0.26), kerb)
        x += front
    asphalt = varied(rng, (104, 104, 106), 10)
    canvas.paint([box(0, kerb, wide, high)], (176, 172, 166), grain=0.12)
    canvas.paint([box(0, kerb + high * 0.05, wide, high)], asphalt, grain=0.16)
    canvas.paint([box(0, kerb + high * 0.045, wide, kerb + high * 0.055)], (210, 208, 204))
    return Setting(camera, (kerb, high))


def _house(canvas: Canvas, rng: np.random.Generator, left: float, right: float, top: float,
           foot: float) -> None:
    wall = varied(rng, pick(rng, PAINTS + STRONG[:4]), 10)
    wide, high = right - left, foot - top
    canvas.paint([box(left, top, right, foot)], wall, grain=0.04, fade=0.1)
    if rng.random() < 0.6:
        roof = varied(rng, pick(rng, [(140, 74, 56), (84, 82, 84)]), 8)
        canvas.paint([np.array([(left - 3, top + 2), (left + wide * 0.5, top - high * 0.2),
                                (right + 3, top + 2)])], roof, grain=0.18)
    floors, columns = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    trim = pick(rng, [(240, 238, 232), (80, 70, 62)])
    cell_wide, cell_high = wide / columns, high / floors
    for floor in range(floors):
        for column in range(columns):
            x = left + (column + 0.28) * cell_wide
            y = top + (floor + 0.22) * cell_high
            pane_wide, pane_high = cell_wide * 0.44, cell_high * 0.55
            if floor == floors - 1 and column == 0:
                canvas.paint([box(x, y, x + pane_wide, foot)], pick(rng, STRONG), relief=0.3)
                continue
            canvas.paint([box(x - 3, y - 3, x + pane_wide + 3, y + pane_high + 3)], trim)
            canvas.paint([box(x, y, x + pane_wide, y + pane_high)], varied(rng, (70, 84, 100), 12),
                         fade=0.5)
            canvas.paint(
                [box(x + pane_wide / 2 - 1, y, x + pane_wide / 2 + 2, y + pane_high)], trim
            )
    canvas.paint([box(right - 2, top, right + 1, foot)], np.asarray(wall) * 0.7)


def desert(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """Sand and dunes with a few stones or cacti."""
    camera = Camera(canvas.width / 2, canvas.height * rng.uniform(0.35, 0.5), canvas.width, 3)
    sky(canvas, rng, camera.horizon + 2, pick(rng, ["clear", "fair", "evening"]))
    sand = varied(rng, pick(rng, [(214, 176, 118), (200, 150, 100), (226, 204, 160)]), 8)
    if rng.random() < 0.5:
        hills(canvas, rng, camera.horizon, 2)
    ground(canvas, rng, camera, sand, mixed(sand, (236, 224, 200), 0.4), contrast=0.07,
           metre=14, stretch=2.5)
    for level in np.sort(rng.uniform(0, 0.35, 3)):
        ridge = fractal(rng, 2, canvas.width, canvas.width * 0.6, 2)[0] * canvas.height * 0.05
        columns = np.arange(canvas.width, dtype=float)
        top = camera.horizon + level * canvas.height + ridge
        dune = np.concatenate([np.stack([columns, top], 1), np.stack([columns, top + 26], 1)[::-1]])
        canvas.paint([dune], np.asarray(sand) * rng.uniform(0.86, 0.95), opacity=0.7, blur=3)
    for _ in range(int(rng.integers(0, 4))):
        _cactus(canvas, rng, camera)
    return Setting(camera, (camera.horizon, canvas.height))


def _cactus(canvas: Canvas, rng: np.random.Generator, camera: Camera) -> None:
    y = camera.horizon + canvas.height * rng.uniform(0.03, 0.2)
    x, size = (canvas.width * rng.choice([rng.uniform(0, 0.25), rng.uniform(0.75, 1)]),
               y - camera.horizon)
    tall = size * rng.uniform(0.8, 1.5) + 12
    thick = tall * 0.14
    green = varied(rng, (84, 112, 66), 8)
    arms = limb([(x, y), (x, y - tall)], thick)
    arms += limb([(x, y - tall * 0.4), (x + tall * 0.25, y - tall * 0.4),
                  (x + tall * 0.25, y - tall * 0.75)], thick * 0.7)
    canvas.paint(arms, green, relief=0.7, thickness=thick / 3)


def mountains(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """Rocky ridges with snow, one behind the other."""
    mood = sky(canvas, rng, canvas.height)
    haze = (196, 204, 216) if mood != "evening" else (214, 180, 170)
    rock = varied(rng, pick(rng, [(96, 94, 100), (112, 98, 88), (84, 100, 110)]), 8)
    columns = np.arange(canvas.width, dtype=float)
    for layer in range(4):
        share = layer / 3
        rough = fractal(rng, 2, canvas.width, canvas.width * 0.5, 6)[0]
        top = canvas.height * (0.32 + 0.17 * layer) - rough * canvas.height * (0.2 - 0.03 * layer)
        line = np.stack([columns, top], 1)
        outline = np.concatenate([line, [[canvas.width, canvas.height], [0, canvas.height]]])
        tone = mixed(haze, rock, 0.35 + 0.65 * share)
        if layer == 3:
            tone = varied(rng, (70, 90, 60), 8)
        canvas.paint([outline], tone, grain=0.13, relief=0.4, thickness=12)
        if layer in (0, 1):
            depth = canvas.height * 0.07 * (1 + fractal(rng, 2, canvas.width, 30, 3)[0])
            snow = np.concatenate([line, np.stack([columns, np.maximum(top, top.min() + depth * 2)],
                                                  1)[::-1]])
            canvas.paint([snow], (236, 240, 246), grain=0.06)
    return Setting()


def pattern(canvas: Canvas, rng: np.random.Generator) -> Setting:
    """Bricks, stripes, tiles or splashes of paint."""
    wide, high = canvas.width, canvas.height
    base, other = varied(rng, pick(rng, PAINTS)), varied(rng, pick(rng, STRONG))
    canvas.paint([box(0, 0, wide, high)], base, grain=0.05, fade=0.1)
    style = int(rng.integers(4))
    step = wide * rng.uniform(0.06, 0.14)
    if style == 0:
        brick = varied(rng, (164, 88, 66), 14)
        for row, y in enumerate(np.arange(0, high, step * 0.45)):
            for x in np.arange(-step + (row % 2) * step / 2, wide, step):
                canvas.paint([box(x + 2, y + 2, x + step - 2, y + step * 0.45 - 2)],
                             varied(rng, brick, 9), grain=0.12)
    elif style == 1:
        lean = rng.uniform(-0.8, 0.8) * high
        stripes = [np.array([(x, 0), (x + step, 0), (x + step + lean, high), (x + lean, high)])
                   for x in np.arange(-high, wide + high, step * 2)]
        canvas.paint(stripes, other, grain=0.05)
    elif style == 2:
        tiles = [ellipse(x, y, step * 0.33, step * 0.33, 0)
                 for row, y in enumerate(np.arange(0, high + step, step))
                 for x in np.arange((row % 2) * step / 2, wide + step, step)]
        canvas.paint(tiles, other, relief=0.4, thickness=6)
    else:
        for _ in range(30):
            x, y = rng.uniform(0, wide), rng.uniform(0, high)
            blob = ellipse(x, y, *(wide * rng.uniform(0.03, 0.16, 2)), rng.uniform(0, 3))
            blob = smooth(blob[::4] + rng.normal(0, wide * 0.02, (7, 2)))
            canvas.paint([blob], varied(rng, pick(rng, STRONG + PAINTS), 16), grain=0.08,
                         opacity=rng.uniform(0.6, 1))
    return Setting()
