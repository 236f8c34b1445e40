"""What the hard OoD images are and what they cost: counts, positive rates, contact sheets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from PIL import Image

from wood.data.images import load_image
from wood.data.tables import read_table
from wood.ood.statistics import images_to_check
from wood.report.columns import Column
from wood.report.paper import paper_number
from wood.report.plots import data_uri
from wood.report.spec import Collection, Spec
from wood.report.tables import NOTHING, Cell, Table
from wood.runtime.errors import InputError
from wood.runtime.store import read_json

SHEET_WIDTH = 1120  # pixels
POLICIES = {
    "decisions": "In this run a person was the reviewer.",
    "truth": "In this run a file answered instead of a reviewer.",
    "none": "This run had no review, so some hard OoD images may show an object.",
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
    return read_table(collection.hard_ood, ["class"])


def _sheet(path: str) -> Sheet:
    image = load_image(path)
    image.thumbnail((SHEET_WIDTH, 4 * SHEET_WIDTH), Image.Resampling.LANCZOS)
    return Sheet(data_uri(image, max(image.size), quality=82), image.width, image.height)


def _facts(stats: Mapping[str, Any] | None, listed: pd.DataFrame | None) -> list[tuple[str, str]]:
    """Return pairs of a number and what it counts."""
    stats = stats or {}
    photographs = stats.get("photographs") or {}
    counted = [
        (_count(stats, "candidates"), "candidate images without a foreground label"),
        (_count(photographs, "missing") or None, "of them are gone: no address has the photograph"),
        (_count(photographs, "failed") or None, "of them could not be downloaded or decoded"),
        (_count(stats, "above_threshold"), "of them score at or above the threshold"),
        (_count(stats, "checked"), "answered by the reviewer"),
    ]
    looks = stats.get("looks") or {}
    if looks.get("screens"):
        parts = (
            f"{looks['screens']:,} screens of similar images, {looks['singles']:,} single images"
        )
        counted.append((looks["looks"], f"looks: {parts}"))
    accepted = len(listed) if listed is not None else _count(stats, "accepted")
    paper = paper_number("text", "hard OoD", "images")
    beside = f" (paper: {paper.value:,.0f})" if paper else ""
    counted.append((accepted, f"hard OoD images{beside}"))
    disputed = len(stats.get("disagreements") or [])
    counted.append((disputed or None, "disputed by reviewers, therefore rejected"))
    facts = [(f"{count:,}", what) for count, what in counted if count is not None]
    rate = stats.get("positive_rate")
    if rate is not None:
        facts.append((f"{100 * rate:.1f} %", "positive rate r: checked images that show an object"))
    return facts


def _table(spec: Spec, stats: Mapping[str, Any] | None, counts: Mapping[str, int]) -> Table:
    per_class = (stats or {}).get("per_class") or {}
    columns = [Column("Class the classifier saw", numeric=False)]
    columns += [Column(label) for label in COUNTS.values()]
    columns += [
        Column("Positive rate r (%)"),
        Column("Checked per hard OoD", hint="1 / (1 - r)"),
        Column("Seconds per decision", hint="median"),
        Column("Minutes"),
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
        formula = stats.get("formula") or {}
        for title, n, to_check in (
            ("n / (1 - r) for the list", "n", "images_to_check"),
            ("n / (1 - r) for the paper's set", "paper_n", "paper_images_to_check"),
        ):
            if formula.get(to_check) is not None:
                rows.append(_projection(title, stats, formula[n], formula[to_check]))
                looks.append("")
    caption = (
        "Review of the images in which the classifier sees each class. For n hard OoD images a "
        "reviewer must look at n / (1 - r) images (Sec. 3.1), with one question for each: “is "
        "there an object of our classes?” The paper's set has 5,190. The minutes of the last two "
        "rows assume the median time for each decision."
    )
    return Table("hard-ood", "Review and its cost", caption, columns, rows, looks)


def _row(name: str, stats: Mapping[str, Any], listed: int | None) -> list[Cell]:
    row = [Cell(name)]
    row += [_number(_count(stats, key)) for key in COUNTS]
    rate = stats.get("positive_rate")
    if rate is None:
        row += [NOTHING] * 2
    else:
        per_image = images_to_check(1, rate)
        row.append(Cell(f"{100 * rate:.1f}", rate))
        row.append(
            Cell("without end") if per_image is None else Cell(f"{per_image:.2f}", per_image)
        )
    row += [_decimal(stats.get(key)) for key in ("seconds_per_decision", "minutes")]
    return [*row, _number(listed)]


def _projection(title: str, stats: Mapping[str, Any], n: int, to_check: float) -> list[Cell]:
    """What n hard OoD images cost by the formula, at the measured rate and pace."""
    seconds = stats.get("seconds_per_decision")
    minutes = None if seconds is None else to_check * seconds / 60
    checked = [NOTHING, _number(round(to_check)), _number(n), _number(round(to_check) - n)]
    return [Cell(title), *checked, NOTHING, NOTHING, NOTHING, _decimal(minutes), NOTHING]


def _decimal(value: float | None) -> Cell:
    return NOTHING if value is None else Cell(f"{value:,.1f}", value)


def _number(count: int | None) -> Cell:
    return NOTHING if count is None else Cell(f"{count:,}", count)


def _count(stats: Mapping[str, Any], key: str) -> int | None:
    value = stats.get(key)
    return value if isinstance(value, int) else None


def _licences(listed: pd.DataFrame | None) -> list[tuple[str, int]]:
    if listed is None or "license" not in listed.columns:
        return []
    return [(name or "not stated", int(n)) for name, n in listed["license"].value_counts().items()]
