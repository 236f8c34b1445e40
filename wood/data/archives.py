"""Unpacking downloaded tar and zip archives without trusting what is in them."""

import bz2
import errno
import gzip
import io
import lzma
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from wood.runtime.errors import InputError
from wood.runtime.store import atomic_directory

# What the readers raise on archives that are none. ValueError: a number in a header that is none.
DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    ValueError,
    KeyError,
    IndexError,
    OverflowError,
    struct.error,
)
CHUNK = 1 << 20
COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
LONGEST_PART = 255  # bytes of a file's or folder's name; of most file systems
BYTES_OF_ZIP_ENTRY = 300  # in the directory of a zip file, on average at most

# Headers of tar that hold more than a block: names, and lists of attributes.
LONG_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@dataclass(frozen=True)
class Bounds:
    """What an archive may hold.

    Attributes:
        max_bytes: unpacked, of all members together, those that are left out too.
        max_members: files and folders.
        max_header: bytes of a header that precedes a member of a tar file.
        max_depth: folders in one another.
        max_seconds: of the whole unpacking.
    """

    max_bytes: int = 20_000_000_000
    max_members: int = 200_000
    max_header: int = 1_000_000
    max_depth: int = 32
    max_seconds: float = 7200.0


def unpack(
    archive: str | Path,
    folder: str | Path,
    *,
    below: str = "",
    only: Collection[str] | None = None,
    **bounds: Any,
) -> None:
    """Unpack a tar (of any compression) or zip file into `folder`, whole or not at all.

    A link to another member becomes a copy of it; no link is ever made.

    Args:
        archive: the file.
        folder: made, or filled if it is there and empty.
        below: a folder of the archive that is taken for the whole; the rest is left out.
        only: names of files and folders in `below`; the others are left out.
        bounds: see `Bounds`.

    Raises:
        InputError: names the archive. It is missing, damaged, encrypted, or beyond the bounds; a
            member lies outside `folder` (an absolute path, ".."), is there twice, is sparse, a
            device, or a link elsewhere; what `below` or `only` names is not in it; or `folder`
            already has something in it.
    """
    archive, folder = Path(archive), Path(folder)
    if not archive.is_file():
        raise InputError(f"{archive}: no such archive.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: {archive.name} is not unpacked over what is already there.")
    with atomic_directory(folder) as temporary:
        try:
            found = _unpack(archive, temporary, PurePosixPath(below), only, Bounds(**bounds))
        except InputError:
            raise
        except DAMAGE as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":")
            raise InputError(f"{archive}: not a whole archive ({reason[:200]}).") from error
        except OSError as error:
            # EINVAL: a zip's directory that points before the file's beginning; no number: bzip2's.
            if error.errno in (errno.EINVAL, None):
                raise InputError(f"{archive}: not a whole archive ({error}).") from error
            raise
        missing = sorted(set(only or ()) - found)
        if missing or not found:
            what = str(PurePosixPath(below, *missing[:1]))
            raise InputError(f"{archive}: there is no {what} in this archive.")


def _unpack(
    archive: Path,
    folder: Path,
    below: PurePosixPath,
    only: Collection[str] | None,
    bounds: Bounds,
) -> set[str]:
    """Write the members; return what lies at the top of `folder`."""
    meter = _Meter(archive, bounds)
    found: set[str] = set()
    for name, source in _members(archive, meter):
        meter.member()
        path = _inside(archive, name, bounds.max_depth)
        if not path.is_relative_to(below) or path == below:
            continue
        path = path.relative_to(below)
        if only is not None and path.parts[0] not in only:
            continue
        found.add(path.parts[0])
        target = folder / path
        try:
            if source is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                for chunk in meter.chunks(source()):
                    file.write(chunk)
        except (FileExistsError, NotADirectoryError):
            raise InputError(
                f"{archive}: the member {_shown(name)} is there twice, or a file and a folder."
            ) from None
    return found


