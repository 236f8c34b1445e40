"""The reviewer's answers on disk: one CSV line a decision, durable before anything else moves.

The file is the truth of the review (Sec. 3.1 of the paper, manual pruning); FiftyOne's database
only mirrors it. Lines are appended and never changed, so the history stays: for one reviewer and
one image the last line counts, and an `undo` line makes the image undecided again.
"""

import csv
import fcntl
import io
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from wood.data.image_ids import as_image_id
from wood.runtime.errors import InputError

ACCEPT, REJECT, UNDO = "accept", "reject", "undo"
WORDS = (ACCEPT, REJECT, UNDO)
SINGLE, SCREEN = "single", "screen"
LOOKS = (SINGLE, SCREEN, "")
# The time comes last: what a killed writer leaves out of a line is its end.
COLUMNS = ["image_id", "decision", "class", "reviewer", "found", "screen", "look", "time"]
FIRST_COLUMNS = ["image_id", "decision", "class", "reviewer", "time"]  # of files from before looks
HEADER = (",".join(COLUMNS) + "\n").encode()
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


def append_decision(path: str | Path, decision: Decision) -> None:
    """Append one decision to the file at `path`; it is on the disk when this returns.

    Raises:
        InputError: a field is empty where it must not be, or would break the line.
    """
    append_decisions(path, [decision])


def append_decisions(path: str | Path, decisions: Iterable[Decision]) -> None:
    """Append decisions, one write a line and one fsync for all; durable when this returns.

    The header is made with the file, the folder with it. A last line left partial by a killed
    writer is cut off first: it was never reported as written.

    Raises:
        InputError: a field is empty where it must not be, or would break the line.
    """
    path = Path(path)
    rows = [_fields(path, decision) for decision in decisions]
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path) as handle:
        columns = _repair(handle)
        for row in rows:
            _write_whole(handle, _line([row[name] for name in columns]))
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
    last = _last_answers(read_history(path))
    return last[last["decision"] != UNDO].reset_index(drop=True)


def last_decisions(path: str | Path, reviewer: str) -> list[str]:
    """Return the image ids of the reviewer's latest answer in force, one key press: same time."""
    decisions = read_decisions(path)
    own = decisions[decisions["reviewer"] == reviewer]
    if own.empty:
        return []
    return own.loc[own["time"] == own["time"].iloc[-1], "image_id"].tolist()


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
    last = _last_answers(history)
    last = last[last["decision"] != UNDO].reset_index(drop=True)
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
    if not name.strip() or any(ord(character) < 32 for character in name):
        raise InputError(f"{where}: {name!r} is not a reviewer's name.")


def _empty() -> pd.DataFrame:
    return pd.DataFrame([], columns=COLUMNS, dtype=object)


def _last_answers(history: pd.DataFrame) -> pd.DataFrame:
    return history.drop_duplicates(["reviewer", "image_id"], keep="last")


def _fields(path: Path, decision: Decision) -> dict[str, str]:
    fields = asdict(decision)
    fields["class"] = fields.pop("class_name")
    _check(fields, str(path))
    return fields


def _line(fields: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue().encode()


def _check(row: Mapping[str, str], where: str) -> None:
    as_image_id(row["image_id"], where)
    if row["decision"] not in WORDS:
        raise InputError(
            f"{where}: {row['decision']!r} is not a decision, write {', '.join(WORDS)}."
        )
    if row["look"] not in LOOKS:
        raise InputError(f"{where}: the look is {row['look']!r}, it must be {SINGLE} or {SCREEN}.")
    check_reviewer(row["reviewer"], where)
    if any(ord(character) < 32 for field in row.values() for character in field):
        raise InputError(f"{where}: a field holds a line break or another control character.")
    try:
        datetime.fromisoformat(row["time"])
    except ValueError:
        raise InputError(f"{where}: {row['time']!r} is not an ISO 8601 time.") from None


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


def _repair(handle: int) -> list[str]:
    """Make the file end with a whole line: header in place, a partial last line cut off.

    Returns:
        The columns of the file.
    """
    content = _read_all(handle)
    whole = content.rfind(b"\n") + 1
    tail = content[whole:]
    columns = _columns(content.split(b"\n", 1)[0]) or COLUMNS
    if tail and _is_whole(tail, columns):
        _write_whole(handle, b"\n")
    elif tail:
        logger.warning("cut off a partial last line: %r", tail)
        os.ftruncate(handle, whole)
    if not whole and not _columns(tail):
        _write_whole(handle, HEADER)
    return columns


def _columns(header: bytes) -> list[str] | None:
    """The columns that a header line names; None where it is none of ours."""
    return HEADERS.get(header.decode("utf-8-sig", errors="replace").rstrip("\r"))


def _read_all(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    blocks = iter(lambda: os.read(handle, 1 << 20), b"")
    return b"".join(blocks)


def _is_whole(line: bytes, columns: Sequence[str]) -> bool:
    """Whether a last line without a line break is all there, as some editors leave it.

    A header, or as many fields as there are columns with a zoned time at the end: what comes last
    in a line is what a killed writer leaves out.
    """
    if _columns(line):
        return True
    fields = next(csv.reader([line.decode("utf-8", errors="replace")]))
    try:
        return len(fields) == len(columns) and datetime.fromisoformat(fields[-1]).tzinfo is not None
    except ValueError:
        return False


def _write_whole(handle: int, line: bytes) -> None:
    written = os.write(handle, line)
    if written != len(line):
        raise OSError(f"only {written} of {len(line)} bytes of a decision fitted on the disk")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Yield every whole line after the header, with all of `COLUMNS`."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    *lines, tail = content.split(b"\n")
    columns = _columns((lines or [tail])[0]) or COLUMNS
    if tail and _is_whole(tail, columns):
        lines.append(tail)
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r")
        except UnicodeDecodeError:
            raise InputError(f"{where}: not UTF-8 text.") from None
        if number == 1:
            if text not in HEADERS:
                raise InputError(f"{where}: the header is not {','.join(COLUMNS)}.")
        elif text.strip():
            fields = next(csv.reader([text]))
            if len(fields) != len(columns):
                raise InputError(
                    f"{where}: {len(fields)} fields where {len(columns)} are expected."
                )
            row = dict.fromkeys(COLUMNS, "") | dict(zip(columns, fields, strict=True))
            _check(row, where)
            yield row
