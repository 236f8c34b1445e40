"""The state of a training, on disk and back: a training goes on from it to the same weights."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wood.runtime.errors import InputError
from wood.runtime.processes import rank
from wood.runtime.store import load_tensors, save_tensors

logger = logging.getLogger(__name__)


class State:
    """The weights, the momentum, the moving average, and what else is kept, on disk and back."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.SGD,
        path: str | Path,
        decay: float,
        kept: dict[str, Tensor] | None,
    ):
        self.model = model
        self.optimizer = optimizer
        self.path = Path(path)
        self.decay = decay
        self.kept = {} if kept is None else kept
        self.mean = {
            name: value.detach().clone()
            for name, value in model.state_dict().items()
            if decay and value.is_floating_point()
        }

    def parameters(self) -> list[nn.Parameter]:
        """Return the parameters that are trained, in the order of the optimizer's groups."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def save(self, iteration: int, curve: Mapping[str, Any]) -> None:
        """Write the state after `iteration` iterations; the first of several processes does.

        Args:
            iteration: how many are done.
            curve: what `Curve.state` returns.

        Raises:
            InputError: a weight is not finite, though the loss still was.
            OSError: it cannot be written; that of before is still there.
        """
        if rank() != 0:
            return
        if not all(bool(torch.isfinite(parameter).all()) for parameter in self.parameters()):
            raise InputError(
                f"The weights are not finite after iteration {iteration}: lower lr, or the weight "
                "of the term that runs away."
            )
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
        """Move the average, where there is one, towards the present weights."""
        if self.mean:
            current = self.model.state_dict()
            for name, mean in self.mean.items():
                mean.lerp_(current[name], 1 - self.decay)

    def result(self) -> dict[str, Tensor]:
        """Return the weights: their moving average where there is one."""
        return {**self.model.state_dict(), **self.mean}

    def finish(self) -> None:
        """Give the model the weights of `result`; the file keeps those that it was trained to."""
        if self.mean:
            self.model.load_state_dict(self.result())
