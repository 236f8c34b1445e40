"""Files that appear whole or not at all: written beside, then renamed.

`python -m wood.runtime.store verify results/<dataset>` checks that every file is the one that was
recorded.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from wood.runtime.errors import InputError

if TYPE_CHECKING:
    import torch

METADATA_KEY = "wood"
PROVENANCE = "provenance.json"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _part(path: Path) -> Path:
    """The temporary name: always the same, so that what a killed writer left is written over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.part")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it there on success, remove it on an error."""
    path = Path(path)
    temporary = _part(path)
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it replaces `path` on success, else it is removed."""
    path = Path(path)
    temporary = _part(path)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
        _sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def collect_folders(folders: Iterable[str | Path], output: str | Path) -> None:
    """Put the files of several folders into one, by hard links where the file system has them.

    Hidden files stay behind (Snakemake marks the folders it watches with one).

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
    """Read a JSON file.

    Raises:
        InputError: the file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a JSON file ({error}).") from None


def save_tensors(
    path: str | Path,
    tensors: "Mapping[str, torch.Tensor | np.ndarray]",
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


def load_tensors(path: str | Path) -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
    """Read what `save_tensors` wrote: the tensors by name, and the metadata.

    Raises:
        InputError: the file is missing, truncated or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(METADATA_KEY, "{}")
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(text)  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except (SafetensorError, json.JSONDecodeError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error}).") from None


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a Parquet file (zstd), atomically."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def read_table(path: str | Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file, or the named `columns` of it.

    Raises:
        InputError: the file is missing, not Parquet, or lacks a column.
    """
    try:
        return pd.read_parquet(path, columns=columns)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable Parquet file ({reason}).") from None


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(folder: str | Path) -> list[str]:
    """Compare the files below `folder` with those that its `provenance.json` records.

    Returns:
        One sentence for each recorded file that is missing or is another one.

    Raises:
        InputError: there is no such record, or it is not one.
    """
    folder = Path(folder)
    record = read_json(folder / PROVENANCE)
    if not isinstance(record, dict) or not isinstance(record.get("files"), dict):
        raise InputError(f"{folder / PROVENANCE}: it records no files.")
    problems = []
    for name, digest in record["files"].items():
        if not (folder / name).is_file():
            problems.append(f"{folder / name}: it is missing.")
        elif file_sha256(folder / name) != digest:
            problems.append(f"{folder / name}: it is not the file that was recorded.")
    return problems


def main(arguments: list[str]) -> int:
    """Run `verify` on a folder of results, and say what it found."""
    if len(arguments) != 2 or arguments[0] != "verify":
        print("usage: python -m wood.runtime.store verify results/<dataset>", file=sys.stderr)
        return 2
    try:
        problems = verify(arguments[1])
    except InputError as error:
        problems = [str(error)]
    for problem in problems:
        print(f"Error: {problem}", file=sys.stderr)
    if not problems:
        print("Every file is the one that was recorded.")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
