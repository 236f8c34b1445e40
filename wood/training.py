"""The one training loop that every model uses.

The order of the images, and the random numbers of each image, depend on (seed, epoch, image)
alone. So the number of workers does not change a result, several processes share one batch, and a
run that was stopped goes on from its checkpoint to the same weights.
"""

import json
import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, Dataset, Sampler

from wood.runtime.devices import autocast, find_device
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.store import load_tensors, save_tensors, write_text

logger = logging.getLogger(__name__)

LOG_LINES = 200

Batch = dict[str, Any]
Watch = Callable[[Mapping[str, float], Mapping[str, float]], None]
Loss = Callable[[nn.Module, Batch, float], tuple[Tensor, dict[str, Tensor]]]


class Examples(Protocol):
    """A data set that can be trained on."""

    def __len__(self) -> int: ...

    def example(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return image number `index`, augmented with the random numbers of `rng`."""
        ...


class _Augmented(Dataset):
    """Gives every (epoch, index) of a data set its own random numbers."""

    def __init__(self, examples: Examples, seed: int):
        self.examples = examples
        self.seed = seed

    def __getitem__(self, position: tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = position
        return self.examples.example(index, np.random.default_rng([self.seed, epoch, index]))


class _Batches(Sampler):
    """Batches of (epoch, index) for the iterations from `start` on: an endless shuffled stream.

    Of each batch, this process takes every `processes`-th entry, starting at its `rank`.
    """

    def __init__(self, length: int, batch_size: int, seed: int, start: int, stop: int):
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.iterations = range(start, stop)
        self.rank, self.processes = _rank(), _processes()

    def __len__(self) -> int:
        return len(self.iterations)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order: tuple[int, np.ndarray] = (-1, np.empty(0))
        for iteration in self.iterations:
            batch = []
            first = iteration * self.batch_size
            for position in range(first + self.rank, first + self.batch_size, self.processes):
                epoch, place = divmod(position, self.length)
                if order[0] != epoch:
                    rng = np.random.default_rng([self.seed, epoch])
                    order = (epoch, rng.permutation(self.length))
                batch.append((epoch, int(order[1][place])))
            yield batch


def fit(
    model: nn.Module,
    dataset: Examples,
    loss: Loss,
    *,
    groups: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    seed: int,
    checkpoint: str | Path,
    log: str | Path,
    extra: Mapping[str, tuple[Examples, int]] | None = None,
    watch: Watch | None = None,
    after_epoch: Callable[[int, Mapping[str, Tensor]], None] | None = None,
    kept: dict[str, Tensor] | None = None,
) -> nn.Module:
    """Train `model` by SGD with polynomial decay, and return it in evaluation mode.

    Where several processes train together (`wood.runtime.launch`), all but the first end with the
    training.

    Args:
        model: trained in place, on the device that is found.
        dataset: what `loss` gets batches of.
        loss: `(model, batch, progress in [0, 1]) -> (scalar, named terms to log)`. Means over the
            batch, so that several processes and gradient accumulation change nothing.
        groups: parameter groups; `lr_scale` multiplies the learning rate, `weight_decay` replaces
            the one of the settings.
        settings: `epochs` or `iterations`, `batch_size` (over all processes), `lr`, `momentum`,
            `weight_decay`, `power`; optionally `update_lr_every`, `clip_norm` (bound on the norm
            of the whole gradient), `accumulate` (parts a batch is worked through in), `workers`,
            `checkpoint_seconds`, `ema` (decay of an exponential moving average of the weights,
            which then is the result).
        seed: of the order, the augmentation, and all random numbers drawn while training.
        checkpoint: where the state is kept every `checkpoint_seconds`, and on SIGTERM. Training
            goes on from it where it exists, and removes it at its end.
        log: JSON lines, one for about every half per cent of the iterations.
        extra: further data sets by name, with their batch sizes; their batches are entries of
            the batch.
        watch: called with each line of the log and the first one; may raise an InputError to stop
            the training.
        after_epoch: called after each epoch of whole batches, with the number of epochs done and
            the weights that would be the result now.
        kept: tensors that the checkpoint keeps beside the weights; `after_epoch` may replace them.

    Raises:
        InputError: fewer images than a batch holds, or a loss that is not finite.
    """
    device = find_device()
    iterations = count_iterations(settings, len(dataset))
    model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        [
            {
                "params": [p for p in group["params"] if p.requires_grad],
                "weight_decay": group.get("weight_decay", settings["weight_decay"]),
                "lr": settings["lr"] * group["lr_scale"],
                "full_lr": settings["lr"] * group["lr_scale"],
            }
            for group in groups
        ],
        momentum=settings["momentum"],
    )
    state = _State(model, optimizer, Path(checkpoint), settings.get("ema", 0), kept or {})
    start, drawn = state.resume()
    curve = _Curve(Path(log), max(1, iterations // LOG_LINES), watch, drawn)

    sources = {"": (dataset, settings["batch_size"]), **(extra or {})}
    loaders = {
        name: _loader(examples, size, seed + number, start, iterations, settings, device)
        for number, (name, (examples, size)) in enumerate(sources.items())
    }
    accumulate = settings.get("accumulate", 1)
    update_every = settings.get("update_lr_every", 1)
    epoch_of = len(dataset) / settings["batch_size"]
    whole_batches = len(dataset) // settings["batch_size"]
    saved = time.monotonic()

    model.train()
    with _termination() as terminated:
        steps = zip(range(start, iterations), *loaders.values(), strict=True)
        for iteration, *batches in progress(steps, iterations - start, "training"):
            torch.manual_seed(hash((seed, iteration)) & 0xFFFFFFFF)
            decay = (1 - iteration // update_every * update_every / iterations) ** settings["power"]
            for group in optimizer.param_groups:
                group["lr"] = group["full_lr"] * decay

            batch = batches[0] | dict(zip(list(loaders)[1:], batches[1:], strict=True))
            terms: dict[str, Tensor] = {}
            optimizer.zero_grad(set_to_none=True)
            for part in _split(batch, accumulate):
                with autocast(device):
                    value, logged = loss(model, _to(part, device), iteration / iterations)
                (value / accumulate).backward()
                for name, term in {"loss": value, **logged}.items():
                    terms[name] = terms.get(name, 0) + term.detach() / accumulate
            stop = _average_gradients(model, bool(terminated), device)
            if settings.get("clip_norm"):
                clip_grad_norm_(state.parameters(), settings["clip_norm"])
            optimizer.step()
            state.average()

            done = iteration + 1
            curve.add(done, done / epoch_of, settings["lr"] * decay, terms)
            if after_epoch and done % whole_batches == 0:
                after_epoch(done // whole_batches, state.result())
                model.train()
            due = time.monotonic() - saved >= settings.get("checkpoint_seconds", 120)
            if done < iterations and (due or stop):
                state.save(done, curve.state())
                saved = time.monotonic()
                if stop:
                    logger.warning("Stopped at iteration %d; it goes on from there.", done)
                    raise SystemExit(143)
    curve.write()
    state.finish()
    if _rank() > 0:
        raise SystemExit(0)  # the first process writes what comes of it
    return model.eval()


def count_iterations(settings: Mapping[str, Any], images: int) -> int:
    """Return the number of iterations: `iterations`, or `epochs` of whole batches.

    Raises:
        InputError: there are fewer images than a batch holds.
    """
    if images < settings["batch_size"]:
        raise InputError(
            f"There are {images} images to train on, but a batch holds "
            f"{settings['batch_size']} (batch_size)."
        )
    if settings.get("iterations"):
        return settings["iterations"]
    return settings["epochs"] * (images // settings["batch_size"])


class _State:
    """The weights, the momentum, the moving average, and what else is kept, on disk and back."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.SGD,
        path: Path,
        decay: float,
        kept: dict[str, Tensor],
    ):
        self.model = model
        self.optimizer = optimizer
        self.path = path
        self.decay = decay
        self.kept = kept
        self.mean = {
            name: value.detach().clone()
            for name, value in model.state_dict().items()
            if decay and value.is_floating_point()
        }

    def parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def save(self, iteration: int, curve: Mapping[str, Any]) -> None:
        if _rank() != 0:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"mean.{name}": value for name, value in self.mean.items()}
        tensors |= {f"kept.{name}": value for name, value in self.kept.items()}
        for number, parameter in enumerate(self.parameters()):
            buffer = self.optimizer.state[parameter].get("momentum_buffer")
            if buffer is not None:
                tensors[f"momentum.{number}"] = buffer
        save_tensors(self.path, tensors, {"iteration": iteration, "curve": curve})

    def resume(self) -> tuple[int, dict[str, Any]]:
        """Return the iterations done and the state of the curve."""
        if not self.path.exists():
            return 0, {}
        tensors, metadata = load_tensors(self.path)

        def part(prefix: str) -> dict[str, Tensor]:
            return {
                name.removeprefix(prefix): value
                for name, value in tensors.items()
                if name.startswith(prefix)
            }

        self.model.load_state_dict(part("model."))
        for name, value in part("mean.").items():
            self.mean[name].copy_(value)
        for name, value in part("kept.").items():
            self.kept[name] = value.to(self.kept[name].device)
        parameters = self.parameters()
        for number, value in part("momentum.").items():
            parameter = parameters[int(number)]
            self.optimizer.state[parameter]["momentum_buffer"] = torch.empty_like(parameter).copy_(
                value
            )
        logger.info("Going on from iteration %d (%s).", metadata["iteration"], self.path)
        return metadata["iteration"], metadata["curve"]

    @torch.no_grad()
    def average(self) -> None:
        if self.mean:
            current = self.model.state_dict()
            for name, mean in self.mean.items():
                mean.lerp_(current[name], 1 - self.decay)

    def result(self) -> dict[str, Tensor]:
        """Return the weights: their moving average where there is one."""
        return {**self.model.state_dict(), **self.mean}

    def finish(self) -> None:
        if self.mean:
            self.model.load_state_dict(self.result())
        if _rank() == 0:
            self.path.unlink(missing_ok=True)


