"""The reviewer's answers on disk: one CSV line a decision, durable before anything else moves.

The file is the truth of the review (Sec. 3.1 of the paper, manual pruning); FiftyOne's database
only mirrors it. Lines are appended and never changed, so the history stays: for one reviewer and
one image the last line counts, and an `undo` line makes the image undecided again.
"""

import codecs
import csv
import fcntl
import io
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from wood.data.image_ids import as_image_id
from wood.data.tables import SEPARATORS, as_text, decoded, parse_rows
from wood.runtime.errors import InputError
from wood.runtime.sentences import harmful, printable

ACCEPT, REJECT, UNDO = "accept", "reject", "undo"
WORDS = (ACCEPT, REJECT, UNDO)
SINGLE, SCREEN = "single", "screen"
LOOKS = (SINGLE, SCREEN, "")
# The time comes last: what a killed writer leaves out of a line is its end.
COLUMNS = ["image_id", "decision", "class", "reviewer", "found", "screen", "look", "time"]
FIRST_COLUMNS = ["image_id", "decision", "class", "reviewer", "time"]  # of files from before looks
HEADER = (",".join(COLUMNS) + "\n").encode()
LINE_END = re.compile(rb"\r\n|\r|\n")
HEADERS = {",".join(columns): columns for columns in (COLUMNS, FIRST_COLUMNS)}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """One answer: `accept` means no foreground object (hard OoD), `reject` a foreground object.

    `class_name` is the predicted class, `found` the foreground class that the reviewer named, if
    any. `screen` names the screen of several images that the answer was given on, and `look` says
    whether the image had a look of its own ("single") or went with its screen ("screen").
    """

    image_id: str
    decision: str
    class_name: str
    reviewer: str
    time: str
    found: str = ""
    screen: str = ""
    look: str = ""


def now() -> str:
    """Return the present in UTC, ISO 8601, fine enough to tell key presses apart."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def append_decisions(path: str | Path, decisions: Iterable[Decision]) -> None:
    """Append decisions, one write a line and one fsync for all; durable when this returns.

    The header is made with the file, the folder with it. What a killed writer left of a last line
    was never reported as written; it goes to `<name>.set-aside`, and no byte is lost. A last line
    that is whole but for its line break stays.

    Raises:
        InputError: a field is empty where it must not be, or would break the line; the file is not
            one of decisions, and stays as it is.
    """
    path = Path(path)
    rows = [_fields(path, decision) for decision in decisions]
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path) as handle:
        columns, separator = _repair(path, handle)
        for row in rows:
            _write_whole(handle, _line([row[name] for name in columns], separator))
        os.fsync(handle)
    _sync_folder(path.parent)


def read_history(path: str | Path) -> pd.DataFrame:
    """Return every whole line of a decisions file in its order, undone ones included.

    Returns:
        `COLUMNS`, all strings; decision is accept, reject or undo. What a file does not have is
        "", and a file that does not exist yet is an empty history.

    Raises:
        InputError: a wrong header, a row of another length, a wrong word, an unsafe image id, a
            time that is not ISO 8601, or bytes that are not UTF-8; the sentence names the line.
    """
    return pd.DataFrame(list(_rows(Path(path))), columns=COLUMNS, dtype=object)


def read_decisions(path: str | Path) -> pd.DataFrame:
    """Return the decisions in force: the last line for each reviewer and image, undone ones gone.

    Returns:
        `COLUMNS`, decision is accept or reject, in the order of the file. The rows of two reviewers
        for one image both stay; `merge` settles them.

    Raises:
        InputError: as `read_history`.
    """
    return in_force(read_history(path))


def in_force(history: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a history that are in force, see `read_decisions`."""
    last = _last_answers(history)
    return last[last["decision"] != UNDO].reset_index(drop=True)


def last_press(history: pd.DataFrame) -> list[str]:
    """Return the image ids of the latest answer in force of a history: one key press, one time."""
    last = in_force(history)
    return last.loc[last["time"] == last["time"].iloc[-1], "image_id"].tolist() if len(last) else []


def merge(paths: Sequence[str | Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Settle the decisions of one or several files and reviewers: one row an image.

    Where reviewers disagree the stricter answer, reject, wins. A reviewer found in several files
    is one reviewer, whose latest answer counts; a line copied to two files is one answer.

    Returns:
        The settled decisions (columns as `read_decisions`; of equal answers the earliest row), and
        the disagreements (columns image_id, accepted_by, rejected_by: names joined by "; ").

    Raises:
        InputError: as `read_history`.
    """
    # Within one file its order rules, whatever the clock did; between files the time must.
    answers = pd.concat([_last_answers(read_history(path)) for path in paths] or [_empty()])
    return settle(answers.sort_values("time", key=moments, kind="stable"))


def settle(history: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Settle a history (columns and order as `read_history`); returns what `merge` does."""
    last = in_force(history)
    strictest = last.sort_values("decision", ascending=False, kind="stable")  # reject, accept
    settled = strictest.drop_duplicates("image_id").sort_index().reset_index(drop=True)
    return settled, _disagreements(last)


def moments(times: pd.Series) -> pd.Series:
    """Return ISO 8601 times as seconds on one scale; without a zone they count as UTC."""
    read = [datetime.fromisoformat(time) for time in times]
    utc = [moment if moment.tzinfo else moment.replace(tzinfo=UTC) for moment in read]
    return pd.Series([moment.timestamp() for moment in utc], index=times.index, dtype=float)


def log_disagreements(disagreements: pd.DataFrame) -> None:
    """Say on which images reviewers disagree; the stricter answer wins."""
    for row in disagreements.itertuples():
        logger.warning(
            "reviewers disagree on %s: accepted by %s, rejected by %s; it counts as rejected",
            *(row.image_id, row.accepted_by, row.rejected_by),
        )


def _disagreements(last: pd.DataFrame) -> pd.DataFrame:
    disputed = last[last.groupby("image_id")["decision"].transform("nunique") > 1]
    rows = [
        [image_id, *("; ".join(sorted(names[words == word])) for word in (ACCEPT, REJECT))]
        for image_id, answers in disputed.groupby("image_id", sort=False)
        for names, words in [(answers["reviewer"], answers["decision"])]
    ]
    return pd.DataFrame(rows, columns=["image_id", "accepted_by", "rejected_by"])


def check_reviewer(name: str, where: str = "--reviewer") -> None:
    """Refuse a reviewer's name that would break a line.

    Raises:
        InputError: it is empty or holds a control character.
    """
    if not name.strip() or any(map(harmful, name)):
        raise InputError(f"{where}: {name!r} is not a reviewer's name.")


def _empty() -> pd.DataFrame:
    return pd.DataFrame([], columns=COLUMNS, dtype=object)


def _last_answers(history: pd.DataFrame) -> pd.DataFrame:
    return history.drop_duplicates(["reviewer", "image_id"], keep="last")


def _fields(path: Path, decision: Decision) -> dict[str, str]:
    fields = asdict(decision)
    fields["class"] = fields.pop("class_name")
    fields["image_id"] = _check(fields, str(path))
    return fields


def _line(fields: Sequence[str], separator: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow(map(as_text, fields))
    return text.getvalue().encode()


def _check(row: Mapping[str, str], where: str) -> str:
    """Refuse what is no decision; return the image's id."""
    image_id = as_image_id(row["image_id"], where)
    if row["decision"] not in WORDS:
        raise InputError(
            f"{where}: {row['decision']!r} is not a decision, write {', '.join(WORDS)}."
        )
    if row["look"] not in LOOKS:
        raise InputError(f"{where}: the look is {row['look']!r}, it must be {SINGLE} or {SCREEN}.")
    check_reviewer(row["reviewer"], where)
    if any(harmful(character) for field in row.values() for character in field):
        raise InputError(f"{where}: a field holds a line break or another control character.")
    try:
        datetime.fromisoformat(row["time"])
    except ValueError:
        raise InputError(f"{where}: {row['time']!r} is not an ISO 8601 time.") from None
    return image_id


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Open for appending under an exclusive lock: two Apps may write one file."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name in its folder as durable as its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _repair(path: Path, handle: int) -> tuple[list[str], str]:
    """Make the file end with a whole line, its header in place; return columns and separator."""
    content = _read_all(handle)
    first = LINE_END.split(content.lstrip(b"\r\n"), maxsplit=1)[0]
    known = _header(first)
    if known is None:
        # Nothing yet, or what a killed writer left of the header.
        if content and not HEADER.startswith(content):
            raise InputError(f"{path}: no decision is added, {_not_ours(first)}.")
        os.ftruncate(handle, 0)
        _write_whole(handle, HEADER)
        return COLUMNS, ","
    columns, separator = known
    tail = LINE_END.split(content)[-1]
    if tail and _is_whole(tail, columns, separator):
        _write_whole(handle, b"\n")
    elif tail:
        aside = path.with_name(f"{path.name}.set-aside")
        logger.warning("%s: the last line is not whole, it goes to %s", path, aside)
        with aside.open("ab") as file:
            file.write(tail + b"\n")
            file.flush()
            os.fsync(file.fileno())
        os.ftruncate(handle, len(content) - len(tail))
    return columns, separator


def _header(line: bytes) -> tuple[list[str], str] | None:
    """The columns and the separator of a header line; None where it is none of ours."""
    text = line.decode("utf-8-sig", errors="replace")
    for separator in SEPARATORS:
        columns = HEADERS.get(",".join(_split(text, separator)))
        if columns:
            return columns, separator
    return None


def _split(line: str, separator: str) -> list[str]:
    """The values of one line; nothing where it is none, such as part of one."""
    try:
        _, fields = next(parse_rows("", [line], separator), (1, []))
    except InputError:
        return []
    while fields and not fields[-1]:
        fields.pop()  # a spreadsheet's further columns
    return fields


def _not_ours(first: bytes) -> str:
    found = printable(first.decode("utf-8-sig", errors="replace"), 80)
    return f"the header is not {','.join(COLUMNS)} but {found!r}"


def _read_all(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    blocks = iter(lambda: os.read(handle, 1 << 20), b"")
    return b"".join(blocks)


def _is_whole(line: bytes, columns: Sequence[str], separator: str) -> bool:
    """Whether a last line without a line break is all there, as some editors leave it.

    A header, or as many fields as there are columns with a time at the end: what comes last in a
    line is what a killed writer leaves out.
    """
    if _header(line):
        return True
    fields = _split(line.decode("utf-8", errors="replace"), separator)
    try:
        return len(fields) == len(columns) and bool(datetime.fromisoformat(fields[-1]))
    except ValueError:
        return False


def _is_text(line: bytes) -> bool:
    """Whether a line is UTF-8; part of one may end within a letter."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _write_whole(handle: int, line: bytes) -> None:
    written = os.write(handle, line)
    if written != len(line):
        raise OSError(f"only {written} of {len(line)} bytes of a decision fitted on the disk")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield every whole line after the header, with all of `COLUMNS`."""
    if not path.exists():
        return
    content = path.read_bytes()
    tail = LINE_END.split(content)[-1]
    if not _is_text(tail) and content[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        logger.warning("%s: the last line is not whole and does not count", path)
        content = content[: len(content) - len(tail)]
    lines = decoded(path, content).split("\n")
    number = next((number for number, line in enumerate(lines) if line.strip()), None)
    if number is None:
        return
    known = _header(lines[number].encode())
    if known is None:
        if HEADER.decode().startswith("\n".join(lines)):
            return  # what a killed writer left of it
        raise InputError(f"{path}, line {number + 1}: {_not_ours(lines[number].encode())}.")
    columns, separator = known
    if lines[-1] and not _is_whole(lines[-1].encode(), columns, separator):
        logger.warning("%s: line %d is not whole and does not count", path, len(lines))
        lines.pop()
    text = "\n" * (number + 1) + "\n".join(lines[number + 1 :])
    for line, fields in parse_rows(path, io.StringIO(text), separator):
        where = f"{path}, line {line}"
        if len(fields) < len(columns) or any(fields[len(columns) :]):
            raise InputError(f"{where}: {len(fields)} fields where {len(columns)} are expected.")
        row = dict.fromkeys(COLUMNS, "") | dict(zip(columns, fields, strict=False))
        row["image_id"] = _check(row, where)
        yield row
