"""The App of a review or of browsing: its server, its port, and how it ends."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import wood
from wood.review.database import database_answers
from wood.runtime.errors import InputError

if TYPE_CHECKING:
    import psutil

DEFAULT_PORT = 5151
PORTS_TRIED = 50
SECONDS_BETWEEN_LOOKS = 2
FAILED_LOOKS = 3
SECONDS_TO_START = 90
SECONDS_TO_STOP = 5


def free_port(address: str, port: int | None) -> int:
    """Return a port that nobody listens on: FiftyOne would silently attach to another's App."""
    candidates = [port] if port is not None else range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TRIED)
    for candidate in candidates:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, candidate))
            except (OSError, OverflowError) as error:
                reason = error
            else:
                return candidate
    raise InputError(f"The App cannot listen at {address}, port {candidates[-1]} ({reason}).")


def page_address(dataset: str, address: str, port: int, view: str = "") -> str:
    """Return where the App shows a dataset, or a saved view of it."""
    host = f"[{local(address)}]" if ":" in local(address) else local(address)
    query = f"?view={quote(view.replace(' ', '-'))}" if view else ""
    return f"http://{host}:{port}/datasets/{quote(dataset)}{query}"


def local(address: str) -> str:
    """Return where this machine reaches what listens at `address`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)


@contextlib.contextmanager
def foreground() -> Iterator[None]:
    """Take the terminal's Ctrl-C for this command alone.

    It ends the review and means to end no more: Snakemake, which started it, would take it for a
    failure.
    """
    terminal = None
    with contextlib.suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDWR)
    if terminal is None:  # and so no Ctrl-C
        yield
        return
    before = os.tcgetpgrp(terminal)
    taken = before == os.getpgrp() != os.getpid()
    held = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    if taken:
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpid())
    try:
        yield
    finally:
        if taken:
            os.tcsetpgrp(terminal, before)
        signal.signal(signal.SIGTTOU, held)
        os.close(terminal)


@contextlib.contextmanager
def app_server(address: str, port: int) -> Iterator["psutil.Popen"]:
    """Start the App's server, which goes on starting meanwhile, and stop it in the end."""
    from fiftyone.core.service import ServerService, Service

    class OwnServer(ServerService):
        working_dir = "."

        @property
        def command(self) -> list[str]:
            options = ["--port", str(port), "--address", address]
            return [sys.executable, "-m", "wood.review.server", *options]

        def start(self) -> None:
            Service.start(self)  # never attach to what listens there already

    # The server is a process of its own and imports wood for the plugin.
    root = str(Path(wood.__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    service = OwnServer(port, address=address, do_not_track=True)
    try:
        yield service.child
    finally:
        _stop(service.child)


def wait_until_served(server: "psutil.Popen", address: str, port: int) -> None:
    """Return when the server listens.

    Raises:
        InputError: it ended, or does not listen in time.
    """
    for _ in range(10 * SECONDS_TO_START):
        if _listens(local(address), port):
            return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    raise InputError(f"The App did not start at {address}, port {port}.")


def wait_until_interrupted(address: str, port: int, otherwise: str) -> None:
    """Return on Ctrl-C, SIGTERM or a closed terminal.

    Raises:
        InputError: the App's server or the database stopped; the sentence ends with `otherwise`.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    failed = {"App": 0, "database": 0}
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            alive = {"App": _listens(local(address), port), "database": database_answers()}
            for part in failed:
                failed[part] = 0 if alive[part] else failed[part] + 1
                if failed[part] == FAILED_LOOKS:
                    raise InputError(f"The {part} stopped; {otherwise}")


def has_display() -> bool:
    """Whether a browser can be opened here."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _stop(process: "psutil.Popen") -> None:
    """Stop the App's server: politely first, for without a database it would wait for minutes."""
    import psutil

    family = [process, *process.children(recursive=True)]
    process.stdin.close()
    for survivor in psutil.wait_procs(family, timeout=SECONDS_TO_STOP)[1]:
        survivor.kill()


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except TimeoutError:
        return True  # busy, not gone
    except OSError:
        return False
    return True
