"""Files from the web, whole or not at all: resumed, checked, and bounded in time and bytes."""

import asyncio
import fcntl
import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urlsplit

from wood.runtime.errors import InputError
from wood.runtime.progress import Transfer, transferring
from wood.runtime.web import GONE, Client, Limits, Transient, Unusable, declared_length, web_address

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

MEGABYTE = 10**6
# A day for the largest file of Open Images at 1 Mbit/s; what is larger is none of ours.
FILES = Limits(
    connections=1,
    rate_limit=None,
    retries=8,
    timeout=60.0,
    max_seconds=86_400.0,
    max_bytes=50_000_000_000,
)


def fetch(
    addresses: str | Sequence[str],
    path: str | Path,
    *,
    checksum: str | None = None,
    check: Callable[[Path], None] | None = None,
    limits: Limits = FILES,
) -> Path:
    """Fetch a file to `path`, unless it is there.

    A download that was cut goes on where it was, if the server says that the file is still the
    same (a strong ETag, or Last-Modified), or if its checksum is known.

    Args:
        addresses: http(s):// or s3:// (unsigned); the others are mirrors, asked in turn.
        path: where the file goes, whole, or not at all.
        checksum: `md5:` or `sha256:` with the first hex digits at least; None takes those that
            end the file's name, as in `resnet50-0676ba61.pth`.
        check: raises InputError for a file that is not what is wanted, before it gets its name.
        limits: `retries` counts attempts without a megabyte of progress, for each address.

    Returns:
        The path.

    Raises:
        InputError: no address gives the file, whole and with its checksum, within the limits, or
            the file that is there has another one; one sentence that names the addresses.
    """
    path = Path(path)
    checksum = checksum or checksum_in_name(path.name)
    if path.is_file():
        verify(path, checksum)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    places = [addresses] if isinstance(addresses, str) else list(addresses)
    if not places:
        raise InputError(f"{path}: there is no such file, and no address to fetch it from.")
    download = _Download(path, checksum, check, limits)
    while not path.is_file():
        with download.part.open("ab") as download.file, transferring(path.name) as download.bar:
            if _wait_for_others(download.file, path, download.part):
                asyncio.run(download.run([web_address(place) for place in places]))
    return path


def verify(path: str | Path, checksum: str | None) -> None:
    """Check a file against its checksum, where there is one.

    Raises:
        InputError: it has another one.
    """
    reason = _mismatch(Path(path), checksum)
    if reason:
        raise InputError(f"{path}: {reason}; remove the file to fetch it again.")


def checksum_in_name(name: str) -> str | None:
    """Return the first digits of the SHA-256 that end a file's name, in the form of `fetch`."""
    found = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    return f"sha256:{found.group(1)}" if found else None


def check_checksum(checksum: str) -> tuple[str, str]:
    """Return the algorithm and the hex digits of a checksum in the form of `fetch`.

    Raises:
        InputError: it is not of that form.
    """
    algorithm, _, digits = checksum.lower().partition(":")
    longest = {"md5": 32, "sha256": 64}.get(algorithm, 0)
    if not re.fullmatch(rf"[0-9a-f]{{8,{longest or 8}}}", digits) or not longest:
        raise InputError(
            f"The checksum {checksum!r} is not md5: or sha256: with 8 hexadecimal digits or more."
        )
    return algorithm, digits


