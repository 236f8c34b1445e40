"""A drawing surface that keeps the picture and its class map in step, and what is drawn on it.

Points are (x, y) pixels of the enlarged canvas, y downwards; shapes are lists of (n, 2) polygons.
Everything is drawn `SUPERSAMPLING` times enlarged and averaged at the end, which smooths the
edges of the picture and gives the exact share of every pixel that an object covers.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

SUPERSAMPLING = 3
IGNORE = 255

Colour = tuple[float, float, float]
Shapes = list[np.ndarray]


class Canvas:
    """An RGB picture and, pixel by pixel, the class (0 = background) last painted there."""

    def __init__(self, width: int, height: int, rng: np.random.Generator):
        self.width, self.height = width * SUPERSAMPLING, height * SUPERSAMPLING
        self.image = Image.new("RGB", (self.width, self.height))
        self.labels = Image.new("L", (self.width, self.height))
        self.light = np.array([rng.choice([-1, 1]) * rng.uniform(0.3, 0.8), -0.75])
        grain = fractal(rng, 128, 128, 4, octaves=3)
        repeats = -(-self.height // 128), -(-self.width // 128)
        self.grain = np.tile(grain, repeats)

    def paint(
        self,
        shapes: Shapes,
        colour: Sequence[float],
        label: int | None = 0,
        *,
        relief: float = 0.0,
        thickness: float = 8.0,
        grain: float = 0.03,
        fade: float = 0.0,
        opacity: float = 1.0,
        blur: float = 0.0,
    ) -> None:
        """Fill the union of `shapes`.

        Args:
            label: the class that the covered pixels get; None leaves the class map alone (for
                what is seen through: shadows, smoke, reflections).
            relief: strength of the light on the rounded edge, `thickness` pixels wide.
            grain: strength of the surface texture, as a fraction.
            fade: how much darker the lower end is than the upper one, as a fraction.
            blur: softness of the edge in pixels.
        """
        box = self._box(shapes, margin=3 * blur)
        if box is None:
            return
        left, top, right, bottom = box
        mask = self._mask(shapes, box)
        hard = mask
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(float(blur)))
        if opacity < 1:
            mask = mask.point([round(value * opacity) for value in range(256)])
        if label is not None:
            self.labels.paste(label, (left, top), hard)
        if not (grain or fade or relief):
            self.image.paste(tuple(int(value) for value in colour), box, mask)
            return
        shade = np.ones((bottom - top, right - left), dtype=np.float32)
        if grain:
            shade += np.float32(grain) * self.grain[top:bottom, left:right]
        if fade:
            shade += fade * np.linspace(0.5, -0.5, bottom - top, dtype=np.float32)[:, None]
        if relief:
            shade += relief * self._relief(hard, thickness)
        pixels = shade[..., None] * np.asarray(colour, np.float32)
        np.clip(pixels, 0, 255, out=pixels)
        self.image.paste(Image.fromarray(pixels.astype(np.uint8)), (left, top), mask)

    def darken(self, shapes: Shapes, strength: float = 0.5, blur: float = 6.0) -> None:
        """Lay a soft shadow over the picture."""
        self.paint(shapes, (12, 14, 18), None, opacity=strength, blur=blur, grain=0)

    def pixels(self) -> np.ndarray:
        """(H, W, 3) float32 copy of the picture."""
        return np.asarray(self.image, dtype=np.float32)

    def set_rows(self, top: int, pixels: np.ndarray) -> None:
        """Put (h, W, 3) values 0..255 at row `top`; what was there becomes background."""
        area = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        self.image.paste(area, (0, top))
        self.labels.paste(0, (0, top, self.width, top + pixels.shape[0]))

    def object_mask(self) -> np.ndarray:
        """(H, W) bool: where an object is, whatever its class."""
        return np.asarray(self.labels) > 0

    def finish(self, rng: np.random.Generator) -> tuple[Image.Image, np.ndarray]:
        """Return the photograph and its (H, W) uint8 mask with a thin ignored border."""
        return self._photograph(rng), self._class_mask()

    def _photograph(self, rng: np.random.Generator) -> Image.Image:
        """Shrink, then what a camera adds: tint, exposure, contrast, falling-off light, noise."""
        pixels = np.asarray(self.image.reduce(SUPERSAMPLING), dtype=np.float32) / 255
        height, width = pixels.shape[:2]
        warmth = rng.normal(0, 0.025)
        pixels = pixels * np.array([1 + warmth, 1, 1 - warmth], dtype=np.float32)
        y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        pixels *= (1 - rng.uniform(0, 0.13) * (x**2 + y**2))[..., None]
        pixels = (pixels - 0.5) * rng.uniform(0.9, 1.08) + 0.5 + rng.normal(0, 0.02)
        noise = rng.standard_normal((height, width, 3), dtype=np.float32)
        pixels += rng.uniform(0.003, 0.013) * (noise + noise.mean(2, keepdims=True))
        return Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8))

    def _class_mask(self) -> np.ndarray:
        labels = np.asarray(self.labels)
        height = labels.shape[0] // SUPERSAMPLING
        width = labels.shape[1] // SUPERSAMPLING
        mask = np.zeros((height, width), dtype=np.uint8)
        border = np.zeros((height, width), dtype=bool)
        for label in np.unique(labels[labels > 0]):
            blocks = (labels == label).reshape(height, SUPERSAMPLING, width, SUPERSAMPLING)
            covered = blocks.mean(axis=(1, 3))
            inside = covered >= 0.5
            mask[inside] = label
            border |= (covered > 0.1) & (covered < 0.9)
            border |= ndimage.binary_dilation(inside) & ~inside
        mask[border] = IGNORE
        return mask

    def _box(self, shapes: Shapes, margin: float) -> tuple[int, int, int, int] | None:
        if not shapes:
            return None
        points = np.concatenate(shapes)
        left, top = np.floor(points.min(0) - margin).astype(int)
        right, bottom = np.ceil(points.max(0) + margin).astype(int) + 1
        left, top = max(left, 0), max(top, 0)
        right, bottom = min(right, self.width), min(bottom, self.height)
        return (left, top, right, bottom) if left < right and top < bottom else None

    def _mask(self, shapes: Shapes, box: tuple[int, int, int, int]) -> Image.Image:
        left, top, right, bottom = box
        mask = Image.new("L", (right - left, bottom - top))
        draw = ImageDraw.Draw(mask)
        for polygon in shapes:
            draw.polygon([tuple(point) for point in polygon - (left, top)], fill=255)
        return mask

    def _relief(self, mask: Image.Image, thickness: float) -> np.ndarray:
        """Light on a shape that bulges: the slope of the blurred mask against the light."""
        bulge = (
            np.asarray(mask.filter(ImageFilter.GaussianBlur(float(thickness))), np.float32) / 255
        )
        down, right = (
            np.gradient(bulge, axis=axis) if bulge.shape[axis] > 1 else np.zeros_like(bulge)
            for axis in (0, 1)
        )
        across, downwards = np.float32(-2 * thickness * self.light)
        return np.clip(right * across + down * downwards, -0.6, 0.6)


def fractal(
    rng: np.random.Generator,
    height: int,
    width: int,
    cell: float,
    octaves: int = 4,
    stretch: float = 1.0,
) -> np.ndarray:
    """(height, width) float32 cloud-like noise around 0, about -1..1.

    `cell` is the size in pixels of the coarsest grain, `stretch` how much wider than high it is.
    """
    total = np.zeros((height, width), dtype=np.float32)
    for octave in range(octaves):
        size = cell / 2**octave
        rows = max(2, round(height / size) + 1)
        columns = max(2, round(width / (size * stretch)) + 1)
        grid = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
        total += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)) / 1.7**octave
    return total / 1.6


def tile(rng: np.random.Generator, size: int = 256, roughness: float = 1.2) -> np.ndarray:
    """(size, size) float32 noise that repeats without a seam, mean 0 and deviation 1."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * frequency**-roughness
    noise = np.fft.irfft2(spectrum, (size, size)).astype(np.float32)
    return noise / noise.std()


