"""Contact sheets of the hard OoD set: per class (paper, Fig. 2) and per K-means cluster (A2)."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont, ImageOps

from wood.data.images import load_image
from wood.data.lists import read_image_list
from wood.runtime.errors import InputError
from wood.runtime.store import atomic_path

logger = logging.getLogger(__name__)

FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
TILE = 128  # pixels of the square that an image is cropped to
GAP = 6
LABEL_WIDTH = 120
CAPTION_HEIGHT = 16
SEED = 0  # draws the images of a cluster that are shown
BACKGROUND, INK, FAINT = "white", "#222222", "#888888"


def contact_sheet(hard_ood: str | Path, output: str | Path, *, per_class: int = 8) -> None:
    """Draw the hardest images of each predicted class: one row a class, hardest at the left.

    Args:
        hard_ood: hard_ood.csv.
        output: .jpg or .png.
        per_class: images in a row.

    Raises:
        InputError: the list is empty or unreadable, or the output is of another kind.
    """
    images = read_image_list(hard_ood)
    scores = pd.to_numeric(images.get("score", ""), errors="coerce")
    images = images.assign(number=scores).sort_values(
        ["number", "image_id"], ascending=[False, True], kind="stable"
    )
    rows = []
    for name, of_class in images.groupby("class"):
        title = f"{name or 'hard OoD'}\n{_images(len(of_class))}"
        captions = ["" if np.isnan(score) else f"{score:.3f}" for score in of_class["number"]]
        rows.append((title, list(of_class["path"]), captions))
    _draw(rows, output, per_class)


def cluster_sheet(
    hard_ood: str | Path,
    clusters: Mapping[str, int],
    output: str | Path,
    *,
    per_cluster: int = 8,
) -> None:
    """Draw some images of each cluster of the hard OoD set: one row a cluster, largest first.

    Args:
        hard_ood: hard_ood.csv, or another list of OoD images.
        clusters: the cluster of each image by its id; others of the list are not shown.
        output: .jpg or .png.
        per_cluster: images in a row, drawn at random, the same each time.

    Raises:
        InputError: as `contact_sheet`, or the list lacks an image that has a cluster.
    """
    images = read_image_list(hard_ood)
    images = images[images["image_id"].isin(clusters.keys())]
    if len(images) != len(clusters):
        missing = min(clusters.keys() - set(images["image_id"]))
        raise InputError(f"{hard_ood}: the image {missing!r} has a cluster, but is not listed.")
    assignment = images["image_id"].map(clusters).to_numpy()
    rng = np.random.default_rng(SEED)
    rows = []
    for cluster in np.unique(assignment):
        members = np.flatnonzero(assignment == cluster)
        shown = np.sort(rng.permutation(members)[:per_cluster])
        chosen = images.iloc[shown]
        title = f"cluster {cluster}\n{_images(len(members))}"
        captions = list(chosen.get("class", pd.Series("", index=chosen.index)))
        rows.append((len(members), (title, list(chosen["path"]), captions)))
    rows.sort(key=lambda row: -row[0])
    _draw([row for _, row in rows], output, per_cluster)


def _images(count: int) -> str:
    return f"{count} image" + "s" * (count != 1)


def _draw(
    rows: Sequence[tuple[str, list[str], list[str]]], output: str | Path, columns: int
) -> None:
    kind = FORMATS.get(Path(output).suffix.lower())
    if kind is None:
        raise InputError(f"{output}: a contact sheet is a .jpg or a .png file.")
    step = TILE + GAP
    row_height = TILE + CAPTION_HEIGHT + GAP
    size = (LABEL_WIDTH + columns * step + GAP, len(rows) * row_height + GAP)
    sheet = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(15), ImageFont.load_default(11)
    for number, (title, paths, captions) in enumerate(rows):
        top = GAP + number * row_height
        draw.multiline_text((GAP, top + TILE // 2 - 16), title, fill=INK, font=large)
        for column, (path, caption) in enumerate(zip(paths[:columns], captions, strict=False)):
            left = LABEL_WIDTH + column * step
            sheet.paste(_thumbnail(path), (left, top))
            draw.text((left, top + TILE + 2), caption, fill=FAINT, font=small)
    with atomic_path(output) as temporary:
        sheet.save(temporary, format=kind, quality=85)


def _thumbnail(path: str) -> Image.Image:
    try:
        return ImageOps.fit(load_image(path), (TILE, TILE))
    except InputError as error:
        logger.warning("%s It stays blank.", error)
        return Image.new("RGB", (TILE, TILE), FAINT)
