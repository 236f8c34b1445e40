"""Centres of D_in by class and of D_ood by K-means (Sec. 3.2)."""

import torch
from torch import Tensor

from wood.runtime.errors import InputError


def class_centers(features: Tensor, labels: Tensor) -> Tensor:
    """Return p^in, the mean feature of each class's images.

    Args:
        features: (N, D).
        labels: (N, C), 0 or 1; an image of several classes counts for each.

    Returns:
        (C, D); a row of NaN for a class without images.
    """
    weights = labels.to(features.dtype)
    counts = weights.sum(dim=0)[:, None]
    centers = weights.T @ features / counts
    return torch.where(counts > 0, centers, torch.nan)


def group_centers(features: Tensor, groups: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the centres of D_ood grouped by predicted class (Table 4), without empty groups.

    Args:
        features: (N, D).
        groups: (N,) int64 in [0, count).

    Returns:
        centres (K, D) with K <= count, and the assignment (N,) int64 to them.
    """
    present, assignment = torch.unique(groups, return_inverse=True)
    one_hot = torch.nn.functional.one_hot(assignment, len(present))
    return class_centers(features, one_hot), assignment


def kmeans(
    features: Tensor,
    clusters: int,
    seed: int,
    *,
    start: str = "k-means++",
    starts: int = 10,
    iterations: int = 300,
) -> tuple[Tensor, Tensor]:
    """Cluster features by K-means: Euclidean, the best of several starts.

    Not scikit-learn's, whose last digits depend on the number of threads, and which would take the
    features of a GPU to the CPU at each refresh of the centres.

    Args:
        features: (N, D), on any device; the work is done there.
        clusters: K, at most N.
        seed: of the starts.
        start: "k-means++", or "first": once, from the first K rows, as the authors' code does.
        starts: how many to try; the one with the smallest within-cluster sum of squares is kept.
        iterations: of Lloyd's algorithm at the most.

    Returns:
        centres (K, D) and the assignment (N,) int64.

    Raises:
        InputError: there are fewer different images than clusters.
    """
    distinct = len(torch.unique(features, dim=0))
    if distinct < clusters:
        raise InputError(
            f"K-means needs at least as many different hard OoD images as clusters: "
            f"there are {distinct}, and wood.clusters is {clusters}."
        )
    if start not in ("k-means++", "first"):
        raise ValueError(f"start is {start!r}; it must be 'k-means++' or 'first'.")
    generator = torch.Generator().manual_seed(seed)
    points = features.double() if features.device.type == "cpu" else features.float()
    if start == "first":
        begins = iter([points[:clusters]])
    else:
        begins = (_plus_plus(points, clusters, generator) for _ in range(starts))
    best: tuple[float, Tensor, Tensor] | None = None
    for begin in begins:
        centers, assignment, inertia = _lloyd(points, begin, iterations)
        if best is None or inertia < best[0]:
            best = (inertia, centers, assignment)
    return best[1].to(features.dtype), best[2]


def _squared_distances(points: Tensor, centers: Tensor) -> Tensor:
    return torch.cdist(points, centers, compute_mode="use_mm_for_euclid_dist").square()


def _plus_plus(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """k-means++: each new centre is a point drawn by its squared distance to those chosen."""
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    nearest = (points - points[chosen[0]]).square().sum(dim=1)
    for _ in range(clusters - 1):
        chosen.append(int(torch.multinomial(nearest.cpu(), 1, generator=generator)))
        nearest = torch.minimum(nearest, (points - points[chosen[-1]]).square().sum(dim=1))
    return points[chosen]


def _lloyd(points: Tensor, centers: Tensor, iterations: int) -> tuple[Tensor, Tensor, float]:
    assignment = torch.full((len(points),), -1, device=points.device)
    for _ in range(iterations):
        squared = _squared_distances(points, centers)
        nearest = squared.argmin(dim=1)
        nearest = _fill_empty(nearest, squared, len(centers))
        if torch.equal(nearest, assignment):
            break
        assignment = nearest
        one_hot = torch.nn.functional.one_hot(assignment, len(centers))
        centers = class_centers(points, one_hot)
    inertia = (points - centers[assignment]).square().sum().item()
    return centers, assignment, inertia


def _fill_empty(assignment: Tensor, squared: Tensor, clusters: int) -> Tensor:
    """Give each empty cluster the point that lies farthest from its own centre."""
    counts = torch.bincount(assignment, minlength=clusters)
    if (counts > 0).all():
        return assignment
    assignment = assignment.clone()
    away = squared.gather(1, assignment[:, None])[:, 0]
    for empty in (counts == 0).nonzero()[:, 0].tolist():
        movable = counts[assignment] > 1
        point = int(torch.where(movable, away, -1.0).argmax())
        counts[assignment[point]] -= 1
        assignment[point] = empty
        counts[empty] = 1
        away[point] = 0
    return assignment
