"""The report's tables as data: what a cell shows, what it sorts by, and what stands above it."""

from dataclasses import dataclass, field
from itertools import groupby

from wood.data.tables import rows_text
from wood.report.columns import Column
from wood.report.comparison import paired
from wood.report.paper import paper_number
from wood.report.scores import Measure, points

NONE = "-"


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the number it sorts by, a class for its look, and words beside it."""

    text: str
    value: float | None = None
    look: str = ""
    hint: str = ""
    tags: tuple[str, ...] = ()


NOTHING = Cell(NONE, look="none")


@dataclass(frozen=True)
class Table:
    """A table of the page; `key` names its CSV file, `looks` has one class per row."""

    key: str
    title: str
    caption: str
    columns: list[Column]
    rows: list[list[Cell]]
    looks: list[str] = field(default_factory=list)

    def groups(self) -> list[tuple[str, int]]:
        """Return the headings over the columns and how many columns each spans."""
        return [
            (heading, len(list(columns)))
            for heading, columns in groupby(self.columns, lambda column: column.group)
        ]


def number(measure: Measure | None) -> Cell:
    """Show a measure; a dash where there is none."""
    if measure is None:
        return NOTHING
    values = ", ".join(f"{value:.2f}" for value in measure.values)
    return Cell(measure.text, round(measure.mean, 4), hint=f"per seed: {values}")


def difference(ours: Measure | None, reference: Measure | None) -> Cell:
    """Show how many points `ours` lies above `reference`, over the training seeds of both."""
    found = paired(ours, reference)
    if found is None:
        return NOTHING
    text = points(found.mean)
    look = {"+": "up", "-": "down"}.get(text[0], "")
    seeds = f"over {found.runs} training seed{'s' if found.runs != 1 else ''}"
    return Cell(text, round(found.mean, 4), look, seeds)


def published(table: str, row: str | None, column: str) -> Cell:
    """Show a number of the paper, with the place where it is printed."""
    found = paper_number(table, row, column)
    if found is None:
        return Cell(NONE, look="paper none")
    digits = 2 if column == "sd" else 1
    return Cell(f"{found.value:.{digits}f}", found.value, "paper", found.place)


def csv_text(table: Table) -> str:
    """Return a table as CSV, safe in a spreadsheet: numbers in full, nothing for a missing one."""
    header = [
        f"{column.group}: {column.label}" if column.group else column.label
        for column in table.columns
    ]
    rows = [
        [
            cell.value if cell.value is not None else "" if cell.text == NONE else cell.text
            for cell in row
        ]
        for row in table.rows
    ]
    return rows_text([header, *rows])
