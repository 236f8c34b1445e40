"""Files that appear whole or not at all: written beside, then renamed."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wood.runtime.errors import InputError
from wood.runtime.parts import remove_old, replace_folder, reserved_file, reserved_folder
from wood.runtime.sentences import listed, quoted, reason

if TYPE_CHECKING:
    import pandas as pd
    import torch

METADATA_KEY = "wood"
PROVENANCE = "provenance.json"
MAX_JSON_BYTES = 500_000_000
MAX_ROWS = 50_000_000  # of a table that is read as a whole
MAX_VALUES = 500_000_000  # of all its columns, or of a part that is read at once
HALF_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")  # may be one, which no file can hold


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there on success, remove it on an error.

    Two processes that write one path have a temporary file each (`wood.runtime.parts`); the last to
    end wins.
    """
    path = Path(path)
    with reserved_file(path) as temporary:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    _sync(path.parent)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it replaces `path` on success, else it is removed.

    The old folder goes after the new one is in its place: at no moment is `path` partial or, where
    the system can exchange two names at once (Linux), missing.
    """
    path = Path(path)
    with reserved_folder(path) as temporary:
        yield temporary
        replace_folder(temporary, path)
    _sync(path.parent)
    remove_old(temporary)


def collect_folders(folders: Iterable[str | Path], output: str | Path) -> None:
    """Put the files of several folders into one, by hard links where the file system has them.

    Hidden files stay behind (Snakemake marks the folders it watches with one); no image id begins
    with a point (`wood.data.image_ids`), so no file of an image is hidden.

    Raises:
        InputError: two folders hold files of one name.
    """
    with atomic_directory(output) as temporary:
        for folder in folders:
            for file in sorted(Path(folder).glob("[!.]*")):
                target = temporary / file.name
                if target.exists():
                    raise InputError(f"{file}: another folder holds a file of this name too.")
                try:
                    target.hardlink_to(file)
                except OSError:
                    shutil.copy2(file, target)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON with sorted keys, so that equal values are equal bytes; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file of at most `MAX_JSON_BYTES`.

    Raises:
        InputError: the file is missing, too large, not JSON (NaN is not), or has a key twice.
    """
    try:
        if Path(path).stat().st_size > MAX_JSON_BYTES:
            raise InputError(f"{path}: more than the {MAX_JSON_BYTES} bytes allowed.")
        return _parse_json(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except RecursionError:
        raise InputError(f"{path}: its values are nested too deeply.") from None
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a JSON file ({reason(error)}).") from None


def _parse_json(text: str) -> Any:
    value = json.loads(
        text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite
    )
    if HALF_CHARACTER.search(text):
        json.dumps(value, ensure_ascii=False).encode()  # raises UnicodeEncodeError, a ValueError
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {quoted(twice)} stands twice in one object")
    return value


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {quoted(text)} is too large")
    return value


@contextmanager
def content_of(path: str | Path, what: str) -> Iterator[None]:
    """Refuse a file in one sentence where what it holds is not of the form that its reader takes.

    Around the few lines that take values out of a file which the pipeline wrote, and which may be
    damaged or another's: a missing key, a value of another type, a row too few.

    Raises:
        InputError: "<path>: this file does not hold <what>."
    """
    try:
        yield
    except InputError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{path}: this file does not hold {what}.") from error


def save_tensors(
    path: str | Path,
    tensors: Mapping[str, torch.Tensor | np.ndarray],
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write named tensors and a JSON-able `metadata` to one safetensors file, atomically."""
    # Imported here, since the many short jobs that need no tensor start in a third of the time.
    import torch
    from safetensors.torch import save_file

    contiguous = {
        name: torch.as_tensor(tensor).detach().cpu().contiguous()
        for name, tensor in tensors.items()
    }
    text = json.dumps(metadata or {}, sort_keys=True, allow_nan=False)
    with atomic_path(path) as temporary:
        save_file(contiguous, temporary, metadata={METADATA_KEY: text})


def load_tensors(
    path: str | Path, framework: str = "pt"
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote: the tensors by name, and the metadata.

    With the framework "np" the tensors are NumPy's, and PyTorch is not imported.

    Raises:
        InputError: the file is missing, truncated or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            metadata = _parse_json((file.metadata() or {}).get(METADATA_KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except (SafetensorError, ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({reason(error)}).") from None
    if not isinstance(metadata, dict):
        raise InputError(f"{path}: its metadata is not a mapping of names.")
    return tensors, metadata


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a Parquet file (zstd), atomically."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def read_table(
    path: str | Path, columns: list[str] | None = None, texts: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a Parquet file of at most `MAX_ROWS` and `MAX_VALUES`, or the named `columns` of it.

    Raises:
        InputError: the file is missing, not Parquet, too long, lacks a column, has one twice, or
            holds what is no text in one of the columns `texts`.
    """
    import pyarrow.parquet as pq

    with parquet_of(path), pq.ParquetFile(path) as file:
        if file.metadata.num_rows > MAX_ROWS:
            raise InputError(f"{path}: more than the {MAX_ROWS} rows allowed.")
        names = file.schema_arrow.names
        check_values(path, file.metadata.num_rows, len(names if columns is None else columns))
        for name in names if columns is None else columns:
            if names.count(name) != 1:
                found = "is missing" if name not in names else "is there twice"
                raise InputError(
                    f"{path}: the column {quoted(name)} {found}; columns found: {listed(names)}."
                )
        table = file.read(columns).to_pandas()
    for name in texts:
        if not all(type(value) is str for value in table[name]):
            raise InputError(f"{path}: the column {quoted(name)} holds what is no text.")
    return table if columns is None else table[columns]


def check_values(path: str | Path, rows: int, columns: int) -> None:
    """Refuse to read so much of a table at once: a value that repeats takes no room in the file.

    Raises:
        InputError: it is more than `MAX_VALUES`.
    """
    if rows * columns > MAX_VALUES:
        raise InputError(f"{path}: {rows} rows of {columns} columns are more than can be read.")


@contextmanager
def parquet_of(path: str | Path) -> Iterator[None]:
    """Refuse a Parquet file in one sentence, wherever it turns out to be damaged: in its pages, or
    in what pandas wrote about its columns.

    Raises:
        InputError: the file is missing or not Parquet.
    """
    import pyarrow as pa

    try:
        yield
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        pa.ArrowException,
    ) as error:
        raise InputError(f"{path}: not a readable Parquet file ({reason(error)}).") from None


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
