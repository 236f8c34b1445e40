"""The one reader of text files that a person or another program wrote, and their one writer.

Text is UTF-8, with or without a byte order mark (or UTF-16 with one, as spreadsheets write it).
Lines end with LF, CRLF or CR. Blank lines say nothing, but count: a sentence names the line that an
editor shows, and a row has the number of the line where it begins. Values are separated by commas,
semicolons or tabs, whichever gives the columns that are asked for; spaces around them say nothing,
and quotes may hold separators and line breaks.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from wood.runtime.errors import InputError
from wood.runtime.sentences import listed, quoted
from wood.runtime.store import atomic_path

if TYPE_CHECKING:
    import pandas as pd

MAX_BYTES = 500_000_000
MAX_CELL = 131_072  # characters; what Python's csv reads
SEPARATORS = ",;\t"
SPACES = " \t\u00a0"
MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}

# What makes a spreadsheet compute a cell, or would be taken for the mark against it.
FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
MARKED = re.compile(r"'+[=+\-@\t\r\n]")


def read_text(path: str | Path, what: str = "file", max_bytes: int = MAX_BYTES) -> str:
    """Return a text file with its lines ended by "\\n".

    Args:
        path: the file.
        what: what the sentence about a missing file calls it.
        max_bytes: the most that it may have.

    Raises:
        InputError: it is missing, too large, a folder, or no text.
    """
    try:
        size = os.stat(path).st_size
        if size > max_bytes:
            raise InputError(f"{path}: {size} bytes are more than the {max_bytes} allowed.")
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such {what}.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder, not a {what}.") from None
    return decoded(path, content)


def decoded(path: str | Path, content: bytes) -> str:
    """Return the text of a file's bytes, its lines ended by "\\n".

    Raises:
        InputError: it is no text; the sentence begins with `path`.
    """
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        # A text in UTF-16 is not bytes that are near lines.
        line = 1 + len(re.findall(rb"\r\n|\r|\n", content[: error.start]))
        near = f"line {line}: " if encoding != "utf-16" else ""
        raise InputError(f"{path}: {near}not text in UTF-8.") from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{path}: line {line}: a zero byte, so this is no text file.")
    return text


def read_lines(path: str | Path, what: str = "list") -> list[tuple[int, str]]:
    """Return the lines of a text file that say something, each with its number.

    Spaces and a pair of quotes around a line are left out.

    Raises:
        InputError: as `read_text`.
    """
    lines = []
    for number, line in enumerate(read_text(path, what).split("\n"), start=1):
        text = line.strip()
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1].replace('""', '"').strip()
        if text:
            lines.append((number, text))
    return lines


def read_rows(path: str | Path, what: str = "table") -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file separated by commas, each with the line where it begins.

    Raises:
        InputError: as `read_text`, or the file is no CSV.
    """
    return parse_rows(path, io.StringIO(read_text(path, what)), ",")


def read_table(path: str | Path, columns: Sequence[str] = (), what: str = "table") -> pd.DataFrame:
    """Read a CSV file whose first line names the columns; every value is a string.

    Columns without a name are left out. A row may have further empty values.

    Args:
        path: the file.
        columns: names that must be there.
        what: what the sentence about a missing file calls it.

    Returns:
        The table; its index is the number of each row's line in the file.

    Raises:
        InputError: as `read_text`; the file is no CSV or has no header; a column is missing or
            there twice; a row has too few or too many values.
    """
    import pandas as pd

    text = read_text(path, what)
    separator = _separator(path, text, columns)
    rows = parse_rows(path, io.StringIO(text), separator)
    number, header = next(rows, (1, []))
    if not header:
        raise InputError(f"{path}: not a CSV file: it is empty.")
    names = [name for name in header if name]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: row {number}: the column {quoted(name)} is there twice.")
    for name in columns:
        if name not in names:
            raise InputError(
                f"{path}: the column {quoted(name)} is missing; columns found: {listed(names)}."
            )
    places = [place for place, name in enumerate(header) if name]
    numbers, values = [], []
    for number, row in rows:
        if len(row) < len(header) or any(row[len(header) :]):
            raise InputError(
                f"{path}: row {number} has {len(row)} values, the header {len(header)} columns."
            )
        numbers.append(number)
        values.append([row[place] for place in places])
    return pd.DataFrame(values, columns=names, index=pd.Index(numbers, name="line"), dtype=object)


def write_table(
    path: str | Path, table: pd.DataFrame, *, float_format: str | None = None, index: bool = False
) -> None:
    """Write a CSV file, atomically, that is safe to open in a spreadsheet.

    Text that a spreadsheet would compute (from "=", "+", "-", "@", a tab or a CR on) gets an
    apostrophe before it, as spreadsheets have it themselves; the readers here take it away again.
    """
    import pandas as pd

    shown = table.reset_index() if index else table
    shown = shown.rename(columns=_written)
    for place, kind in enumerate(shown.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            shown.isetitem(place, shown.iloc[:, place].map(_written))
    with atomic_path(path) as temporary:
        shown.to_csv(temporary, index=False, float_format=float_format, lineterminator="\n")


def _written(value: object) -> object:
    """Return a value as it is written: text with LF for all its line breaks, no formula."""
    if isinstance(value, str):
        value = value.replace("\r\n", "\n").replace("\r", "\n")
    return as_text(value)


def as_text(value: object) -> object:
    """Return a value as it stands in a CSV: text that would be a formula is marked as text."""
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def from_text(cell: str) -> str:
    """Return what a cell of a CSV stands for: without the mark that `as_text` puts before it."""
    return cell[1:] if MARKED.match(cell) else cell


def rows_text(rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV text, safe to open in a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_written(value) for value in row] for row in rows)
    return text.getvalue()


def stream_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file of any size, separated by commas, as `read_rows` does.

    Bytes that are no UTF-8 become U+FFFD: in files of millions of rows that many people wrote, one
    name is not worth the rest.

    Raises:
        InputError: the file is missing, or no CSV.
    """
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            yield from parse_rows(path, file, ",")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None


def parse_rows(
    path: str | Path, lines: Iterable[str], separator: str
) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of CSV text that say something, each with the line where it begins.

    Raises:
        InputError: it is no CSV.
    """
    reader = csv.reader(lines, delimiter=separator, strict=True)
    begin = 1
    while True:
        begin = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}: not a CSV file: row {begin}: {_why(error)}.") from None
        row = [from_text(cell.strip(SPACES)) for cell in row]
        if any(row):
            yield begin, row


def _why(error: csv.Error) -> str:
    """Say what Python's reader of CSV has found, in words that a user of spreadsheets knows."""
    said = str(error)
    if "field larger" in said:
        return f"a value has more than {MAX_CELL} characters"
    if "unexpected end" in said:
        return "the quote that begins here is not closed"
    return "the quotes are not those of a CSV file"


def _separator(path: str | Path, text: str, columns: Sequence[str]) -> str:
    """Return the separator with which the header has the most of the columns that are wanted."""

    def score(separator: str) -> tuple[int, int]:
        try:
            _, header = next(
                parse_rows(path, io.StringIO(text[: MAX_CELL * 4]), separator), (1, [])
            )
        except InputError:
            return -1, 0
        return sum(name in header for name in columns), len(header)

    return max(SEPARATORS, key=score)