class _Meter:
    """What has been taken of an archive's bounds."""

    def __init__(self, archive: Path, bounds: Bounds) -> None:
        self.archive = archive
        self.bounds = bounds
        self.bytes = self.members = 0
        self.end = time.monotonic() + bounds.max_seconds

    def member(self) -> None:
        self.members += 1
        if self.members > self.bounds.max_members:
            raise self.beyond(f"{self.bounds.max_members} members")
        self.time()

    def time(self) -> None:
        if time.monotonic() > self.end:
            raise self.beyond(f"{self.bounds.max_seconds:g} seconds")

    def chunks(self, source: IO[bytes]) -> Iterator[bytes]:
        with source:
            while chunk := source.read(CHUNK):
                self.bytes += len(chunk)
                if self.bytes > self.bounds.max_bytes:
                    raise self.beyond(f"{self.bounds.max_bytes} bytes")
                self.time()
                yield chunk

    def beyond(self, what: str) -> InputError:
        return InputError(f"{self.archive}: more than the {what} allowed unpacked.")


def _shown(name: str) -> str:
    return repr(name if len(name) <= 100 else f"{name[:100]}...")


def _inside(archive: Path, name: str, max_depth: int) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise InputError(f"{archive}: the member {_shown(name)} lies outside the folder.")
    longest = max((len(part.encode(errors="surrogateescape")) for part in path.parts), default=0)
    if longest > LONGEST_PART or len(path.parts) > max_depth:
        raise InputError(f"{archive}: the member {_shown(name)} has too long or deep a name.")
    return path


Member = tuple[str, Callable[[], IO[bytes]] | None]


def _members(archive: Path, meter: _Meter) -> Iterator[Member]:
    """Each member's name with what opens it, None for a folder."""
    if zipfile.is_zipfile(archive):
        yield from _zip_members(archive, meter)
    else:
        yield from _tar_members(archive, meter)


def _zip_members(archive: Path, meter: _Meter) -> Iterator[Member]:
    with archive.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(max(0, size - 65_557))
        tail = file.read()
    (directory,) = struct.unpack_from("<I", tail, tail.rindex(b"PK\5\6") + 12)
    if directory > meter.bounds.max_members * BYTES_OF_ZIP_ENTRY:
        raise meter.beyond(f"{meter.bounds.max_members} members")
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            if stat.S_ISLNK(member.external_attr >> 16):
                raise InputError(f"{archive}: the member {_shown(member.filename)} is a link.")
            if member.flag_bits & 1:
                raise InputError(f"{archive}: the archive is encrypted.")
            yield member.filename, None if member.is_dir() else partial(file.open, member)


def _tar_members(archive: Path, meter: _Meter) -> Iterator[Member]:
    class Header(tarfile.TarInfo):
        """A header that is refused before what it announces is read."""

        @classmethod
        def frombuf(cls, *arguments: Any, **options: Any) -> tarfile.TarInfo:  # type: ignore[override]
            header = super().frombuf(*arguments, **options)
            if header.type in LONG_HEADERS and header.size > meter.bounds.max_header:
                raise meter.beyond(f"{meter.bounds.max_header} bytes of a header")
            return header

    with archive.open("rb") as plain:
        start = plain.read(6)
        plain.seek(0)
        opened: Any = next(
            (o for magic, o in COMPRESSIONS.items() if start.startswith(magic)), None
        )
        stream = _Skipping(opened(plain), meter) if opened else plain
        with stream, tarfile.open(fileobj=stream, mode="r:", tarinfo=Header) as file:
            for member in file:
                if member.issparse():
                    raise InputError(f"{archive}: the member {_shown(member.name)} is sparse.")
                content = None if member.isdir() else partial(_tar_content, archive, file, member)
                yield member.name, content


class _Skipping(io.RawIOBase):
    """A decompressed stream: what is skipped costs time, too, and is bounded."""

    def __init__(self, stream: IO[bytes], meter: _Meter) -> None:
        self.stream = stream
        self.meter = meter

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.stream.tell()

    def read(self, size: int = -1) -> bytes:
        content = self.stream.read(size)
        self.meter.time()
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("seek")
        limit = self.stream.tell() + self.meter.bounds.max_bytes
        if offset > limit:
            raise self.meter.beyond(f"{self.meter.bounds.max_bytes} bytes")
        if offset < self.stream.tell():
            self.stream.seek(0)
        while (left := offset - self.stream.tell()) and self.read(min(CHUNK, left)):
            pass
        return self.stream.tell()

    def close(self) -> None:
        self.stream.close()
        super().close()


def _tar_content(archive: Path, file: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    try:
        # Follows links within the archive only.
        content = file.extractfile(member)
    except KeyError:
        content = None
    if content is None:
        raise InputError(
            f"{archive}: the member {_shown(member.name)} is neither a file nor a link to one in "
            "it."
        )
    return content
