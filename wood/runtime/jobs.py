"""What every workflow script runs inside: logging, threads, and errors as one sentence."""

import hashlib
import json
import logging
import os
import re
import shutil
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wood.runtime.environment import check_instruction_set
from wood.runtime.errors import InputError
from wood.runtime.progress import SHOWS_PROGRESS
from wood.runtime.sentences import printable, reason

logger = logging.getLogger(__name__)

KILLED_WORKER = re.compile(r"DataLoader worker \(pid.*\) (is killed by signal|exited unexpectedly)")


@contextmanager
def job(log: str | Path, threads: int = 1, gpus: int | str | None = None) -> Iterator[None]:
    """Run one step of the pipeline, on `threads` threads and `gpus` GPUs (see `claim_gpus`).

    Log lines go to `log`. Bad input and a full disk end the process with one sentence and exit
    code 1; any other error leaves its traceback in `log` and one line on the terminal
    (the traceback too where WOOD_DEBUG is set).
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=log,
        filemode="w",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if "torch" in sys.modules:  # else the step has no use for it
        sys.modules["torch"].set_num_threads(threads)
    try:
        if gpus is not None:
            from wood.runtime.devices import claim_gpus
            from wood.runtime.provenance import device_name

            claim_gpus(gpus)
            logger.info("Device: %s", device_name())
        yield
    except (InputError, OSError, MemoryError) as error:
        fail(str(error) or "the memory does not suffice.", log)
    except Exception as error:
        fail(_what_failed(error), log)
    logging.shutdown()


def _what_failed(error: Exception) -> str:
    """Return the sentence for an error that no code of wood has foreseen.

    Torch tells the death of a process that loads images in the text of a RuntimeError alone.
    """
    if KILLED_WORKER.search(str(error)):
        return (
            f"a process that loads images was killed ({reason(error)}): the memory did not "
            "suffice, or the run was stopped. Fewer training.workers need less memory."
        )
    return f"a fault in wood's own code, not in your input ({reason(error)}); please report it"


@contextmanager
def network_job(snakemake: Any) -> Iterator[None]:
    """Run a step that computes with networks, from what Snakemake hands to its script.

    Its threads are those of its parameters; its GPUs as many as it asked for, or, with
    `gpus: auto`, one where there is one.
    """
    isa = snakemake.params.get("cpu_isa")
    gpus = "auto" if snakemake.config["gpus"] == "auto" else snakemake.resources.gpu
    with job(snakemake.log[0], snakemake.params.get("threads", 1), gpus):
        check_instruction_set(isa)
        from wood.runtime.devices import use_precision

        use_precision(snakemake.params.get("precision", "auto"))
        yield


def fail(sentence: str, log: str | Path) -> None:
    """Say what went wrong, on the terminal and in the log, and leave with exit code 1."""
    logger.error("%s", sentence)
    logger.info("%s", traceback.format_exc())
    if os.environ.get("WOOD_DEBUG"):
        traceback.print_exc()
    # Where the run draws its progress (wood.workflow.live), it says so itself at the end.
    if SHOWS_PROGRESS not in os.environ or not sys.stderr.isatty():
        print(f"Error: {printable(sentence)} (log: {log})", file=sys.stderr)
    logging.shutdown()
    raise SystemExit(1) from None


def checkpoint_path(
    output: str | Path, inputs: Iterable[str | Path], parameters: Mapping[str, Any]
) -> Path:
    """Return where the state of an unfinished training of `output` is kept.

    The name carries a digest of the parameters, but for `knobs`, and of the inputs' sizes and
    times, so that a training never goes on from what other parameters or data had begun; such
    leftovers are removed, with what was kept beside them (`kept_epochs`).
    """
    output = Path(output)
    state = [(str(path), *_size_and_time(Path(path))) for path in inputs]
    kept = {key: value for key, value in parameters.items() if key != "knobs"}
    text = json.dumps([state, kept], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = output.with_name(f".{output.stem}.{digest}.checkpoint")
    for other in output.parent.glob(f".{output.stem}.*.checkpoint"):
        if other != path:
            other.unlink()
    for other in output.parent.glob(f".{output.stem}.*.epochs"):
        if other != kept_epochs(path):
            shutil.rmtree(other)
    return path


def kept_epochs(checkpoint: str | Path) -> Path:
    """Return the folder where a training keeps the weights of its epochs until it ends."""
    return Path(checkpoint).with_suffix(".epochs")


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