class _Curve:
    """The training curve: means of the logged terms, read from the device once a line."""

    def __init__(
        self,
        path: Path,
        every: int,
        watch: Watch | None,
        drawn: Mapping[str, Any],
    ):
        self.path = path
        self.every = every
        self.watch = watch
        self.lines: list[dict[str, float]] = drawn.get("lines", [])
        self.sums: dict[str, Tensor | float] = drawn.get("sums", {})
        self.count: int = drawn.get("count", 0)

    def state(self) -> dict[str, Any]:
        sums = {name: float(value) for name, value in self.sums.items()}
        return {"lines": self.lines, "sums": sums, "count": self.count}

    def add(self, iteration: int, epoch: float, lr: float, terms: Mapping[str, Tensor]) -> None:
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0) + term
        self.count += 1
        if iteration % self.every:
            return
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        if not all(np.isfinite(list(means.values()))):
            raise InputError(
                f"The loss is not finite at iteration {iteration} (learning rate {lr:.3g}): "
                "lower lr, or the weight of the term that runs away."
            )
        line = {"iteration": iteration, "epoch": round(epoch, 4), "lr": lr, **means}
        if self.watch:
            self.watch(line, (self.lines or [line])[0])
        self.lines.append(line)
        self.sums, self.count = {}, 0

    def write(self) -> None:
        if _rank() == 0:
            write_text(
                self.path, "".join(f"{json.dumps(line, sort_keys=True)}\n" for line in self.lines)
            )


