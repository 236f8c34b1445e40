"""The training curve: a log of JSON lines."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from wood.runtime.errors import InputError
from wood.runtime.processes import rank
from wood.runtime.store import write_text

# Called with each line of the log and the first one.
Watch = Callable[[Mapping[str, float], Mapping[str, float]], None]


class Curve:
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
        self.at: tuple[int, float] = (0, 0.0)  # the last iteration and its learning rate

    def state(self) -> dict[str, Any]:
        """Return what `drawn` takes: the lines, and the sums since the last one.

        Raises:
            InputError: a term is not finite since the last line.
        """
        self._means()
        sums = {name: float(value) for name, value in self.sums.items()}
        return {"lines": self.lines, "sums": sums, "count": self.count}

    def add(self, iteration: int, epoch: float, lr: float, terms: Mapping[str, Tensor]) -> None:
        """Count the terms, scalars, of an iteration (from 1 on); each `every` of them are a line.

        Raises:
            InputError: a term is not finite since the last line, or that of `watch`.
        """
        self.at = (iteration, lr)
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0) + term
        self.count += 1
        if iteration % self.every:
            return
        means = self._means()
        line = {"iteration": iteration, "epoch": round(epoch, 4), "lr": lr, **means}
        if self.watch:
            self.watch(line, (self.lines or [line])[0])
        self.lines.append(line)
        self.sums, self.count = {}, 0

    def _means(self) -> dict[str, float]:
        """Return the means of the terms since the last line; they are finite."""
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        if not all(np.isfinite(list(means.values()))):
            iteration, lr = self.at
            raise InputError(
                f"The loss is not finite at iteration {iteration} (learning rate {lr:.3g}): "
                "lower lr, or the weight of the term that runs away."
            )
        return means

    def write(self) -> None:
        """Write the lines, whole or not at all; the first of several processes does."""
        if rank() == 0:
            write_text(
                self.path, "".join(f"{json.dumps(line, sort_keys=True)}\n" for line in self.lines)
            )
