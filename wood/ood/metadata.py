"""The metadata of Open Images: labels, hierarchy and image lists, downloaded or used in place."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wood.runtime.download import bounded, fetch
from wood.runtime.errors import InputError
from wood.runtime.store import file_sha256, read_json, write_json
from wood.runtime.web import USER_AGENT, local_folder, web_address

BASE = "https://storage.googleapis.com/openimages"
SPLITS = ("train", "validation", "test")
INDEX = "metadata.json"

# The image lists are those of the public image bucket: for train the 1.7 million boxable images.
# "2018_04/image_ids_and_rotation.csv" lists all 9 million of all splits, most with their own
# addresses only; "v7/oidv7-train-annotations-human-imagelabels.csv" has the labels of version 7.
FILES: dict[str, Any] = {
    "classes": "v6/oidv6-class-descriptions.csv",
    "hierarchy": "2018_04/bbox_labels_600_hierarchy.json",
    "human": {
        "train": "v6/oidv6-train-annotations-human-imagelabels.csv",
        "validation": "v5/validation-annotations-human-imagelabels.csv",
        "test": "v5/test-annotations-human-imagelabels.csv",
    },
    "machine": {
        "train": "v5/train-annotations-machine-imagelabels.csv",
        "validation": "v5/validation-annotations-machine-imagelabels.csv",
        "test": "v5/test-annotations-machine-imagelabels.csv",
    },
    "images": {
        "train": "2018_04/train/train-images-boxable-with-rotation.csv",
        "validation": "2018_04/validation/validation-images-with-rotation.csv",
        "test": "2018_04/test/test-images-with-rotation.csv",
    },
}


def wanted_files(
    splits: Sequence[str], files: Mapping[str, Any] | None = None
) -> dict[str, str | dict[str, str]]:
    """Return the names of the files below the base, for `splits`, with the user's own names.

    Raises:
        InputError: an unknown kind of file, a split without a file, or no split at all.
    """
    if not splits:
        raise InputError("splits: name at least one split of Open Images.")
    files = files or {}
    unknown = sorted(set(files) - set(FILES))
    if unknown:
        raise InputError(f"files: the key {unknown[0]!r} is none of {', '.join(FILES)}.")
    wanted: dict[str, str | dict[str, str]] = {}
    for kind, default in FILES.items():
        if isinstance(default, str):
            wanted[kind] = files.get(kind, default)
            continue
        names = {**default, **files.get(kind, {})}
        for split in splits:
            if split not in names:
                raise InputError(f"files: {kind} has no file for the split {split!r}.")
        wanted[kind] = {split: names[split] for split in splits}
    return wanted


def fetch_metadata(
    output_dir: str | Path,
    *,
    base: str | Path = BASE,
    splits: Sequence[str] = SPLITS,
    files: Mapping[str, Any] | None = None,
    checksums: str | Path | None = None,
    retries: int = 8,
    timeout: float = 60.0,
    user_agent: str = USER_AGENT,
) -> dict[str, Any]:
    """Fetch the metadata files of `splits` and write their places to output_dir/metadata.json.

    Whole files are downloaded with resume, and checked against the SHA-256 in `checksums` (a JSON
    file, {name: sha256}), where it is recorded on the first download. A local folder as `base` is
    used in place: nothing is copied.

    Args:
        output_dir: the folder of the downloaded files and of metadata.json.
        base: http(s)://, s3:// (unsigned), file:// or a folder.
        splits: of "train", "validation" and "test".
        files: names below the base that differ from `FILES`.
        checksums: JSON file of checksums; None checks nothing.
        retries: attempts for each file beyond the first.
        timeout: seconds without a byte before an attempt counts as failed.
        user_agent: how the requests introduce themselves.

    Returns:
        What is in metadata.json: the kinds of `FILES` with absolute paths.

    Raises:
        InputError: a file is missing, cannot be fetched, or has another checksum.
    """
    output_dir, wanted = Path(output_dir), wanted_files(splits, files)
    folder = local_folder(base)
    limits = bounded(retries=retries, timeout=timeout, user_agent=user_agent)
    known = read_json(checksums) if checksums and Path(checksums).exists() else {}

    def place(name: str) -> str:
        if folder is not None:
            path = folder / name
            if not path.is_file():
                raise InputError(f"{path}: no such metadata file.")
            return str(path.resolve())
        path = output_dir / _safe_name(name)
        if not path.is_file():
            address = f"{web_address(str(base))}/{quote(name)}"
            fetch(address, path, limits=limits)
        if checksums:
            _check(path, name, known, Path(checksums))
        return str(path.resolve())

    index = {
        kind: place(names)
        if isinstance(names, str)
        else {split: place(name) for split, name in names.items()}
        for kind, names in wanted.items()
    }
    write_json(output_dir / INDEX, index)
    return index


def read_metadata(metadata: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """Return the index that `fetch_metadata` made, from its value, its file, or its folder.

    Raises:
        InputError: there is no index, or it is not one.
    """
    if isinstance(metadata, Mapping):
        return dict(metadata)
    path = Path(metadata)
    path = path / INDEX if path.is_dir() else path
    index = read_json(path)
    if not isinstance(index, dict) or set(index) != set(FILES):
        raise InputError(f"{path}: not an index of Open Images metadata.")
    return index


def _safe_name(name: str) -> Path:
    path = Path(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"files: {name!r} leaves its folder.")
    return path


def _check(path: Path, name: str, known: dict[str, str], checksums: Path) -> None:
    digest = file_sha256(path)
    if known.setdefault(name, digest) != digest:
        raise InputError(
            f"{path}: its SHA-256 is {digest}, not {known[name]} as recorded in {checksums}; "
            "remove the file to fetch it again."
        )
    write_json(checksums, known)
