"""Locks that a killed run of Snakemake left, recognised: running again needs no manual step."""

import json
import os
import socket
from pathlib import Path

LOCKS = Path(".snakemake/locks")
OWNER = Path(".snakemake/wood-owner.json")


def record_owner() -> None:
    """Write down, when a run begins, which process of which machine holds the working directory."""
    OWNER.parent.mkdir(exist_ok=True)
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "started": _started(os.getpid())}
    OWNER.write_text(json.dumps(owner))


def remove_stale_locks() -> bool:
    """Remove the locks if the run that took them is known, was on this machine, and has ended.

    Returns:
        Whether locks were removed. A lock of a living run, of another machine, or of an unknown
        owner stays, and Snakemake refuses to run beside it.
    """
    locks = list(LOCKS.glob("*")) if LOCKS.is_dir() else []
    if not locks or not OWNER.exists():
        return False
    owner = json.loads(OWNER.read_text())
    if owner["host"] != socket.gethostname() or _started(owner["pid"]) == owner["started"]:
        return False
    for lock in locks:
        lock.unlink(missing_ok=True)
    return True


def _started(pid: int) -> str | None:
    """The start time of a living process, in clock ticks since boot, with the boot; else None."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return f"{boot}-{fields[19]}" if fields[0] != "Z" else None