@contextmanager
def _termination() -> Iterator[list[bool]]:
    """Yield a list that gets an entry when the process is asked to end (SIGTERM)."""
    received: list[bool] = []
    previous = signal.signal(signal.SIGTERM, lambda *_: received.append(True))
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, previous)


def _loader(
    examples: Examples,
    batch_size: int,
    seed: int,
    start: int,
    stop: int,
    settings: Mapping[str, Any],
    device: torch.device,
) -> DataLoader:
    if batch_size % (_processes() * settings.get("accumulate", 1)):
        raise InputError(
            f"A batch of {batch_size} images cannot be split evenly over {_processes()} processes "
            f"and {settings.get('accumulate', 1)} parts (batch_size, accumulate)."
        )
    return DataLoader(
        _Augmented(examples, seed),
        batch_sampler=_Batches(len(examples), batch_size, seed, start, stop),
        num_workers=settings.get("workers", 0),
        pin_memory=device.type == "cuda",
    )


def _split(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch, and the batches in it, into `parts` of equal size."""
    return [_every(batch, part, parts) for part in range(parts)]


def _every(value: Any, first: int, step: int) -> Any:
    if isinstance(value, dict):
        return {name: _every(entry, first, step) for name, entry in value.items()}
    return value[first::step]


def _to(batch: Batch, device: torch.device) -> Batch:
    """Move a batch to the device; images become channels-last."""
    moved: Batch = {}
    for name, value in batch.items():
        if isinstance(value, dict):
            moved[name] = _to(value, device)
        elif value.ndim == 4 and value.is_floating_point():
            moved[name] = value.to(device, non_blocking=True, memory_format=torch.channels_last)
        else:
            moved[name] = value.to(device, non_blocking=True)
    return moved


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def _average_gradients(model: nn.Module, stop: bool, device: torch.device) -> bool:
    """Make every process's gradients the mean over the processes, in one message.

    Returns:
        Whether any of the processes is to stop; so that all of them do, at the same iteration.
    """
    if _processes() == 1:
        return stop
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flag = torch.tensor([float(stop)], device=device)
    flat = torch.cat([flag, *(gradient.reshape(-1) for gradient in gradients)])
    dist.all_reduce(flat)
    flat /= _processes()
    sizes = [1, *(gradient.numel() for gradient in gradients)]
    flag, *means = flat.split(sizes)
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
    return flag.item() > 0
