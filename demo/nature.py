"""What backgrounds are made of: sky, distant hills and trees, textured ground, poles."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from demo.canvas import (
    SUPERSAMPLING,
    Canvas,
    Colour,
    box,
    fractal,
    limb,
    mixed,
    pick,
    tile,
    varied,
)

SKIES: dict[str, tuple[Colour, Colour, Colour, float]] = {
    # zenith, horizon, cloud, cover
    "clear": ((58, 116, 190), (186, 212, 232), (240, 244, 248), -0.9),
    "fair": ((70, 130, 200), (196, 218, 234), (246, 247, 250), 0.1),
    "overcast": ((150, 160, 172), (206, 210, 214), (228, 230, 233), 0.5),
    "storm": ((84, 96, 112), (168, 176, 184), (142, 150, 160), 0.4),
    "evening": ((92, 104, 158), (250, 190, 128), (240, 170, 140), 0.0),
}
DAYTIME = ("clear", "fair", "fair", "overcast", "storm", "evening")


@dataclass
class Camera:
    """A level camera over flat ground; metres in, canvas pixels out."""

    x: float
    horizon: float
    focal: float
    height: float

    def at(self, across: float, up: float, away: float) -> tuple[float, float]:
        return (self.x + self.focal * across / away,
                self.horizon + self.focal * (self.height - up) / away)

    def away(self, y: float) -> float:
        """The distance of the ground that is seen at row `y`."""
        return self.focal * self.height / max(y - self.horizon, 1e-3)


@dataclass
class Setting:
    """What a background tells about where an object can be put."""

    camera: Camera | None = None
    ground: tuple[float, float] = (0.0, 0.0)
    side_track: tuple[float, float] | None = None
    """Of a track across the picture: row of the rail, pixels per metre."""
    water: bool = False


def sky(canvas: Canvas, rng: np.random.Generator, bottom: float, mood: str | None = None) -> str:
    """Fill the picture down to `bottom` with a sky; return its mood."""
    mood = mood or pick(rng, DAYTIME)
    zenith, horizon, cloud, cover = SKIES[mood]
    zenith, horizon = varied(rng, zenith, 10), varied(rng, horizon, 6)
    # Soft as clouds are, they are drawn at the size of the photograph and enlarged.
    rows = int(np.clip(np.ceil(bottom), SUPERSAMPLING, canvas.height))
    height, width = -(-rows // SUPERSAMPLING), canvas.width // SUPERSAMPLING
    t = np.linspace(0, 1, height, dtype=np.float32)[:, None, None] ** rng.uniform(0.7, 1.3)
    pixels = np.float32(zenith) * (1 - t) + np.float32(horizon) * t
    shape = fractal(rng, height, width, width * rng.uniform(0.15, 0.4), 5, 2.0)
    density = np.clip(1.6 * shape + 1.6 * (cover + rng.normal(0, 0.2) - 0.15), 0, 1)[..., None]
    below = np.clip(np.roll(shape, max(1, width // 55), 0) - shape, -0.5, 0.5)[..., None]
    lit = np.float32(cloud) * (1 - 0.16 * density + 0.22 * below)
    canvas.set_rows(0, _enlarged(pixels + (0.9 * density) * (lit - pixels))[:rows])
    return mood


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    small = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    size = small.width * SUPERSAMPLING, small.height * SUPERSAMPLING
    return np.asarray(small.resize(size, Image.Resampling.BILINEAR))


def hills(canvas: Canvas, rng: np.random.Generator, horizon: float, layers: int = 2) -> None:
    """Ranges behind each other, paler with distance."""
    haze = (168, 184, 200)
    near = varied(rng, pick(rng, [(86, 104, 78), (96, 100, 104), (72, 92, 96)]), 8)
    for layer in range(layers):
        share = (layer + 1) / layers
        rise = canvas.height * rng.uniform(0.05, 0.14) * (1.3 - 0.6 * share)
        ridge = fractal(rng, 2, canvas.width, canvas.width * 0.45, 4)[0]
        top = horizon - rise * (0.55 + 0.45 * ridge)
        canvas.paint([_below(top, horizon + 2)], mixed(haze, near, 0.25 + 0.55 * share), fade=0.1)


def treeline(
    canvas: Canvas, rng: np.random.Generator, horizon: float, height: float | None = None
) -> None:
    """A row of distant trees and bushes standing on the horizon."""
    height = height or canvas.height * rng.uniform(0.03, 0.12)
    colour = varied(rng, pick(rng, [(58, 80, 46), (70, 88, 50), (84, 86, 48), (52, 70, 54)]), 8)
    crowns = fractal(rng, 2, canvas.width, height * 2.5, 3)[0]
    presence = fractal(rng, 2, canvas.width, canvas.width * 0.4, 2)[0]
    top = horizon - height * np.clip(0.55 + 0.35 * crowns + 0.5 * presence, 0.08, 1.6)
    canvas.paint([_below(top, horizon + 2)], colour, grain=0.28, relief=0.5,
                 thickness=height / 5, fade=0.35)


def _below(top: np.ndarray, bottom: float) -> np.ndarray:
    columns = np.arange(len(top), dtype=float)
    line = np.stack([columns, top], axis=1)[::2]
    return np.concatenate([line, [[len(top), top[-1]], [len(top), bottom], [0, bottom]]])


def ground(
    canvas: Canvas,
    rng: np.random.Generator,
    camera: Camera,
    near: Colour,
    far: Colour,
    *,
    roughness: float = 0.9,
    contrast: float = 0.16,
    metre: float = 40.0,
    stretch: float = 1.0,
) -> None:
    """Textured flat ground from the horizon to the lower edge, in perspective.

    `metre` is the number of texture cells to the metre, `stretch` how much wider than deep.
    """
    top = int(np.clip(camera.horizon, 0, canvas.height - 1))
    rows = np.arange(top, canvas.height) + 0.5
    away = camera.focal * camera.height / np.maximum(rows - camera.horizon, 1.0)
    across = (np.arange(canvas.width) - camera.x)[None] * away[:, None] / camera.focal
    noise = tile(rng, 256, roughness)
    u = np.floor(across * metre / stretch).astype(int)
    v = np.broadcast_to((away * metre).astype(int)[:, None], u.shape)
    nearness = np.clip((rows - camera.horizon) / (canvas.height - camera.horizon), 0, 1)
    strength = np.float32(contrast * (0.35 + 0.65 * nearness[:, None]))
    shade = 1 + strength * (noise[v % 256, u % 256] + 0.6 * noise[v // 7 % 256, u // 7 % 256])
    share = np.float32(nearness[:, None, None] ** 0.7)
    colour = np.float32(far) * (1 - share) + np.float32(near) * share
    canvas.set_rows(top, colour * shade[..., None])


def grass_blades(
    canvas: Canvas,
    rng: np.random.Generator,
    y: float,
    count: int,
    height: float,
    colour: Colour,
    left: float = 0.0,
    right: float | None = None,
) -> None:
    """Blades that stand in front of whatever was painted before; they hide it."""
    right = canvas.width if right is None else right
    groups: list[list[np.ndarray]] = [[], [], []]
    for _ in range(count):
        x, base = rng.uniform(left, right), y + rng.uniform(-0.2, 0.6) * height
        tall, lean = height * rng.uniform(0.4, 1.1), rng.normal(0, 0.3) * height
        width = max(1.2, height * 0.06)
        blade = np.array([[x - width, base], [x + lean, base - tall], [x + width, base]])
        groups[int(rng.integers(3))].append(blade)
    for shade, group in zip((0.75, 1.0, 1.22), groups, strict=True):
        canvas.paint(group, np.asarray(colour) * shade, grain=0.1)


def pole(canvas: Canvas, camera: Camera, across: float, away: float, height: float, width: float,
         colour: Colour) -> None:
    """An upright post on the ground."""
    foot, head = camera.at(across, 0, away), camera.at(across, height, away)
    thick = max(1.5, width * camera.focal / away)
    canvas.paint(limb([foot, head], thick), colour, relief=0.4, thickness=thick / 2)


def buildings(canvas: Canvas, rng: np.random.Generator, horizon: float, tallest: float) -> None:
    """A skyline of plain blocks with rows of windows."""
    x = rng.uniform(-0.1, 0.3) * canvas.width
    while x < canvas.width:
        width, height = tallest * rng.uniform(0.6, 1.5), tallest * rng.uniform(0.4, 1.0)
        wall = varied(rng, pick(rng, [(150, 140, 130), (132, 136, 144), (160, 128, 108)]), 14)
        canvas.paint([box(x, horizon - height, x + width, horizon + 2)], wall, fade=0.1)
        step = tallest * 0.16
        panes = [
            box(left, top, left + step * 0.45, top + step * 0.5)
            for left in np.arange(x + step * 0.5, x + width - step * 0.6, step)
            for top in np.arange(horizon - height + step * 0.5, horizon - step, step)
        ]
        canvas.paint(panes, mixed(wall, (40, 48, 60), 0.6), grain=0.2)
        x += width + tallest * rng.choice([0, 0, 0.3, 2.0])
