"""The device is found, not assumed; several jobs of one machine share its GPUs without meeting."""

import fcntl
import logging
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor

from wood.runtime.errors import InputError
from wood.runtime.sentences import quoted

logger = logging.getLogger(__name__)

PRECISION = "WOOD_PRECISION"  # variable of the environment
SECONDS_BETWEEN_TRIES = 2
SHARED = (Path("/dev/shm"), Path("/tmp"), Path("/var/tmp"))

# Open files whose locks mark the GPUs that this process holds; they go with the process.
_held: dict[str, int] = {}


def find_device() -> torch.device:
    """Return CUDA (this process's own GPU when several run), else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def use_precision(name: str) -> None:
    """Let this process, and those that it starts, run networks in `name`.

    Args:
        name: "float32" (without TF32 on CUDA), "bfloat16", or "auto": bfloat16 on a GPU that
            computes in it, else float32.
    """
    os.environ[PRECISION] = name
    torch.backends.cudnn.allow_tf32 = name != "float32"


def autocast(device: torch.device) -> AbstractContextManager:
    """Return the context that a network runs in, by `use_precision`; "auto" where none is set."""
    name = os.environ.get(PRECISION, "auto")
    in_half = name == "bfloat16"
    if name == "auto" and device.type == "cuda":
        in_half = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16) if in_half else nullcontext()


def full_precision(tensor: Tensor) -> AbstractContextManager:
    """Return a context without autocast on the tensor's device: for heads, pooling and losses.

    bfloat16 has three digits: too few for sums over a map, and for the scores that come of them.
    """
    kind = tensor.device.type
    if tensor.is_meta or not torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, enabled=False)


def at_least_single(tensor: Tensor) -> Tensor:
    """Return a tensor in float32; float64 stays."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def visible_gpus() -> list[str]:
    """Return the names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them.

    Raises:
        InputError: it names a GPU twice.
    """
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [str(number) for number in range(torch.cuda.device_count())]
    names: list[str] = []
    for name in filter(None, map(str.strip, listed.split(","))):
        if name == "-1":
            break  # CUDA shows nothing from there on
        name = str(int(name)) if name.isdecimal() else name
        if name in names:
            raise InputError(f"CUDA_VISIBLE_DEVICES: {quoted(listed)} names GPU {name} twice.")
        names.append(name)
    return names


def claim_gpus(wanted: int | str) -> None:
    """Keep some of the visible GPUs for this process, and hide the others from it.

    The first GPUs are taken that no other job of this project's on this machine holds, once there
    are enough of them; they are given back when the process ends, however it ends. So jobs that
    run side by side never share a GPU.

    Args:
        wanted: how many; 0 hides all of them. "auto" is one where there is one, else none.

    Raises:
        InputError: fewer are visible than are wanted.
    """
    names = visible_gpus()
    count = min(1, len(names)) if wanted == "auto" else int(wanted)
    if count > len(names):
        raise InputError(
            f"gpus is {count}, but CUDA shows this job {len(names)} "
            f"({_why_not()}); with gpus: 0 it runs on the CPU."
        )
    if count:
        _wait_for(names, count)
        logger.info("GPUs of this job: %s", ", ".join(_held))
        if not torch.cuda.is_available():
            sentence = f"CUDA cannot use the GPUs {', '.join(_held)} ({_why_not()})"
            print(f"Warning: {sentence}: this job runs on the CPU.", file=sys.stderr)
            logger.warning("%s: this job runs on the CPU.", sentence)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(_held)


def _why_not() -> str:
    """What may keep CUDA from showing GPUs."""
    if torch.version.cuda is None:
        return "this build of torch has no CUDA"
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = "" if listed is None else f"CUDA_VISIBLE_DEVICES is {listed!r}; "
    return f"{shown}torch needs a driver for CUDA {torch.version.cuda}"


def _wait_for(names: Sequence[str], count: int) -> None:
    """Lock `count` of the GPUs, once so many are free."""
    numbers = _numbers_on_the_node(names)
    waiting = False
    while len(_held) < count:
        for name in names:
            if len(_held) < count and name not in _held:
                handle = _lock(numbers[name])
                if handle is not None:
                    _held[name] = handle
        if len(_held) < count:
            # Two jobs that each held half of what they need would wait for ever.
            for name in list(_held):
                os.close(_held.pop(name))
            if not waiting:
                logger.info("Waiting for %d of the GPUs %s.", count, ", ".join(names))
            waiting = True
            time.sleep(SECONDS_BETWEEN_TRIES)


def _numbers_on_the_node(names: Sequence[str]) -> dict[str, str]:
    """What the GPUs are called on the whole machine.

    Where Slurm hides the GPUs of other jobs, CUDA numbers those of each job from 0.
    """
    given = os.environ.get("SLURM_STEP_GPUS") or os.environ.get("SLURM_JOB_GPUS") or ""
    numbers = [number.strip() for number in given.split(",") if number.strip()]
    return dict(zip(names, numbers if len(numbers) == len(names) else names, strict=True))


def _claims() -> Path:
    """Return a folder that all jobs of a machine see, whatever temporary folder each one has."""
    for folder in SHARED:
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            return folder
    return Path(tempfile.gettempdir())


def _lock(gpu: str) -> int | None:
    """Return an open file whose lock marks the GPU as taken; None if another process has it."""
    path = _claims() / f"wood-{os.getuid()}-gpu-{gpu.replace('/', '-')}.lock"
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle
