"""What must hold while an input is read: nothing but the folder is touched, and all is bounded."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wood.runtime.errors import InputError
from wood.runtime.sentences import LONGEST, harmful

MOST_SECONDS = 5  # of the processor
MOST_WALL_SECONDS = 600  # the machine may have other work
MOST_MEGABYTES = 400  # that one input adds to the most that the process ever had
MOST_DATA = 8 << 30  # bytes of the process

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate",
           "os.chmod", "shutil.rmtree", "os.chown", "shutil.move"}  # fmt: skip
COMMANDS = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.spawn"}


class Guard:
    """Notes what leaves the folder; Python's audit hooks cannot be removed, so it is one."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in COMMANDS:
            self.seen.append(f"a command: {event} {str(arguments)[:200]}")
        elif event == "socket.connect" and "127.0.0.1" not in str(arguments[1]):
            self.seen.append(f"a connection: {arguments[1]}")
        elif (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
        ) or event in CHANGES:
            self._place(event, arguments[0])

    def _place(self, event: str, path: Any) -> None:
        if not isinstance(path, str | bytes | os.PathLike) or self.folder is None:
            return
        place = os.path.abspath(os.fsdecode(path))
        inside = place == str(self.folder) or place.startswith(f"{self.folder}{os.sep}")
        if not inside and not place.startswith(("/dev/", "/proc/")) and ".pyc" not in place:
            self.seen.append(f"{event} outside the folder: {place}")


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds:g} s")

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def most_memory() -> float:
    """Return the most megabytes that the process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def outcome(guard: Guard, read: Callable[[Path], object], path: Path, folder: Path) -> str:
    """Return "read", "refused", or what is wrong with how an input ended."""
    memory, started = most_memory(), time.process_time()
    guard.seen, guard.folder = [], folder
    try:
        with alarm(MOST_WALL_SECONDS):
            read(path)
        end = "read"
    except InputError as error:
        sentence = str(error)
        end = "refused"
        if len(sentence) > LONGEST + 200 or any(map(harmful, sentence)) or len(sentence) < 10:
            end = f"an unclear sentence: {sentence!r}"
        elif _names_class(error):
            end = f"a class of a library in the sentence: {sentence!r}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        end = f"{type(error).__name__}: {error}"
    finally:
        guard.folder = None
    if guard.seen:
        return guard.seen[0]
    if (seconds := time.process_time() - started) > MOST_SECONDS:
        return f"{seconds:.1f} s"
    if (more := most_memory() - memory) > MOST_MEGABYTES:
        return f"{more:.0f} MB more"
    return end


def _names_class(error: BaseException) -> bool:
    """Whether the sentence names the class of the error that it stands for."""
    context = error.__context__
    return context is not None and type(context).__name__ in str(error)
