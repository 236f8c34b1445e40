"""Mean-field inference of the dense CRF (Krähenbühl and Koltun, 2011), in torch."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wood.crf.lattice import Lattice, gather

# A label of a larger energy has no probability that would show within 1e-3.
HIGHEST_ENERGY = 60.0


def infer_each(
    image: np.ndarray, energies: Sequence[np.ndarray], parameters: Mapping[str, Any]
) -> list[np.ndarray]:
    """Return the (L, H, W) float32 probabilities of each of several (L, H, W) energies.

    They share the lattices and every pass over them. The result is pydensecrf's within 1e-3.
    """
    labels, height, width = energies[0].shape
    gaussian, bilateral = parameters["gaussian"], parameters["bilateral"]
    colours = torch.from_numpy(np.array(image, np.float32)).view(-1, 3) / bilateral["srgb"]
    places = torch.cat([_places(height, width, bilateral["sxy"]), colours], dim=1)
    lattices = [Lattice(places), _plain(height, width, gaussian["sxy"])]
    strengths = [bilateral["compat"], gaussian["compat"]]
    starts = [0, lattices[0].points]
    corners = torch.cat([x.corners + n for x, n in zip(lattices, starts, strict=True)], dim=1)
    weights = [
        lattice.weights * lattice.norm * (lattice.scale * strength)
        for lattice, strength in zip(lattices, strengths, strict=True)
    ]
    weights = torch.cat(weights, dim=1)

    stacked = np.concatenate(energies).reshape(len(energies) * labels, -1).T
    energy = torch.from_numpy(stacked.astype(np.float32)).contiguous().clamp_(max=HIGHEST_ENERGY)
    same = torch.block_diag(*[torch.ones(labels, labels)] * len(energies))
    probabilities = _normalized(-energy, same)
    for _ in range(parameters["iterations"]):
        spread = torch.cat([lattice.spread(probabilities) for lattice in lattices])
        probabilities = _normalized(gather(spread, corners, weights).sub_(energy), same)
    split = probabilities.T.reshape(len(energies), labels, height, width)
    return list(np.ascontiguousarray(split.numpy()))


def _normalized(scores: Tensor, same: Tensor) -> Tensor:
    """Softmax over each image's labels; `same` (C, C) is 1 between labels of one image."""
    exponentials = scores.exp_()
    return exponentials.div_(exponentials @ same)


def _places(height: int, width: int, deviation: float) -> Tensor:
    """(H * W, 2): x and y of each pixel, in units of `deviation`."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y], dim=-1).view(-1, 2) / deviation


@lru_cache(maxsize=4)
def _plain(height: int, width: int, deviation: float) -> Lattice:
    """The lattice of the places alone, the same for all images of one size."""
    return Lattice(_places(height, width, deviation))
