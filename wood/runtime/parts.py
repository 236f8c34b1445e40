"""Temporary names beside a path: one writer has each, and what a killed writer left is taken over.

A name is taken by a lock that the system gives up when the process ends, however it ends. The first
name is `.<name>.part`; a second writer of the same path takes `.<name>.1.part`, and so on.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST_NAME = 200  # bytes of a name that stay in the temporary one; 255 are allowed
AT_FDCWD = -100
RENAME_EXCHANGE = 2
TRIES = 50
SECONDS_BETWEEN_TRIES = 0.002

# What a file system answers that has no locks (or none on folders).
NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.EBADF, errno.EINVAL}
# What it answers where it cannot exchange two names.
NO_EXCHANGE = {errno.ENOSYS, errno.ENOTSUP, errno.EINVAL}


@contextmanager
def reserved_file(path: Path) -> Iterator[Path]:
    """Yield the name of an empty temporary file beside `path` that is this writer's alone.

    It is removed on an error. Without one, it has been renamed: the name is anybody's again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, handle = _take(path, _open_file)
    try:
        os.ftruncate(handle, 0)
        yield part
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


@contextmanager
def reserved_folder(path: Path) -> Iterator[Path]:
    """Yield the name of an empty temporary folder beside `path` that is this writer's alone.

    It is removed on an error. Without one, it has been put in its place (`replace_folder`).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, handle = _take(path, _open_folder)
    try:
        _empty_folder(part)
        yield part
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    finally:
        os.close(handle)


def remove_old(part: Path) -> None:
    """Remove the folder that `replace_folder` left at a temporary name, unless a writer has it."""
    for _ in range(TRIES):
        try:
            handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(part, handle):
                shutil.rmtree(part, ignore_errors=True)
                return
        except OSError as error:
            if error.errno in NO_LOCKS:
                shutil.rmtree(part, ignore_errors=True)
                return
            # Whoever put it in its place is about to let it go.
            time.sleep(SECONDS_BETWEEN_TRIES)
        finally:
            os.close(handle)


def _take(path: Path, open_part: Callable[[Path], int]) -> tuple[Path, int]:
    """Return the first temporary name that no living writer holds, and the handle that holds it."""
    number = 0
    while True:
        part = _part(path, str(number) if number else "")
        handle = open_part(part)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if error.errno in NO_LOCKS:
                _drop(part)
                part = _part(path, secrets.token_hex(8))
                return part, open_part(part)
            number += 1
            continue
        if _is_still(part, handle):
            return part, handle
        # Whoever held it has put it in its place meanwhile.
        os.close(handle)


def _part(path: Path, number: str) -> Path:
    name = path.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = os.fsencode(name)[:LONGEST_NAME].decode(errors="ignore")
    return path.with_name(f".{name}.{number}.part" if number else f".{name}.part")


def _drop(part: Path) -> None:
    """Remove an empty file or folder."""
    with suppress(OSError):
        if part.is_dir():
            part.rmdir()
        elif part.stat().st_size == 0:
            part.unlink()


def _is_still(part: Path, handle: int) -> bool:
    """Tell whether the name still stands for what was opened by it."""
    try:
        return os.path.samestat(os.lstat(part), os.fstat(handle))
    except FileNotFoundError:
        return False


def _open_file(part: Path) -> int:
    return os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def _open_folder(part: Path) -> int:
    while True:
        part.mkdir(exist_ok=True)
        try:
            return os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # another writer has just put it in its place


def _empty_folder(part: Path) -> None:
    for entry in os.scandir(part):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def replace_folder(new: Path, path: Path) -> None:
    """Put the folder `new` in the place of `path`; what was there is then at `new`, if anywhere."""
    if not os.path.lexists(path):
        try:
            os.rename(new, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Another writer was quicker.
    try:
        _exchange(new, path)
    except OSError as error:
        if error.errno not in NO_EXCHANGE:
            raise
        aside = _part(path, f"old-{secrets.token_hex(4)}")
        os.rename(path, aside)
        os.rename(new, path)
        shutil.rmtree(aside)


def _exchange(first: Path, second: Path) -> None:
    """Exchange what two names stand for, at once; Linux has this."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None or not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    names = os.fsencode(first), os.fsencode(second)
    if rename(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(second))