def smooth(points: Sequence[Sequence[float]], closed: bool = True, steps: int = 6) -> np.ndarray:
    """Points of the Catmull-Rom curve through `points`."""
    points = np.asarray(points, dtype=float)
    if closed:
        before, after = np.roll(points, 1, 0), np.roll(points, -1, 0)
        beyond = np.roll(points, -2, 0)
        start = points
    else:
        padded = np.concatenate([2 * points[:1] - points[1:2], points,
                                 2 * points[-1:] - points[-2:-1]])
        before, start, after, beyond = padded[:-3], padded[1:-2], padded[2:-1], padded[3:]
    t = (np.arange(steps) / steps)[None, :, None]
    p0, p1, p2, p3 = (part[:, None] for part in (before, start, after, beyond))
    curve = 0.5 * (
        2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2
        + (3 * p1 - p0 - 3 * p2 + p3) * t**3
    )
    curve = curve.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, points[-1:]])


def ellipse(x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> np.ndarray:
    """A 28-cornered ellipse turned by `angle` radians."""
    t = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    points = np.stack([rx * np.cos(t), ry * np.sin(t)], axis=1)
    return points @ rotation(angle).T + (x, y)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """An upright rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=float)


def limb(points: Sequence[Sequence[float]], widths: Sequence[float] | float) -> Shapes:
    """A line through `points` with a width at each: legs, branches, fuselages, ropes."""
    points = np.asarray(points, dtype=float)
    radii = np.broadcast_to(np.asarray(widths, dtype=float) / 2, len(points))
    shapes = []
    for start, end, r0, r1 in zip(points, points[1:], radii, radii[1:], strict=False):
        along = end - start
        length = np.hypot(*along)
        if length == 0:
            continue
        side = np.array([-along[1], along[0]]) / length
        corners = [start + r0 * side, end + r1 * side, end - r1 * side, start - r0 * side]
        shapes.append(np.array(corners))
    joints = zip(points, radii, strict=True)
    shapes += [ellipse(x, y, r, r) for (x, y), r in joints if r > 0.7]
    return shapes


def rotation(angle: float) -> np.ndarray:
    """(2, 2) matrix that turns points by `angle` radians, clockwise on the screen."""
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def placed(
    shapes: Shapes | np.ndarray,
    x: float,
    y: float,
    scale: float,
    *,
    flip: bool = False,
    angle: float = 0.0,
) -> Shapes:
    """Shapes in units of their own, facing right, put on the canvas at (x, y)."""
    if isinstance(shapes, np.ndarray):
        shapes = [shapes]
    mirror = np.array([-1.0 if flip else 1.0, 1.0])
    turn = rotation(angle).T
    return [(shape * scale) @ turn * mirror + (x, y) for shape in shapes]


def varied(rng: np.random.Generator, colour: Sequence[float], amount: float = 12) -> Colour:
    """The colour, a little lighter or darker and a little more of one primary."""
    shifted = np.asarray(colour) + rng.normal(0, amount) + rng.normal(0, amount / 3, 3)
    return tuple(np.clip(shifted, 0, 255))


def mixed(first: Sequence[float], second: Sequence[float], share: float) -> Colour:
    """The colour `share` of the way from `first` to `second`."""
    return tuple(np.asarray(first) * (1 - share) + np.asarray(second) * share)


def pick(rng: np.random.Generator, options: Sequence):
    """One of `options`, kept as it is (numpy's own choice would turn tuples into arrays)."""
    return options[int(rng.integers(len(options)))]
