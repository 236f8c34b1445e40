"""The one training loop that every model uses."""

import logging
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from wood.runtime.devices import autocast, find_device
from wood.runtime.errors import InputError
from wood.runtime.processes import average_gradients, part_from_the_others, rank
from wood.runtime.progress import progress
from wood.training.batches import Batch, Examples, make_loader, split, to_device
from wood.training.curve import Curve, Watch
from wood.training.state import State

logger = logging.getLogger(__name__)

LOG_LINES = 200

Loss = Callable[[nn.Module, Batch, float], tuple[Tensor, dict[str, Tensor]]]
AfterEpoch = Callable[[int, Mapping[str, Tensor]], None]


@dataclass(kw_only=True)
class Training:
    """A model, what it is trained on, and how: SGD with polynomial decay.

    Where several processes train together (`wood.runtime.launch`), all but the first end with the
    training.

    Attributes:
        model: trained in place, on the device that is found.
        dataset: what `loss` gets batches of.
        loss: `(model, batch, progress in [0, 1]) -> (scalar, named terms to log)`. A mean over the
            images of what it gets, so that several processes and `accumulate` change nothing; what
            it is a mean over else (pixels, pairs) it has to count over all processes, and then
            `accumulate` changes it.
        groups: parameter groups; `lr_scale` multiplies the learning rate, `weight_decay` replaces
            the one of the settings.
        settings: `epochs` or `iterations`, `batch_size` (over all processes), `lr`, `momentum`,
            `weight_decay`, `power`; optionally `update_lr_every`, `clip_norm` (bound on the norm
            of the whole gradient), `accumulate` (parts a batch is worked through in), `workers`,
            `checkpoint_seconds`, `ema` (decay of an exponential moving average of the weights,
            which then is the result).
        seed: of the order, the augmentation, and all random numbers drawn while training.
        checkpoint: where the state is kept every `checkpoint_seconds`, on SIGTERM, and at the end.
            Training goes on from it where it exists. It stays until `remove_checkpoint`.
        log: JSON lines, one for about every half per cent of the iterations.
        extra: further data sets by name, with their batch sizes; their batches are entries of
            the batch.
        watch: called with each line of the log and the first one; may raise an InputError to stop
            the training.
        after_epoch: called after each epoch of whole batches, with the number of epochs done and
            the weights that would be the result now.
        kept: tensors that the checkpoint keeps beside the weights; `after_epoch` may replace them.
    """

    model: nn.Module
    dataset: Examples
    loss: Loss
    groups: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    seed: int
    checkpoint: str | Path
    log: str | Path
    extra: Mapping[str, tuple[Examples, int]] | None = None
    watch: Watch | None = None
    after_epoch: AfterEpoch | None = None
    kept: dict[str, Tensor] | None = None

    def run(self) -> nn.Module:
        """Train the model and return it in evaluation mode; call `remove_checkpoint` after it.

        Raises:
            InputError: fewer images than a batch holds, or a loss or weights that are not finite:
                at each line of the log, before each checkpoint, and at the end.
        """
        self.device = find_device()
        self.iterations = count_iterations(self.settings, len(self.dataset))
        self.model.to(self.device, memory_format=torch.channels_last)
        self.optimizer = make_optimizer(self.groups, self.settings)
        decay = self.settings.get("ema", 0)
        self.state = State(self.model, self.optimizer, self.checkpoint, decay, self.kept)
        start, drawn = self.state.resume()
        every = max(1, self.iterations // LOG_LINES)
        self.curve = Curve(Path(self.log), every, self.watch, drawn)
        self.saved = time.monotonic()
        self.model.train()
        with _termination() as terminated:
            batches = progress(self._batches(start), self.iterations - start, "training")
            for iteration, batch in enumerate(batches, start):
                stop = self._step(iteration, batch, terminated)
                self._after_step(iteration + 1, stop)
        self.curve.write()
        self.state.finish()
        if not part_from_the_others():
            raise SystemExit(0)  # the first process writes what comes of it
        return self.model.eval()

    def remove_checkpoint(self) -> None:
        """Remove the checkpoint: what comes of the training is written, and on disk.

        Until then a training that is killed, or finds the disk full, begins again at its end.
        """
        Path(self.checkpoint).unlink(missing_ok=True)

    def _batches(self, start: int) -> Iterator[Batch]:
        """The batches from iteration `start` on, with those of `extra` as entries."""
        sources = {"": (self.dataset, self.settings["batch_size"]), **(self.extra or {})}
        loaders = [
            make_loader(
                *(examples, size, self.seed + number, start, self.iterations),
                *(self.settings, self.device),
            )
            for number, (examples, size) in enumerate(sources.values())
        ]
        names = list(sources)[1:]
        for batch, *others in zip(*loaders, strict=True):
            yield batch | dict(zip(names, others, strict=True))

    def _step(self, iteration: int, batch: Batch, terminated: Sequence[bool]) -> bool:
        """Change the weights by one batch; return whether the training is to stop."""
        # Each process has other images, and so other dropout masks.
        place = (self.seed, iteration, rank()) if rank() else (self.seed, iteration)
        torch.manual_seed(hash(place) & 0xFFFFFFFF)
        decay = self._decay(iteration)
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_lr"] * decay
        terms = self._accumulate(batch, iteration / self.iterations)
        stop = average_gradients(self.model, bool(terminated), self.device)
        if self.settings.get("clip_norm"):
            clip_grad_norm_(self.state.parameters(), self.settings["clip_norm"])
        self.optimizer.step()
        self.state.average()
        epoch_of = len(self.dataset) / self.settings["batch_size"]
        done = iteration + 1
        self.curve.add(done, done / epoch_of, self.settings["lr"] * decay, terms)
        return stop

    def _decay(self, iteration: int) -> float:
        """The factor of the learning rate."""
        every = self.settings.get("update_lr_every", 1)
        return (1 - iteration // every * every / self.iterations) ** self.settings["power"]

    def _accumulate(self, batch: Batch, share_done: float) -> dict[str, Tensor]:
        """Add up the gradients of a batch's parts; return the means of the logged terms."""
        parts = self.settings.get("accumulate", 1)
        terms: dict[str, Tensor] = {}
        self.optimizer.zero_grad(set_to_none=True)
        for part in map(self._on_device, split(batch, parts)):
            with autocast(self.device):
                value, logged = self.loss(self.model, part, share_done)
            (value / parts).backward()
            for name, term in {"loss": value, **logged}.items():
                terms[name] = terms.get(name, 0) + term.detach() / parts
        return terms

    def _on_device(self, part: Batch) -> Batch:
        """Move a part of a batch, and let each data set make of it what the loss takes."""
        moved = self.dataset.on_device(to_device(part, self.device))
        others = {
            name: examples.on_device(moved[name])
            for name, (examples, _) in (self.extra or {}).items()
        }
        return moved | others

    def _after_step(self, done: int, stop: bool) -> None:
        """Call `after_epoch`, keep a checkpoint where it is time to, and stop if asked to."""
        whole_batches = len(self.dataset) // self.settings["batch_size"]
        if self.after_epoch and done % whole_batches == 0:
            self.after_epoch(done // whole_batches, self.state.result())
            self.model.train()
        due = time.monotonic() - self.saved >= self.settings.get("checkpoint_seconds", 120)
        if due or stop or done == self.iterations:
            self.state.save(done, self.curve.state())
            self.saved = time.monotonic()
        if stop:
            logger.warning("Stopped at iteration %d; it goes on from there.", done)
            raise SystemExit(143)


def make_optimizer(
    groups: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]
) -> torch.optim.SGD:
    """Return SGD over `Training.groups`; each group keeps its `full_lr`, before the decay."""
    return torch.optim.SGD(
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


@contextmanager
def _termination() -> Iterator[list[bool]]:
    """Yield a list that gets an entry when the process is asked to end (SIGTERM)."""
    received: list[bool] = []
    previous = signal.signal(signal.SIGTERM, lambda *_: received.append(True))
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, previous)
