"""The App of a review or of browsing: its server, its port, and how it ends."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import wood
from wood.review.database import database_answers, database_port
from wood.runtime.errors import InputError

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


class AppServer:
    """The App's server, a process that ends with this one.

    It loads what it needs at once, beside this process, and serves when `serve` says that the
    database is there.
    """

    def __init__(self, address: str, port: int):
        import psutil

        self.address, self.port = local(address), port
        # The server imports wood for the plugin.
        path = [str(Path(wood.__file__).parents[1]), os.environ.get("PYTHONPATH")]
        self.process = psutil.Popen(
            [
                *[sys.executable, "-m", "wood.review.server"],
                *["--port", str(port), "--address", address],
            ],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
            process_group=0,  # the terminal's Ctrl-C is this process's alone
        )

    def serve(self) -> None:
        """Serve the connected database; returns when the server listens.

        Raises:
            InputError: it ended, or does not listen in time.
        """
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{database_port()}\n".encode())
            self.process.stdin.flush()
        for _ in range(10 * SECONDS_TO_START):
            if _listens(self.address, self.port):
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise InputError(f"The App did not start at {self.address}, port {self.port}.")

    def stop(self) -> None:
        """Stop it: politely first, for without a database it would wait for minutes."""
        import psutil

        family = [self.process, *self.process.children(recursive=True)]
        self.process.stdin.close()
        for survivor in psutil.wait_procs(family, timeout=SECONDS_TO_STOP)[1]:
            survivor.kill()


@contextlib.contextmanager
def app_server(address: str, port: int) -> Iterator[AppServer]:
    """Start the App's server, and stop it in the end.

    What `use_database` sets must be set: the server reads it when it starts.
    """
    server = AppServer(address, port)
    try:
        yield server
    finally:
        server.stop()


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


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except TimeoutError:
        return True  # busy, not gone
    except OSError:
        return False
    return True
