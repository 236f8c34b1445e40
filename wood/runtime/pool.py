"""Worker processes for work on one image at a time, which outlive an image that crashes them.

The workers are plain subprocesses, neither forked (threads of torch do not survive that) nor
spawned by multiprocessing (which would run the main script, a Snakemake job, once more in each).
Each computes on one thread, so that as many workers as cores keep every core busy.
"""

import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from wood.runtime.errors import InputError

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

# Results are given back in order; so many items per worker may be done before an earlier one is.
WINDOW = 8


@dataclass(frozen=True)
class Outcome(Generic[Item]):
    """What became of one item: its `value`, or the sentence that says why there is none."""

    item: Item
    value: Any = None
    error: str | None = None


def parallel_map(
    function: Callable[[Item], Any],
    items: Iterable[Item],
    *,
    workers: int,
    name: Callable[[Item], str] = str,
) -> Iterator[Outcome[Item]]:
    """Apply `function` to every item in worker processes, and yield the outcomes in order.

    An exception, and the death of a worker (a crash, or the system short of memory), are the
    outcome of the item that was worked on; the other items go on, in a new worker if need be.

    Args:
        function: a function of a module, or a `functools.partial` of one. Items and values travel
            between processes, so large results are better written to a file by `function`.
        items: taken as they are needed.
        workers: number of processes, at least 1.
        name: what errors call an item.

    Raises:
        RuntimeError: the workers cannot start, or cannot import the function.
    """
    sources = enumerate(items)
    waiting = True
    done: dict[int, Outcome[Item]] = {}
    following = 0
    idle = [_Worker(function) for _ in range(max(1, workers))]
    busy: dict[Connection, _Task] = {}
    try:
        while waiting or busy or done:
            while idle and waiting and len(busy) + len(done) < WINDOW * max(1, workers):
                source = next(sources, None)
                if source is None:
                    waiting = False
                    break
                task = _Task(idle.pop(), *source)
                task.worker.send(task.item)
                busy[task.worker.replies] = task
            if following in done:
                yield done.pop(following)
                following += 1
                continue
            ready: list[Any] = wait(list(busy)) if busy else []
            for connection in ready:
                task = busy.pop(connection)
                try:
                    value, error = task.worker.receive()
                except EOFError:
                    error = f"the worker process died ({task.worker.cause_of_death()})"
                    value = None
                    task.worker = _Worker(function)
                if error is not None and not isinstance(error, InputError):
                    error = f"{name(task.item)}: {error}"
                done[task.number] = Outcome(task.item, value, None if error is None else str(error))
                idle.append(task.worker)
    finally:
        for worker in [*idle, *(task.worker for task in busy.values())]:
            worker.stop()


def successes(
    outcomes: Iterable[Outcome[Item]], total: int, max_failed_fraction: float
) -> Iterator[Outcome[Item]]:
    """Yield the outcomes that have a value; log the others.

    Raises:
        InputError: more than `max_failed_fraction` of the `total` items failed.
    """
    failed = 0
    for outcome in outcomes:
        if outcome.error is None:
            yield outcome
            continue
        failed += 1
        logger.warning("Skipped: %s", outcome.error)
        if failed > max_failed_fraction * total:
            raise InputError(
                f"{failed} of {total} images failed, more than the allowed share "
                f"(max_failed_fraction); the last one: {outcome.error}"
            )


@dataclass
class _Task:
    worker: "_Worker"
    number: int
    item: Any


class _Worker:
    """One process, which answers every item it is sent with (value, error)."""

    def __init__(self, function: Callable):
        self.command = pickle.dumps(function)
        module = (function.func if isinstance(function, partial) else function).__module__
        if module == "__main__":
            raise RuntimeError(f"{function} is not in a module that a worker process can import")
        self._start()

    def _start(self) -> None:
        requests, write_requests = os.pipe()
        read_replies, replies = os.pipe()
        environment = os.environ | dict.fromkeys(THREAD_VARIABLES, "1")
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wood.runtime.pool", str(requests), str(replies)],
            pass_fds=(requests, replies),
            stdin=subprocess.DEVNULL,
            env=environment,
        )
        os.close(requests)
        os.close(replies)
        self.requests = Connection(write_requests, readable=False)
        self.replies = Connection(read_replies, writable=False)
        self.requests.send_bytes(self.command)
        self.ready = False

    def send(self, item: Any) -> None:
        try:
            _send(self.requests, item)
        except BrokenPipeError:
            # Killed while it had nothing to do: no item is to blame.
            self._check_ready()
            self.stop()
            self._start()
            _send(self.requests, item)

    def receive(self) -> tuple[Any, str | InputError | None]:
        """Return the answer to what was sent.

        Raises:
            EOFError: the process has died.
        """
        self._check_ready()
        return _receive(self.replies)

    def _check_ready(self) -> None:
        if not self.ready:
            try:
                problem = _receive(self.replies)
            except EOFError:
                problem = f"it died ({self.cause_of_death()})"
            if problem:
                raise RuntimeError(f"A worker process cannot start: {problem}")
            self.ready = True

    def cause_of_death(self) -> str:
        code = self.process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        self.requests.close()
        self.replies.close()
        self.process.kill()
        self.process.wait()


def _send(connection: Connection, value: Any) -> None:
    # Connection.send would put tensors into shared memory, which only children of multiprocessing
    # can open.
    connection.send_bytes(pickle.dumps(value))


def _receive(connection: Connection) -> Any:
    return pickle.loads(connection.recv_bytes())


def _serve(requests: Connection, replies: Connection) -> None:
    """Run in the worker: read the function, then answer items until the parent is gone."""
    # Ctrl-C reaches the whole process group; the parent decides what becomes of the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        function = pickle.loads(requests.recv_bytes())
    except Exception as error:
        _send(replies, f"{type(error).__name__}: {error}")
        return
    _send(replies, None)
    while True:
        try:
            item = _receive(requests)
        except EOFError:
            return
        answer: tuple[Any, InputError | str | None]
        try:
            answer = (function(item), None)
        except InputError as error:
            answer = (None, error)
        except Exception as error:
            answer = (None, f"{type(error).__name__}: {error}")
        _send(replies, answer)


if __name__ == "__main__":
    _serve(
        Connection(int(sys.argv[1]), writable=False), Connection(int(sys.argv[2]), readable=False)
    )
