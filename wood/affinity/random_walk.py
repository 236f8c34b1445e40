"""Semantic propagation by a random walk (IRN, Sec. 5.2), without the dense matrix.

IRN builds T = A D^-1 over all pairs of grid cells and squares it `exp_times` times. A is sparse
(pairs within `radius`) and symmetric, D the diagonal matrix of its column sums. A row vector times
T is P = D^-1 A times the column, and P, being similar to D^-1/2 A D^-1/2, has real eigenvalues in
[-1, 1]. So P^n can be expanded in Chebyshev polynomials of P: the coefficients are binomial, and
all but the first 5 sqrt(n) or so are negligible. Time and memory are linear in the cells.
"""

from functools import cache
from math import comb

import torch
from torch import Tensor

from wood.affinity.paths import flatten_grid, grid_affinities, unflatten_grid

# The sum of the coefficients that are neglected, out of 1.
TRUNCATION = 1e-7

# Plain products before the expansion. They smooth single-cell seeds, whose result is much smaller
# than they are, so that the errors of truncation and rounding stay small beside the result.
PLAIN_STEPS = 8


def random_walk(
    seeds: Tensor, boundary: Tensor, radius: int = 5, beta: float = 10.0, exp_times: int = 8
) -> Tensor:
    """Propagate seeds along a random walk that class boundaries stop (IRN, Eq. 9 and 10).

    The affinity of a pair of cells closer than `radius` is (1 - the strongest boundary between
    them) ** `beta`, that of a cell with itself 1; T divides each column by its sum. The result is
    (seeds * (1 - boundary)) T^(2^exp_times), the same as IRN's dense propagation.

    Args:
        seeds: (C, H, W) or (B, C, H, W), not negative.
        boundary: (H, W) or (B, H, W), in [0, 1]. Cells of boundary 1 and seed 0 around an image
            change nothing, so images of several sizes can be padded to share a batch.
        radius: search radius in cells.
        beta: exponent of the affinities; larger is more conservative.
        exp_times: the walk takes 2 ** exp_times steps.

    Returns:
        Scores of the seeds' shape, on their device; float32, or float64 for float64 seeds.

    Raises:
        ValueError: shapes that do not belong together, values that are not finite, or a boundary
            outside [0, 1].
    """
    if boundary.shape != seeds.shape[:-3] + seeds.shape[-2:] or seeds.dim() not in (3, 4):
        raise ValueError(
            f"seeds {tuple(seeds.shape)} and boundary {tuple(boundary.shape)} do not belong "
            "together: (C, H, W) and (H, W), or (B, C, H, W) and (B, H, W), are expected"
        )
    dtype = torch.promote_types(seeds.dtype, torch.float32)
    seeds, boundary = seeds.detach().to(dtype), boundary.detach().to(seeds.device, dtype)
    if seeds.numel() == 0:
        return seeds
    if not seeds.isfinite().all():
        raise ValueError("seeds hold a value that is not finite")
    if not ((boundary >= 0) & (boundary <= 1)).all():
        raise ValueError("boundary holds a value outside [0, 1]")

    walk = _Walk(boundary, radius, beta)
    start = flatten_grid(seeds * (1 - boundary.unsqueeze(-3)), radius, fill=0.0)
    result = walk.power(start, 2**exp_times)
    return unflatten_grid(result, seeds.shape[-1], radius).contiguous()


class _Walk:
    """P of a (..., H, W) boundary, for (..., C, N) vectors in the layout of `flatten_grid`."""

    def __init__(self, boundary: Tensor, radius: int, beta: float):
        self.pairs = [
            (offset, affinity.pow_(beta).unsqueeze(-2))
            for offset, affinity in grid_affinities(boundary, radius)
        ]
        self.degree = torch.ones_like(flatten_grid(boundary, radius, fill=1.0)).unsqueeze(-2)
        for offset, weight in self.pairs:
            self.degree[..., :-offset] += weight
            self.degree[..., offset:] += weight

    def power(self, start: Tensor, steps: int) -> Tensor:
        """Return P^steps start."""
        vector = start.clone()
        step = _Step(vector, self.pairs, self.degree)
        plain = min(steps, PLAIN_STEPS)
        for _ in range(plain):
            vector.add_(step.change())
        coefficients = chebyshev_of_power(steps - plain)
        # T_0 = 1, T_1 = P and T_{k+1} = 2 P T_k - T_{k-1}, each as the change from the one before
        # (after Reinsch): computed as it stands, rounding errors would grow with k squared.
        result = coefficients[0] * vector
        change = torch.zeros_like(vector)
        for degree, coefficient in enumerate(coefficients[1:], start=1):
            change.add_(step.change(), alpha=1 if degree == 1 else 2)
            vector.add_(change)
            if coefficient:
                result.add_(vector, alpha=coefficient)
        return result


class _Step:
    """P vector - vector, again and again, of one vector that changes in place.

    All views are made once: making them took as long as a quarter of the arithmetic.
    """

    def __init__(self, vector: Tensor, pairs: list[tuple[int, Tensor]], degree: Tensor):
        self.degree = degree
        self.result = torch.empty_like(vector)
        gain = torch.empty_like(vector)
        self.views = [
            (
                (vector[..., offset:], vector[..., :-offset]),
                weight,
                gain[..., :-offset],
                (self.result[..., :-offset], self.result[..., offset:]),
            )
            for offset, weight in pairs
        ]

    def change(self) -> Tensor:
        """Return P vector - vector, in memory that the next call overwrites.

        What a cell gains from another is computed from their difference, so that constants stay
        exactly constant and what the cells exchange is not lost in rounding.
        """
        self.result.zero_()
        for (theirs, own), weight, gain, (gains, losses) in self.views:
            torch.sub(theirs, own, out=gain).mul_(weight)
            gains += gain
            losses -= gain
        return self.result.div_(self.degree)


@cache
def chebyshev_of_power(power: int, truncation: float = TRUNCATION) -> tuple[float, ...]:
    """Return the Chebyshev coefficients of x^power up to where the rest sums to `truncation`.

    x^n = 2^(1-n) sum_k comb(n, (n-k)/2) T_k(x) over the k of n's parity, with half the term k = 0:
    a random walk's distribution after n steps. All terms are positive and sum to 1.
    """
    coefficients = [0.0] * (power + 1)
    left = 1.0
    for degree in range(power % 2, power + 1, 2):
        ways = comb(power, (power - degree) // 2) * (1 if degree == 0 else 2)
        # Division of Python's integers is rounded once, however long they are.
        coefficients[degree] = ways / 2**power
        left -= coefficients[degree]
        if left <= truncation:
            return tuple(coefficients[: degree + 1])
    return tuple(coefficients)
