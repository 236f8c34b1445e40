"""Unpacking downloaded tar and zip archives without trusting what is in them."""

import errno
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from wood.runtime.errors import InputError
from wood.runtime.store import atomic_directory

DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, lzma.LZMAError, zlib.error,
          EOFError, NotImplementedError, RecursionError)  # fmt: skip
CHUNK = 1 << 20


def unpack(archive: str | Path, folder: str | Path, max_bytes: int = 20_000_000_000) -> None:
    """Unpack a tar (of any compression) or zip file into `folder`, whole or not at all.

    A link to another member becomes a copy of it; no link is ever made.

    Raises InputError naming the archive if it is missing, damaged or encrypted, if a member lies
    outside `folder` (an absolute path, "..") or is a link elsewhere or a device, if there would
    be more than `max_bytes` in all, or if `folder` already has something in it.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise InputError(f"{archive}: no such archive.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: {archive.name} is not unpacked over what is already there.")
    with atomic_directory(folder) as temporary:
        try:
            left = max_bytes
            for name, source in _members(archive):
                target = temporary / _inside(archive, name)
                if source is None:
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with source, target.open("wb") as file:
                    while chunk := source.read(CHUNK):
                        left -= len(chunk)
                        if left < 0:
                            raise InputError(
                                f"{archive}: more than the {max_bytes} bytes allowed unpacked."
                            )
                        file.write(chunk)
        except DAMAGE as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
            raise InputError(f"{archive}: not a whole archive ({reason}).") from error
        except OSError as error:
            # A zip's directory that points before the file's beginning; a full disk is none of it.
            if error.errno != errno.EINVAL:
                raise
            raise InputError(f"{archive}: not a whole archive ({error.strerror}).") from error


def _inside(archive: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise InputError(f"{archive}: the member {name!r} lies outside the folder.")
    return Path(*path.parts)


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Each member's name with its open content, None for a folder."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise InputError(f"{archive}: the member {member.filename!r} is a link.")
                if member.flag_bits & 1:
                    raise InputError(f"{archive}: the archive is encrypted.")
                yield member.filename, None if member.is_dir() else file.open(member)
    else:
        with tarfile.open(archive) as file:
            for member in file:
                yield member.name, None if member.isdir() else _tar_content(archive, file, member)


def _tar_content(archive: Path, file: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    try:
        # Follows links within the archive only.
        content = file.extractfile(member)
    except KeyError:
        content = None
    if content is None:
        raise InputError(
            f"{archive}: the member {member.name!r} is neither a file nor a link to one in it."
        )
    return content
