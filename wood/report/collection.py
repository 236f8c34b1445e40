"""What the hard OoD images are and what they cost: counts, positive rates, contact sheets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from PIL import Image

from wood.data.images import load_image
from wood.errors import InputError
from wood.plots import data_uri
from wood.report.paper import paper_number
from wood.report.spec import Collection, Spec
from wood.report.tables import NONE, Cell, Column, Table
from wood.store import read_json

SHEET_WIDTH = 1120  # pixels
POLICIES = {
    "decisions": "A person answered.",
    "truth": "In this run a file answered in place of the reviewer.",
    "none": "In this run nobody looked: images with an object may be among them.",
}
COUNTS = {
    "above_threshold": "Score at or above the threshold",
    "checked": "Checked",
    "accepted": "Accepted",
    "rejected": "Rejected",
}


@dataclass(frozen=True)
class Sheet:
    """The contact sheet as a data URI, with its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class CollectionSection:
    """What the page says of the collection; any part may be missing."""

    policy: str
    sheet: Sheet | None
    clusters: Sheet | None
    table: Table | None
    facts: list[tuple[str, str]]
    licences: list[tuple[str, int]]


def images_to_check(wanted: float, positive_rate: float) -> float | None:
    """Sec. 3.1: n / (1 - r) images are looked at for n hard OoD; None where r is 1."""
    return None if positive_rate >= 1 else wanted / (1 - positive_rate)


def collection_section(spec: Spec) -> CollectionSection | None:
    """Read the list, the statistics and the sheets; None where nothing was collected.

    Raises:
        InputError: the list has no class column, or the statistics no counts.
    """
    if spec.ood is None:
        return None
    listed = _listed(spec.ood)
    stats = read_json(spec.ood.review_stats) if spec.ood.review_stats else None
    if stats is not None and not isinstance(stats, Mapping):
        raise InputError(f"{spec.ood.review_stats}: these are not review statistics.")
    counts = listed["class"].value_counts().to_dict() if listed is not None else {}
    return CollectionSection(
        POLICIES.get((stats or {}).get("policy", ""), ""),
        _sheet(spec.ood.contact_sheet) if spec.ood.contact_sheet else None,
        _sheet(spec.ood.cluster_sheet) if spec.ood.cluster_sheet else None,
        _table(spec, stats, counts) if stats is not None or counts else None,
        _facts(stats, listed),
        _licences(listed),
    )


def _listed(collection: Collection) -> pd.DataFrame | None:
    if collection.hard_ood is None:
        return None
    listed = pd.read_csv(collection.hard_ood, dtype=str, keep_default_na=False)
    if "class" not in listed.columns:
        raise InputError(f"{collection.hard_ood}: the column 'class' is missing.")
    return listed


def _sheet(path: str) -> Sheet:
    image = load_image(path)
    image.thumbnail((SHEET_WIDTH, 4 * SHEET_WIDTH), Image.Resampling.LANCZOS)
    return Sheet(data_uri(image, max(image.size), quality=82), image.width, image.height)


def _facts(stats: Mapping[str, Any] | None, listed: pd.DataFrame | None) -> list[tuple[str, str]]:
    """Return pairs of a number and what it counts."""
    facts = []
    if stats and _count(stats, "candidates") is not None:
        facts.append((f"{stats['candidates']:,}", "candidate images without a foreground label"))
    if stats and _count(stats, "above_threshold") is not None:
        facts.append((f"{stats['above_threshold']:,}", "of them score at or above the threshold"))
    if stats and _count(stats, "checked") is not None:
        facts.append((f"{stats['checked']:,}", "looked at by the reviewer"))
    accepted = len(listed) if listed is not None else _count(stats or {}, "accepted")
    if accepted is not None:
        paper = paper_number("text", "hard OoD", "images")
        beside = f" (paper: {paper.value:,.0f})" if paper else ""
        facts.append((f"{accepted:,}", f"hard OoD images{beside}"))
    rate = (stats or {}).get("positive_rate")
    if rate is not None:
        facts.append((f"{100 * rate:.1f} %", "positive rate r: checked images with an object"))
    if stats and stats.get("minutes") is not None:
        facts.append((f"{stats['minutes']:.0f} min", "of reviewing"))
    return facts


def _table(spec: Spec, stats: Mapping[str, Any] | None, counts: Mapping[str, int]) -> Table:
    per_class = (stats or {}).get("per_class") or {}
    columns = [Column("Class the classifier saw", numeric=False)]
    columns += [Column(label) for label in COUNTS.values()]
    columns += [
        Column("Positive rate r (%)"),
        Column("To check for 100 hard OoD", hint="n / (1 - r) with n = 100"),
        Column("In the list"),
    ]
    rows = [
        _row(name, per_class.get(name) or {}, counts.get(name, 0 if counts else None))
        for name in spec.class_names
    ]
    looks = [""] * len(rows)
    if stats is not None:
        rows.append(_row("all", stats, sum(counts.values()) if counts else None))
        looks.append("total")
    caption = (
        "Review of the images that the classifier mistakes for each class. The cost of n hard OoD "
        "images is n / (1 - r) images looked at (Sec. 3.1), each with the one question “is there "
        "an object of our classes?”."
    )
    return Table("hard-ood", "Review and its cost", caption, columns, rows, looks)


def _row(name: str, stats: Mapping[str, Any], listed: int | None) -> list[Cell]:
    row = [Cell(name)]
    row += [_number(_count(stats, key)) for key in COUNTS]
    rate = stats.get("positive_rate")
    if rate is None:
        row += [Cell(NONE, look="none")] * 2
    else:
        to_check = images_to_check(100, rate)
        row.append(Cell(f"{100 * rate:.1f}", rate))
        row.append(Cell("without end") if to_check is None else Cell(f"{to_check:.0f}", to_check))
    return [*row, _number(listed)]


def _number(count: int | None) -> Cell:
    return Cell(NONE, look="none") if count is None else Cell(f"{count:,}", count)


def _count(stats: Mapping[str, Any], key: str) -> int | None:
    value = stats.get(key)
    return value if isinstance(value, int) else None


def _licences(listed: pd.DataFrame | None) -> list[tuple[str, int]]:
    if listed is None or "license" not in listed.columns:
        return []
    return [(name or "not stated", int(n)) for name, n in listed["license"].value_counts().items()]
