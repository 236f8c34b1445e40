"""The golden files, and the weights that the published programs had when they were made."""

import re
from collections.abc import Iterable, Mapping
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from tests.places import ROOT

FOLDER = ROOT / "tests" / "golden"

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def golden(name: str) -> dict[str, np.ndarray]:
    """Read the arrays of `<folder>/<file>`."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def make_weights(
    shapes: Mapping[str, Iterable[int]], seed: int, damped: str = "$^", factor: float = 1.0
) -> dict[str, Tensor]:
    """Make each tensor from its published name by itself, as the README's recipe says.

    Args:
        shapes: published name -> shape; counters of batch norm are left out.
        seed: of the network.
        damped: regular expression; names that it is found in are multiplied by `factor`.
    """
    state = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            continue
        shape = tuple(shape)
        generator = np.random.RandomState((crc32(name.encode("ascii")) + seed) % 2**32)
        if len(shape) == 4:
            values = generator.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith(("weight", "running_var")):
            values = generator.uniform(0.5, 1.5, shape)
        else:
            values = generator.standard_normal(shape) * 0.1
        if re.search(damped, name):
            values = values * factor
        state[name] = torch.from_numpy(values.astype(np.float32))
    return state


def check_weights(state: Mapping[str, Tensor], expected: np.ndarray) -> None:
    """Hold the weights against `weights_checksum` of a golden file."""
    values = [tensor.double() for tensor in state.values()]
    sums = [sum(v.sum().item() for v in values), sum(v.abs().sum().item() for v in values)]
    assert len(values) == expected[0]
    np.testing.assert_allclose(sums, expected[1:], rtol=1e-12)


def normalized(images: np.ndarray, dtype: torch.dtype = torch.float32) -> Tensor:
    """(..., H, W, 3) uint8 -> (..., 3, H, W): (x / 255 - mean) / std."""
    scaled = (images.astype(np.float64) / 255 - MEAN) / STD
    return torch.from_numpy(np.moveaxis(scaled, -1, -3).copy()).float().to(dtype)


def assert_close(
    ours: Tensor | np.ndarray, theirs: np.ndarray, relative: float, scale: float | None = None
) -> None:
    """Compare to a share of the largest value (or of `scale`)."""
    ours = ours.detach().cpu().numpy() if isinstance(ours, Tensor) else np.asarray(ours)
    assert ours.shape == theirs.shape
    largest = np.abs(theirs).max() if scale is None else scale
    assert largest > 0
    assert np.abs(ours - theirs).max() <= relative * largest
