"""One training in several processes: one for each GPU of the job, by the same command.

The processes are plain subprocesses of this module, for the reasons given in `wood.runtime.pool`.
They share every batch (see `wood.training`); the first writes the results. torchrun does not do
what a job needs here: one sentence on bad input from whichever process met it, all of them ending
with the job that started them, each with a checkpoint after SIGTERM, and a meeting through a file
and not through a port that another job of the node may have.
"""

import importlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from wood.runtime.errors import InputError

logger = logging.getLogger(__name__)

SECONDS_TO_LEAVE = 20  # for the others, after one process has ended badly
SECONDS_TO_WAIT = 1200  # of one process for the others: centres are found anew meanwhile

# The processes talk through the loopback interface.
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


def launch(function: Callable[..., None], **arguments: Any) -> None:
    """Call a training function, in one process per visible GPU if there are several."""
    from wood.runtime.devices import visible_gpus

    gpus = visible_gpus()
    if len(gpus) < 2:
        function(**arguments)
        return
    run_processes(function, arguments, [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in gpus])


def run_processes(
    function: Callable[..., None],
    arguments: Mapping[str, Any],
    environments: Sequence[Mapping[str, str]],
) -> None:
    """Call a training function in one process per environment, and wait for all of them.

    Args:
        function: a function of a module.
        arguments: what it is called with; they travel as JSON.
        environments: the variables that each process has beside this one's.

    Raises:
        InputError, RuntimeError: one process ended so; the others are ended too.
        SystemExit: asked to end (SIGTERM), all of them did so.
    """
    import torch

    processes = len(environments)
    with tempfile.TemporaryDirectory(prefix="wood-launch-") as folder:
        request = {
            "function": [function.__module__, function.__name__],
            "arguments": dict(arguments),
            "processes": processes,
            "threads": max(1, torch.get_num_threads() // processes),
            "log": _log_file(),
        }
        (Path(folder) / "request.json").write_text(json.dumps(request, default=str))
        running = [
            subprocess.Popen(
                [sys.executable, "-m", "wood.runtime.launch", folder, str(rank)],
                stdin=subprocess.PIPE,
                env=os.environ
                | {
                    "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
                    "GLOO_SOCKET_IFNAME": LOOPBACK,
                    "NCCL_SOCKET_IFNAME": LOOPBACK,
                }
                | dict(environment),
            )
            for rank, environment in enumerate(environments)
        ]
        previous = signal.signal(signal.SIGTERM, lambda *_: _terminate(running))
        try:
            _wait(running, Path(folder))
        finally:
            signal.signal(signal.SIGTERM, previous)
            for process in running:
                process.kill()
                process.wait()


def _terminate(running: list[subprocess.Popen]) -> None:
    for process in running:
        process.terminate()


def _wait(running: list[subprocess.Popen], folder: Path) -> None:
    """Wait for all processes; one that ends badly gives the others some time to follow."""
    deadline = None
    while any(process.poll() is None for process in running):
        if deadline is None and any(process.poll() for process in running):
            deadline = time.monotonic() + SECONDS_TO_LEAVE
        if deadline and time.monotonic() > deadline:
            break
        time.sleep(0.1)
    for rank in range(len(running)):
        if (said := folder / f"error-{rank}.json").exists():
            error = json.loads(said.read_text())
            raise (InputError if error["input"] else RuntimeError)(error["sentence"])
    codes = [process.poll() for process in running]
    if any(code == 143 for code in codes):
        raise SystemExit(143)
    # A process that was killed comes before those that only lost it.
    for rank, code in sorted(enumerate(codes), key=lambda entry: entry[1] or 0):
        if code:
            cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            raise RuntimeError(f"process {rank + 1} of {len(running)} died ({cause})")


def _log_file() -> str | None:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            return handler.baseFilename
    return None


def _leave_with_parent() -> None:
    """End this process when the one that started it is gone, and with it the other end."""
    # Not through sys.stdin, whose lock this thread would hold when the interpreter ends.
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def _serve(folder: Path, rank: int) -> None:
    """Run in each process: join the others and call the function."""
    import torch
    import torch.distributed as dist

    from wood.runtime.devices import PRECISION, use_precision

    threading.Thread(target=_leave_with_parent, daemon=True).start()
    request = json.loads((folder / "request.json").read_text())
    logging.basicConfig(
        filename=request["log"],
        level=logging.INFO if rank == 0 else logging.ERROR,
        format=f"%(asctime)s %(levelname)s %(name)s [{rank}]: %(message)s",
    )
    torch.set_num_threads(request["threads"])
    use_precision(os.environ.get(PRECISION, "auto"))
    dist.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        init_method=f"file://{folder / 'meeting'}",
        rank=rank,
        world_size=request["processes"],
        timeout=timedelta(seconds=SECONDS_TO_WAIT),
    )
    module, name = request["function"]
    # Until the training has begun and waits for it itself.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    try:
        getattr(importlib.import_module(module), name)(**request["arguments"])
    except Exception as error:
        known = isinstance(error, InputError | OSError | MemoryError)
        sentence = str(error) if known else f"{type(error).__name__}: {error}"
        logger.exception("%s", sentence)
        # What another process's end brings about here is not the cause.
        if not isinstance(error, dist.DistError) and "gloo" not in sentence:
            text = json.dumps({"input": known, "sentence": sentence})
            (folder / f"error-{rank}.json").write_text(text)
        os._exit(1)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
