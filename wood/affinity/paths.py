"""Pairs of nearby grid cells, the paths between them, and affinities from a class boundary map.

IRN (Ahn, Cho and Kwak, CVPR 2019), Sec. 4.1: the affinity of two cells is one minus the strongest
class boundary on the straight line between them, for all pairs within a search radius. A path is
the set of cells whose centres lie closer than one cell to the line, both ends included.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

Window = tuple[slice, slice]


@dataclass(frozen=True)
class SearchPath:
    """The cells (y, x) between a source at (0, 0) and its target at (`dy`, `dx`)."""

    dy: int
    dx: int
    cells: tuple[tuple[int, int], ...]


@cache
def search_paths(radius: int) -> tuple[SearchPath, ...]:
    """Return the paths to every target nearer than `radius`, each unordered pair once.

    The targets lie below the source, or on its row to the right.
    """
    if radius < 2:
        raise ValueError(f"a radius of {radius} reaches no other cell")
    targets = [(0, dx) for dx in range(1, radius)]
    targets += [
        (dy, dx)
        for dy in range(1, radius)
        for dx in range(1 - radius, radius)
        if dy * dy + dx * dx < radius * radius
    ]
    return tuple(SearchPath(dy, dx, _cells(dy, dx)) for dy, dx in targets)


def _cells(dy: int, dx: int) -> tuple[tuple[int, int], ...]:
    # |dy x - dx y| / |(dy, dx)| is the distance of (y, x) from the line; integers keep "< 1" exact.
    return tuple(
        (y, x)
        for y in range(dy + 1)
        for x in range(min(0, dx), max(0, dx) + 1)
        if (dy * x - dx * y) ** 2 < dy * dy + dx * dx
    )


def shifted(window: Window, dy: int, dx: int) -> Window:
    """Move a window by (`dy`, `dx`)."""
    rows, columns = window
    return (
        slice(rows.start + dy, rows.stop + dy),
        slice(columns.start + dx, columns.stop + dx),
    )


def training_sources(height: int, width: int, radius: int) -> Window:
    """Return the window of the sources whose targets within `radius` all lie on the grid.

    IRNet is trained on these pairs alone, so that every displacement counts equally often.

    Raises:
        ValueError: the grid is too small to have any.
    """
    reach = radius - 1
    if height <= reach or width <= 2 * reach:
        raise ValueError(
            f"a grid of {height}x{width} cells is too small for pairs within radius {radius}; "
            f"at least {reach + 1}x{2 * reach + 1} are needed"
        )
    return slice(0, height - reach), slice(reach, width - reach)


def flatten_grid(grid: Tensor, radius: int, fill: float) -> Tensor:
    """Lay the rows of a (..., H, W) grid end to end, each followed by radius - 1 cells of `fill`.

    In the (..., N) result a displacement is one offset, whatever the row: pairs that leave the
    grid on the left or right end on fill.
    """
    return pad(grid, (0, radius - 1), value=fill).flatten(-2)


def unflatten_grid(flat: Tensor, width: int, radius: int) -> Tensor:
    """Undo `flatten_grid`, for rows of `width` cells."""
    return flat.unflatten(-1, (-1, width + radius - 1))[..., :width]


def grid_affinities(boundary: Tensor, radius: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the affinities of all pairs of a grid, one displacement at a time.

    As in IRN the map is padded with boundary, which makes the affinity of pairs that leave the
    grid 0. No other pair is changed: a path stays in the rectangle that its ends span.

    Args:
        boundary: (..., H, W) class boundary map in [0, 1].
        radius: search radius in cells.

    Yields:
        The offset of the target from the source in the layout of `flatten_grid`, and the
        (..., N - offset) affinities in [0, 1] of the sources 0, 1, 2, ...
    """
    row = boundary.shape[-1] + radius - 1
    cells = boundary.shape[-2] * row
    # A path to the lower left has cells left of its source and right of its target.
    margin = radius - 1
    flat = pad(flatten_grid(boundary, radius, fill=1.0), (margin, margin), value=1.0)
    for path in search_paths(radius):
        offset = path.dy * row + path.dx
        sources = cells - offset
        if sources <= 0:
            continue
        strongest: Tensor | None = None
        for y, x in path.cells:
            start = margin + y * row + x
            here = flat[..., start : start + sources]
            strongest = here if strongest is None else torch.maximum(strongest, here)
        yield offset, 1 - strongest


class _TrainingAffinities(torch.autograd.Function):
    """The gradient goes to the strongest cell of each path, which one byte a pair remembers.

    Autograd's own maximum would keep every path's every cell: 5 GB for IRN's batch.
    """

    @staticmethod
    def forward(ctx, boundary: Tensor, radius: int) -> Tensor:
        batch, height, width = boundary.shape
        sources = training_sources(height, width, radius)
        paths = search_paths(radius)
        rows, columns = (window.stop - window.start for window in sources)
        strongest = boundary.new_empty(batch, len(paths), rows, columns)
        which = torch.empty(strongest.shape, dtype=torch.uint8, device=boundary.device)
        for number, path in enumerate(paths):
            cells = [boundary[(..., *shifted(sources, y, x))] for y, x in path.cells]
            values, index = torch.stack(cells).max(dim=0)
            strongest[:, number], which[:, number] = values, index
        ctx.save_for_backward(which)
        ctx.grid, ctx.sources, ctx.radius = (batch, height, width), sources, radius
        return 1 - strongest

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (which,) = ctx.saved_tensors
        batch, height, width = ctx.grid
        cell_numbers = torch.arange(height * width, device=which.device).view(height, width)
        source_numbers = cell_numbers[ctx.sources]
        total = gradient.new_zeros(batch, height * width)
        steps = torch.as_tensor(_steps(ctx.radius, width), device=which.device)  # one copy for all
        for number, path_steps in enumerate(steps):
            cells = source_numbers + path_steps[which[:, number].long()]
            total.scatter_add_(1, cells.flatten(1), -gradient[:, number].flatten(1))
        return total.view(ctx.grid), None


@cache
def _steps(radius: int, width: int) -> np.ndarray:
    """Return the offsets (P, L) of each path's cells from its source, on a grid of `width` cells.

    L is the length of the longest path; shorter ones are filled up with zeros.
    """
    paths = search_paths(radius)
    steps = np.zeros((len(paths), max(len(path.cells) for path in paths)), dtype=np.int64)
    for number, path in enumerate(paths):
        steps[number, : len(path.cells)] = np.array(path.cells) @ (width, 1)
    return steps


def training_affinities(boundary: Tensor, radius: int) -> Tensor:
    """Return the affinities of the pairs that IRNet is trained on (IRN, Eq. 5).

    Differentiable; where several cells of a path tie for the maximum, one of them gets the
    gradient. On CUDA the order in which gradients are summed is not fixed.

    Args:
        boundary: (B, H, W) class boundary map in [0, 1].
        radius: search radius in cells.

    Returns:
        (B, P, h, w) affinities: P displacements in the order of `search_paths`, the h x w sources
        of `training_sources`.

    Raises:
        ValueError: the grid is smaller than the search radius needs.
    """
    return _TrainingAffinities.apply(boundary, radius)
