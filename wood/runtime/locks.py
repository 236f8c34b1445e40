"""Who works where: running again after a kill needs no manual step, and no two runs meet.

Every run holds `HELD` below its working directory from before Snakemake takes its own lock, and a
file in its folder of results. Both carry locks of the operating system, which go with the process,
however it ends. They hold across the containers of a machine, and on shared file systems that have
locks (NFS); on others, the lock of another machine is not seen.
"""

import errno
import fcntl
import json
import os
import socket
from pathlib import Path
from typing import Any

from wood.runtime.errors import InputError
from wood.runtime.parts import NO_LOCKS, reserved_file

LOCKS = Path(".snakemake/locks")
OWNER = Path(".snakemake/wood-owner.json")
HELD = Path(".snakemake/wood-held")
RESULTS_HELD = ".wood-held"

# Open files whose locks say that this run lives; they go with the process.
_held: dict[Path, int] = {}


def record_owner() -> None:
    """Say that this run works in the current directory, until its process ends.

    Called before Snakemake takes its lock, so that no lock is without a known owner.
    """
    place = HELD.absolute()
    if place not in _held:
        HELD.parent.mkdir(exist_ok=True)
        _held[place] = _open(HELD)
        _lock(_held[place], fcntl.LOCK_SH)
    with reserved_file(OWNER) as temporary:
        temporary.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        temporary.replace(OWNER)


def remove_stale_locks() -> bool:
    """Remove Snakemake's locks if the run that took them was on this machine and has ended.

    Returns:
        Whether locks were removed. A lock of a living run, of another machine, or of an unknown
        owner stays, and Snakemake refuses to run beside it.
    """
    locks = list(LOCKS.glob("*")) if LOCKS.is_dir() else []
    if not locks or _owner(OWNER).get("host") != socket.gethostname():
        return False
    handle = _open(HELD)
    try:
        # Every living run holds it, be it in this container or in another.
        if not _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return False
        for lock in locks:
            lock.unlink(missing_ok=True)
        return True
    finally:
        os.close(handle)


def hold_results(folder: str | Path) -> None:
    """Keep a folder of results for the runs of this working directory, until the process ends.

    Two runs of one directory are Snakemake's own matter: it knows which files they share.

    Raises:
        InputError: a living run of another working directory has the folder.
    """
    path = Path(folder).absolute() / RESULTS_HELD
    if path in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _open(path)
    us = {"host": socket.gethostname(), "folder": os.getcwd(), "inode": os.stat(".").st_ino}
    if _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(us | {"pid": os.getpid()}).encode(), 0)
    known = _lock(handle, fcntl.LOCK_SH)
    # Between the two locks another run may have been quicker.
    other = _owner(path)
    if known and {key: other.get(key) for key in us} != us:
        os.close(handle)
        raise InputError(
            f"{folder}: a run in {other.get('folder')} on {other.get('host')} (process "
            f"{other.get('pid')}) works there; start this one when it has ended."
        )
    _held[path] = handle


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def _lock(handle: int, kind: int) -> bool:
    """Take a lock; tell whether it is ours. A file system without locks never gives one."""
    try:
        fcntl.flock(handle, kind)
    except OSError as error:
        if error.errno not in {*NO_LOCKS, errno.EWOULDBLOCK, errno.EACCES}:
            raise
        return False
    return True


def _owner(path: Path) -> dict[str, Any]:
    """Return what a run wrote about itself; nothing where that cannot be read."""
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}
