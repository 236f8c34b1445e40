"""Pictures and figures for the report: overlays on photographs, and SVG that follows the page."""

import base64
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wood.data.masks import IGNORE, VOC_PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE_SHEET = Path(__file__).with_name("templates") / "page.css"

# Colours that stand for the page's own, put in place by `svg`: one figure for light and dark.
INK, MUTED, LINE = "#010101", "#020202", "#030303"
BASELINE, CONTROL, WOOD = "#040404", "#050505", "#060606"
OTHERS = ("#070707", "#080808", "#090909", "#0a0a0a")
PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    BASELINE: "var(--baseline)",
    CONTROL: "var(--control)",
    WOOD: "var(--wood)",
} | {colour: f"var(--other-{number})" for number, colour in enumerate(OTHERS, start=1)}


@contextmanager
def figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> Iterator[tuple["Figure", Any]]:
    """Yield a figure of `width` x `height` page pixels and its (rows, columns) axes.

    The style is set for the length of the block, in which the figure must also be turned into
    SVG. `options` go to matplotlib's `Figure.subplots`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        drawn = Figure(figsize=(width / 72, height / 72), layout="constrained")
        yield drawn, drawn.subplots(rows, columns, squeeze=False, **options)


_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 12,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "text.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 2,
}


def svg(drawn: "Figure", name: str, description: str) -> str:
    """Return the figure as inline SVG: same figure, same text; shrinks a little with the page.

    `name` makes the identifiers unique on the page, `description` is read to those who cannot see.
    """
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": name}):
        buffer = io.StringIO()
        drawn.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([^;\"]*?)'DejaVu Sans'[^;\"]*", r"font: \1var(--sans)", text)
    for placeholder, colour in PAGE_COLOURS.items():
        text = text.replace(placeholder, colour)
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text).groups()
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'role="img" aria-label="{_attribute(description)}" viewBox="0 0 {width} {height}" '
        f'style="width:100%;min-width:{0.8 * float(width):.0f}px;'
        f'max-width:{float(width):.0f}px;height:auto">'
    )
    return opening + text[text.index(">") + 1 :]


def slug(text: str) -> str:
    """Return a text as a part of an id or a file name: its letters and digits, in lower case."""
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())


def standalone(text: str) -> str:
    """Return a figure of `svg` as a file of its own, in the page's colours for light paper."""
    style = STYLE_SHEET.read_text(encoding="utf-8")
    light = style[: style.index("}")]
    for name, value in re.findall(r"(--[\w-]+): ([^;]+);", light):
        text = text.replace(f"var({name})", value.replace('"', "'"))
    opening, rest = text.split(">", 1)
    return f'{re.sub(r" style=.[^>]*", "", opening)} style="background: white">{rest}\n'


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def heat_overlay(
    image: Image.Image, heat: np.ndarray, threshold: float | None = None
) -> Image.Image:
    """Lay a localization map over its photograph, and draw the line where it meets `threshold`.

    Args:
        image: the RGB photograph, (H, W).
        heat: (H, W) in [0, 1]; where it is 0 the photograph is grey, where it is 1 it is covered.
        threshold: the seed is what lies inside the white line at this height.
    """
    import matplotlib

    heat = np.clip(np.asarray(heat, dtype=np.float32), 0, 1)
    grey = np.asarray(image.convert("L"), dtype=np.float32)[..., None].repeat(3, axis=2)
    colours = matplotlib.colormaps["inferno"](0.25 + 0.75 * heat)[..., :3] * 255
    strength = (0.85 * heat**0.8)[..., None]
    blended = grey * (1 - strength) + colours * strength
    if threshold is not None:
        blended[outline(heat >= threshold, _thickness(heat.shape))] = 255
    return Image.fromarray(blended.round().astype(np.uint8))


def mask_overlay(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """Lay an (H, W) mask of palette indices over its photograph: VOC's colours, 255 hatched."""
    mask = np.asarray(mask)
    grey = np.asarray(image.convert("L"), dtype=np.float32)[..., None].repeat(3, axis=2)
    palette = np.array(VOC_PALETTE, dtype=np.float32).reshape(256, 3)
    labelled = (mask != 0) & (mask != IGNORE)
    blended = np.where(labelled[..., None], 0.3 * grey + 0.7 * palette[mask], 0.55 * grey + 45)
    rows, columns = np.indices(mask.shape)
    stripe = 3 * _thickness(mask.shape)
    hatched = (mask == IGNORE) & ((rows + columns) // stripe % 2 == 0)
    blended[hatched] = 225
    thickness = _thickness(mask.shape)
    for value in np.unique(mask[labelled]):
        blended[outline(mask == value, thickness)] = 255
    return Image.fromarray(blended.clip(0, 255).round().astype(np.uint8))


def outline(region: np.ndarray, thickness: int = 1) -> np.ndarray:
    """Return the (H, W) boolean inner border of a boolean region, `thickness` pixels wide."""
    inside = region
    for _ in range(thickness):
        padded = np.pad(inside, 1, mode="edge")
        inside = (
            inside & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
        )
    return region & ~inside


def _thickness(shape: tuple[int, ...]) -> int:
    return max(1, round(max(shape) / 160))


def data_uri(image: Image.Image, longest: int, quality: int = 80) -> str:
    """Return a JPEG data URI of the image, scaled down to `longest` pixels on its long side."""
    image = image.convert("RGB")
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def class_colour(index: int) -> str:
    """Return the CSS colour of a mask value, as in VOC's palette."""
    red, green, blue = VOC_PALETTE[3 * index : 3 * index + 3]
    return f"#{red:02x}{green:02x}{blue:02x}"


def running_mean(values: Sequence[float], width: int) -> np.ndarray:
    """Smooth a curve by the mean of the up to `width` values around each."""
    values = np.asarray(values, dtype=float)
    reach = max(0, width // 2)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    positions = np.arange(len(values))
    low, high = np.maximum(positions - reach, 0), np.minimum(positions + reach + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)
