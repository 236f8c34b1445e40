"""The permutohedral lattice (Adams, Baek and Davis, 2010), as the dense CRF filters with it.

Features become points of a lattice in d dimensions: values are spread to the d + 1 corners of the
simplex around each pixel, blurred along d + 1 directions, and gathered again.
"""

from math import sqrt

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix
from torch import Tensor


class Lattice:
    """The lattice of (N, d) features, each divided by the standard deviation of its kernel.

    Attributes:
        corners: (N, d + 1) int32, the points around each pixel, counted from 1: 0 is outside.
        weights: (N, d + 1) float32, barycentric.
        points: their number, with the one outside.
    """

    def __init__(self, features: Tensor):
        pixels, dimensions = features.shape
        remainders, ranks, self.weights = _simplices(_elevated(features))
        bits = 60 // dimensions
        keys = _keys(remainders, ranks, bits)
        codes, found = pd.factorize(keys.flatten().numpy())
        self.corners = torch.from_numpy(codes.astype(np.int32)).view(pixels, -1) + 1
        self.points = len(found) + 1
        self.neighbours = _neighbours(found, dimensions, bits)
        self._three = torch.arange(0, 3 * self.points, 3, dtype=torch.int32)
        self._blurring = torch.tensor([1, 0.5, 0.5]).repeat(self.points)
        self.scale = 1 / (1 + 2.0**-dimensions)
        matrix = csr_matrix(
            (
                self.weights.numpy().ravel(),
                self.corners.numpy().ravel(),
                np.arange(0, pixels * (dimensions + 1) + 1, dimensions + 1, dtype=np.int32),
            ),
            shape=(pixels, self.points),
        ).tocsc()
        self._pixels = torch.from_numpy(matrix.indices)
        self._starts = torch.from_numpy(matrix.indptr[:-1].copy())
        self._spreading = torch.from_numpy(matrix.data)
        self.norm = torch.ones(pixels, 1)
        # Symmetric: what a kernel of ones gives is divided by on the way in and on the way out.
        ones = gather(self.spread(self.norm), self.corners, self.weights) * self.scale
        self.norm = 1 / (ones + 1e-20).sqrt()
        self._spreading = self._spreading * self.norm[self._pixels, 0]

    def spread(self, values: Tensor) -> Tensor:
        """Bring (N, C) values of the pixels to the points, and blur: (points, C)."""
        spread = _sums(values, self._pixels, self._starts, self._spreading)
        for neighbours in self.neighbours:
            spread = _sums(spread, neighbours, self._three, self._blurring)
        return spread


def gather(values: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
    """Return the (N, C) sums of (points, C) values at the (N, K) `corners`, times `weights`."""
    starts = torch.arange(0, corners.numel(), corners.shape[1], dtype=torch.int32)
    return _sums(values, corners.flatten(), starts, weights.flatten())


def _sums(values: Tensor, places: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of rows of `values`: the fastest gathering that torch has on a CPU."""
    return torch.embedding_bag(values, places, starts, False, 0, False, weights)[0]


def _elevated(features: Tensor) -> Tensor:
    """Features as (d + 1, N) coordinates that sum to 0, in units of the blur."""
    pixels, dimensions = features.shape
    elevated = torch.empty(dimensions + 1, pixels)
    total = torch.zeros(pixels)
    for axis in range(dimensions, 0, -1):
        scale = sqrt(2 / 3) * (dimensions + 1) / sqrt(axis * (axis + 1))
        scaled = features[:, axis - 1] * scale
        elevated[axis] = total - axis * scaled
        total = total + scaled
    elevated[0] = total
    return elevated


def _simplices(elevated: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return each pixel's nearest point of remainder 0 in units of d + 1, the ranks of its
    differences from it, both (d + 1, N), and its (N, d + 1) barycentric weights."""
    size = len(elevated)
    nearest = (elevated / size).round()
    difference = elevated - nearest * size
    ranks = nearest.sum(dim=0).int().expand(size, -1).clone()
    for first in range(size):
        for second in range(first + 1, size):
            less = difference[first] < difference[second]
            ranks[first] += less
            ranks[second] += ~less
    move = (ranks < 0).int() - (ranks >= size).int()
    ranks += move * size
    nearest += move
    by_rank = torch.empty_like(elevated)
    by_rank.scatter_(0, ranks.long(), elevated / size - nearest)
    weights = torch.empty(elevated.shape[1], size)
    weights[:, 0] = 1 + by_rank[-1] - by_rank[0]
    for corner in range(1, size):
        weights[:, corner] = by_rank[size - 1 - corner] - by_rank[size - corner]
    return nearest.long() * size, ranks.long(), weights


def _keys(remainders: Tensor, ranks: Tensor, bits: int) -> Tensor:
    """Return a number for each of the (N, d + 1) corners: d coordinates of `bits` bits each."""
    size, pixels = ranks.shape
    units = torch.tensor([1 << (bits * axis) for axis in range(size - 1)] + [0])
    middle = 1 << (bits - 1)
    corner = ((remainders + middle) * units[:, None]).sum(dim=0)
    back = torch.empty_like(ranks)
    back.scatter_(0, ranks, (units * size)[:, None].expand(size, pixels))
    keys = torch.empty(pixels, size, dtype=torch.int64)
    keys[:, 0] = corner
    for number in range(1, size):
        corner = corner + units.sum() - back[size - number]
        keys[:, number] = corner
    return keys


def _neighbours(keys: np.ndarray, dimensions: int, bits: int) -> list[Tensor]:
    """For each direction: every point, then its two neighbours, 0 where there is none."""
    index = pd.Index(keys)
    every = sum(1 << (bits * axis) for axis in range(dimensions))
    found = []
    for axis in range(dimensions + 1):
        own = (dimensions + 1) << (bits * axis) if axis < dimensions else 0
        after = index.get_indexer(keys + (every - own)) + 1
        triples = np.zeros((len(keys) + 1, 3), np.int32)
        triples[1:, 0] = np.arange(1, len(keys) + 1)
        triples[1:, 1] = after
        triples[after, 2] = triples[1:, 0]  # a point before another is what the other is after
        triples[0] = 0
        found.append(torch.from_numpy(triples.ravel()))
    return found
