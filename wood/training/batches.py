"""Batches to train on: the same ones however many workers and processes make them."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from wood.runtime.errors import InputError
from wood.runtime.processes import processes, rank

Batch = dict[str, Any]


class Examples(Protocol):
    """A data set that can be trained on."""

    def __len__(self) -> int: ...

    def example(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Return image number `index`, augmented with the random numbers of `rng`."""
        ...

    def on_device(self, batch: Batch) -> Batch:
        """Return a batch of examples, moved to the device, as the loss takes it."""
        ...


class Augmented(Dataset):
    """Gives every (epoch, index) of a data set its own random numbers."""

    def __init__(self, examples: Examples, seed: int):
        self.examples = examples
        self.seed = seed

    def __getitem__(self, position: tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = position
        return self.examples.example(index, np.random.default_rng([self.seed, epoch, index]))


class Caught(Dataset):
    """A data set whose InputErrors are entries, which travel whole from a process that loads.

    Torch would raise them anew, with the traceback in that process as their sentence.
    """

    def __init__(self, entries: Dataset):
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, place: Any) -> Any:
        try:
            return self.entries[place]
        except InputError as error:
            return error


def load_batches(entries: Dataset, **options: Any) -> Iterator[Any]:
    """Start to load batches of a data set; `options` are those of `DataLoader`.

    Raises:
        InputError: that of the data set, with its own sentence, whichever process loads.
    """
    return _checked(iter(DataLoader(Caught(entries), collate_fn=_collate, **options)))


def _collate(entries: list[Any]) -> Any:
    """A batch of entries, or the first InputError among them."""
    errors = (entry for entry in entries if isinstance(entry, InputError))
    return next(errors, None) or default_collate(entries)


def _checked(batches: Iterator[Any]) -> Iterator[Any]:
    for batch in batches:
        if isinstance(batch, InputError):
            raise batch
        yield batch


class Batches(Sampler):
    """Batches of (epoch, index) for the iterations from `start` on: an endless shuffled stream.

    Of each batch, this process takes every `processes`-th entry, starting at its `rank`.
    """

    def __init__(self, length: int, batch_size: int, seed: int, start: int, stop: int):
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.iterations = range(start, stop)
        self.rank, self.processes = rank(), processes()

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


def make_loader(
    examples: Examples,
    batch_size: int,
    seed: int,
    start: int,
    stop: int,
    settings: Mapping[str, Any],
    device: torch.device,
) -> Iterator[Batch]:
    """Start to load the batches of the iterations from `start` to `stop`.

    Args:
        examples: N images, which `seed`, the epoch and their numbers augment.
        batch_size: over all processes; this one gets its part of each batch.
        settings: `accumulate`, the parts that a batch is worked through in, and `workers`, how
            many processes load; both optional.
        device: where the batches go; for CUDA they lie in pinned memory.

    Raises:
        InputError: the processes and parts do not divide a batch, or, while it loads, an image
            cannot be read.
    """
    if batch_size % (processes() * settings.get("accumulate", 1)):
        raise InputError(
            f"A batch of {batch_size} images cannot be split evenly over {processes()} processes "
            f"and {settings.get('accumulate', 1)} parts (batch_size, accumulate)."
        )
    return load_batches(
        Augmented(examples, seed),
        batch_sampler=Batches(len(examples), batch_size, seed, start, stop),
        num_workers=settings.get("workers", 0),
        pin_memory=device.type == "cuda",
    )


def split(batch: Batch, parts: int) -> list[Batch]:
    """Cut a batch, and the batches in it, into `parts` of equal size."""
    return [_every(batch, part, parts) for part in range(parts)]


def _every(value: Any, first: int, step: int) -> Any:
    if isinstance(value, dict):
        return {name: _every(entry, first, step) for name, entry in value.items()}
    return value[first::step]


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Move a batch to the device; images become channels-last."""
    moved: Batch = {}
    for name, value in batch.items():
        if isinstance(value, dict):
            moved[name] = to_device(value, device)
        elif value.ndim == 4 and value.is_floating_point():
            moved[name] = value.to(device, non_blocking=True, memory_format=torch.channels_last)
        else:
            moved[name] = value.to(device, non_blocking=True)
    return moved