def _mismatch(path: Path, checksum: str | None) -> str:
    if checksum is None:
        return ""
    algorithm, digits = check_checksum(checksum)
    with path.open("rb") as file:
        found = hashlib.file_digest(
            file, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
    if found.startswith(digits):
        return ""
    name = {"md5": "MD5", "sha256": "SHA-256"}[algorithm]
    return f"its {name} is {found}, which does not begin with {digits}"


def _wait_for_others(file: BinaryIO, path: Path, part: Path) -> bool:
    """Let one process at a time write to `part`; return whether it is this one's turn now.

    The lock goes with its process, however that ends. While this one waited, another may have
    given the file its name, or taken `part` away.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.info("%s: another process fetches it; waiting.", path)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError:
        logger.info("%s: its file system has no locks.", path)
    if path.is_file():
        part.unlink(missing_ok=True)
        return False
    return part.exists() and os.path.samestat(part.stat(), os.fstat(file.fileno()))


@dataclass
class _Download:
    """One file on its way: what of it is in `part`, and what the server said of it.

    Attributes:
        notes: `address`, `validator`, `checksum` and `total` of the file that `part` begins.
        furthest: the most bytes that were on the disk; going beyond is progress.
        ranges: whether a part may be asked for, or the server has shown that it gives others.
    """

    path: Path
    checksum: str | None
    check: Callable[[Path], None] | None
    limits: Limits
    file: BinaryIO = field(init=False)
    bar: Transfer = field(init=False)
    notes: dict[str, Any] = field(default_factory=dict)
    furthest: int = 0
    ranges: bool = True

    @property
    def part(self) -> Path:
        return self.path.with_name(f".{self.path.name}.part")

    @property
    def notes_path(self) -> Path:
        return self.part.with_name(f"{self.part.name}.json")

    @property
    def size(self) -> int:
        self.file.flush()
        return os.fstat(self.file.fileno()).st_size

    async def run(self, addresses: Sequence[str]) -> None:
        """Get the file from one of the addresses, and give it its name."""
        self._read_notes()
        client = Client(self.limits)
        reasons = []
        try:
            async with asyncio.timeout(self.limits.max_seconds):
                for address in addresses:
                    try:
                        await self._from(client, address)
                    except Unusable as error:
                        reasons.append(f"{address}: {error}")
                        logger.warning("%s", reasons[-1])
                    else:
                        self._publish()
                        return
        except TimeoutError:
            reasons.append(f"not done after {self.limits.max_seconds:g} s")
        finally:
            await client.close()
            if not self.size and not self.path.exists():
                self._forget()
                self.part.unlink(missing_ok=True)
        raise InputError(f"{self.path}: could not be fetched ({'; '.join(reasons)}).")

    async def _from(self, client: Client, address: str) -> None:
        """Get and check the file; one that was resumed and is wrong once more, from its start."""
        self.ranges = True
        resumed = self._start(address) > 0
        await client.with_retries(self._advance, client, address)
        wrong = _mismatch(self.part, self.checksum)
        if not wrong and self.check is not None:
            try:
                self.check(self.part)
            except InputError as error:
                wrong = str(error).removeprefix(f"{self.part}: ").rstrip(".")
        if not wrong:
            return
        self._restart()
        if not resumed:
            raise Unusable(wrong)
        logger.warning("%s: %s; it is fetched once more, from its beginning.", address, wrong)
        await self._from(client, address)

    async def _advance(self, client: Client, address: str) -> None:
        """Go on as long as each attempt brings a megabyte; the others are counted."""
        while True:
            before = self.furthest
            try:
                await self._attempt(client, address)
                return
            except Transient as error:
                self.furthest = max(self.furthest, self.size)
                if self.furthest - before < MEGABYTE or error.wait:
                    raise
                logger.info("%s: %s; going on.", address, error)

    async def _attempt(self, client: Client, address: str) -> None:
        start = self._start(address)
        if start and start == self.notes["total"]:
            return
        if not start:
            self._restart()
        headers = {"Range": f"bytes={start}-"} if start else {}
        if start and self.notes["address"] == address and self.notes["validator"]:
            headers["If-Range"] = self.notes["validator"]
        async with client.answer(address, headers) as response:
            if response.status_code == 416 and start:
                raise self._refused("what is on the disk is no part of the file")
            if response.status_code == 206:
                self._check_part(response, start)
            elif response.status_code == 200:
                self._restart()
                self._begin(response, address)
            else:
                code = response.status_code
                raise Unusable(f"HTTP {code}", gone=code in GONE)
            await self._write(client, response)
        if self.notes["total"] is None:
            self.notes["total"] = self.size
        if self.size != self.notes["total"]:
            raise Transient(f"{self.size} of {self.notes['total']} bytes came")

    async def _write(self, client: Client, response: "httpx.Response") -> None:
        total = self.notes["total"]
        if total is not None:
            _check_space(self.path, total - self.size)
        room = self.limits.max_bytes - self.size
        self.bar.begin(self.size, total)
        async with aclosing(client.chunks(response, room)) as chunks:
            async for chunk in chunks:
                self.file.write(chunk)
                self.bar.advance(len(chunk))

    def _begin(self, response: "httpx.Response", address: str) -> None:
        """Note what file it is that comes from its first byte."""
        total = declared_length(response)
        chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        if total is None and not chunked and self.checksum is None:
            raise Unusable("it comes without a length, so that a cut would not be seen")
        self.notes = {
            "address": address,
            "validator": _validator(response),
            "checksum": self.checksum,
            "total": total,
        }
        self.notes_path.write_text(json.dumps(self.notes), encoding="utf-8")

    def _check_part(self, response: "httpx.Response", start: int) -> None:
        """Make sure that a 206 goes on where the part on the disk ends, with the same file."""
        if not start:
            raise self._refused("a part came, which was not asked for")
        span = response.headers.get("Content-Range", "")
        found = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", span, re.ASCII)
        if found is None:
            raise self._refused("a part came without saying which")
        first, last, total = map(int, found.groups())
        if first != start or not first <= last < total:
            raise self._refused(f"another part came than the one from byte {start}")
        if declared_length(response) not in (None, last - first + 1):
            raise self._refused("a part came whose length is not that of its range")
        if self.notes["total"] not in (None, total):
            raise self._refused("the file has another length than before")
        if self.checksum is None and _validator(response) != self.notes["validator"]:
            raise self._refused("the file has changed")
        self.notes["total"] = total

    def _refused(self, reason: str) -> Transient:
        """Begin anew, and ask this address for no part any more."""
        self._restart()
        self.ranges = False
        return Transient(reason)

    def _start(self, address: str) -> int:
        """Return how many bytes of the part on the disk can be kept."""
        if not self.ranges or not self.notes:
            return 0
        known = self.checksum is not None and self.notes["checksum"] == self.checksum
        same = self.notes["validator"] is not None and self.notes["address"] == address
        if not known and not same:
            return 0
        total = self.notes["total"]
        return 0 if total is not None and self.size > total else self.size

    def _restart(self) -> None:
        self.file.truncate(0)
        self._forget()

    def _forget(self) -> None:
        self.notes = {}
        self.notes_path.unlink(missing_ok=True)

    def _read_notes(self) -> None:
        with suppress(OSError, ValueError, RecursionError, KeyError, TypeError):
            notes = json.loads(self.notes_path.read_text(encoding="utf-8"))
            kinds = {
                "address": str,
                "validator": str | None,
                "checksum": str | None,
                "total": int | None,
            }
            if all(isinstance(notes[key], kind) for key, kind in kinds.items()):
                self.notes = notes
        self.furthest = self.size

    def _publish(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        os.replace(self.part, self.path)
        self._forget()


def _validator(response: "httpx.Response") -> str | None:
    """What tells this file from another one under its address: a strong ETag, or its date."""
    tag = response.headers.get("ETag", "")
    if tag.startswith('"'):
        return tag[:1000]
    return response.headers.get("Last-Modified", "")[:1000] or None


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise InputError(
            f"{path}: {needed / 1e9:.1f} GB are still to come, but only {free / 1e9:.1f} GB are "
            f"free in {path.parent}."
        )


def file_name(address: str) -> str:
    """Return the name of the file at an address.

    Raises:
        InputError: it names none.
    """
    name = Path(urlsplit(address).path).name
    if not name or name in (".", ".."):
        raise InputError(f"{address}: the address names no file.")
    return name


def bounded(max_bytes: int | None = None, **settings: Any) -> Limits:
    """Return the limits of files, with other values for some of them."""
    size: dict[str, Any] = {"max_bytes": max_bytes} if max_bytes else {}
    return replace(FILES, **settings, **size)
