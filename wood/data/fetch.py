"""Data sets that are fetched as archives: Pascal VOC 2012 and SBD."""

import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from wood.data.archives import unpack
from wood.runtime.download import bounded, checksum_in_name, fetch, file_name, verify
from wood.runtime.errors import InputError
from wood.runtime.web import local_folder

MAX_BYTES = 10_000_000_000  # of an archive; VOC 2012 has 2 GB
# Where the data sets lie in their archives, and what of them is needed. VOC's other folders are
# masks of instances; SBD's images are in VOC, too, and its masks are not used.
VOC = {
    "below": "VOCdevkit/VOC2012",
    "only": ("JPEGImages", "Annotations", "ImageSets", "SegmentationClass"),
}
SBD = {"below": "benchmark_RELEASE/dataset", "only": ("train.txt", "val.txt")}


def is_absent(folder: str | Path) -> bool:
    """Return whether there is no file in a folder, or below it (empty folders may be there)."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        return False
    return all(path.is_dir() for path in folder.rglob("*"))


def fetch_archive(
    addresses: Sequence[str],
    folder: str | Path,
    *,
    below: str,
    only: Collection[str],
    checksum: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> None:
    """Fetch an archive and unpack a part of it to `folder`, whole or not at all.

    The archive lies beside the folder, hidden, until it is unpacked: a run that was killed goes on
    with what came.

    Args:
        addresses: asked in turn; a local file among them is used where it is.
        folder: where there must be no file yet.
        below, only: the part, see `wood.data.archives.unpack`.
        checksum: see `wood.runtime.download.fetch`.
        max_bytes: of the archive.

    Raises:
        InputError: no address gives the archive, or it is damaged or another one.
    """
    folder = Path(folder)
    if not is_absent(folder):
        raise InputError(f"{folder}: something is there already, and nothing is unpacked over it.")
    local = [path for address in addresses if (path := local_folder(address)) and path.is_file()]
    if local:
        archive = local[0]
        verify(archive, checksum or checksum_in_name(archive.name))
    else:
        web = [address for address in addresses if local_folder(address) is None]
        if not web:
            raise InputError(f"{folder}: there is nothing, and no address to fetch it from.")
        archive = folder.with_name(f".{folder.name}-{file_name(web[0])}")
        fetch(web, archive, checksum=checksum, limits=bounded(max_bytes=max_bytes))
    shutil.rmtree(folder, ignore_errors=True)  # empty folders
    unpack(archive, folder, below=below, only=only)
    if not local:
        archive.unlink()
