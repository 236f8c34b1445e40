"""The paper's published numbers, read from `paper_numbers.csv`, the one place they are written.

One row is one number: table (1 to 5, A1, A2, A3-val, A3-test, or "text"), row, column, value and
the place where the paper prints it. Where the paper disagrees with itself (IRN's seed is 49.5 in
Table 1 and 49.8 in Sec. 4.3.1) a key stands twice, each with its place; the table's own is first.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from wood.runtime.errors import InputError

NUMBERS = Path(__file__).with_name("paper_numbers.csv")


@dataclass(frozen=True)
class PaperNumber:
    """One published number, as printed (mIoU and the like in per cent), and where it is printed."""

    table: str
    row: str
    column: str
    value: float
    place: str


@cache
def paper_numbers() -> tuple[PaperNumber, ...]:
    """Return every published number, in the file's order."""
    with NUMBERS.open(encoding="utf-8", newline="") as file:
        return tuple(
            PaperNumber(
                line["table"], line["row"], line["column"], float(line["value"]), line["place"]
            )
            for line in csv.DictReader(file)
        )


def paper_number(table: str, row: str | None, column: str) -> PaperNumber | None:
    """Return the number the table prints, or None where the paper has none."""
    return next(
        (n for n in paper_numbers() if (n.table, n.row, n.column) == (table, row, column)), None
    )


def other_values(table: str, row: str, column: str) -> list[PaperNumber]:
    """Return what the paper prints for the same thing elsewhere, where that differs."""
    return [n for n in paper_numbers() if (n.table, n.row, n.column) == (table, row, column)][1:]


def paper_rows(table: str) -> list[str]:
    """Return the rows of one of the paper's tables, in its order.

    Raises:
        InputError: the paper's numbers have no such table.
    """
    rows = list(dict.fromkeys(n.row for n in paper_numbers() if n.table == table))
    if not rows:
        raise InputError(f"{NUMBERS.name}: no table {table!r} among the paper's numbers.")
    return rows


def tables_of(table: str) -> list[str]:
    """Return the parts of a table among the paper's numbers: Table A3 has val and test."""
    names = dict.fromkeys(n.table for n in paper_numbers())
    return [name for name in names if name == table or name.startswith(f"{table}-")]


def find_row(table: str, row: str | None) -> str | None:
    """Return a row's full name: Table 3 also has the backbone, which may be left out.

    Raises:
        InputError: the table has no such row, or several.
    """
    if row is None:
        return None
    rows = dict.fromkeys(name for part in tables_of(table) for name in paper_rows(part))
    found = [name for name in rows if name == row or name.startswith(f"{row} (")]
    if len(found) > 1:
        raise InputError(f"in the paper's Table {table} {row!r} can be any of {found}.")
    if not found:
        raise InputError(f"the paper's Table {table} has no row {row!r}.")
    return found[0]
