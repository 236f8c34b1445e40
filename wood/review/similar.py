"""Similar images side by side: screens that share an answer, and a map of all (Sec. 3.1's time).

The features are F_in's own, kept while scoring: what looks alike to it, and so is hard for one
reason, is answered by one look.
"""

import numpy as np

SCREEN = 20  # images at most; they fit a window of 1024 x 768 without scrolling
LARGEST_TREE = 4000  # images


def screens(features: np.ndarray, scores: np.ndarray, size: int = SCREEN) -> np.ndarray:
    """Put similar images on one screen.

    Args:
        features: (N, D).
        scores: (N,) max_c p(c); the screen with the lowest mean comes first.
        size: most images of a screen.

    Returns:
        (N,) int64, the number of each image's screen, from 0 in the order to look at them: by how
        many foreground objects they are likely to hold, fewest first.
    """
    points = directions(features)
    groups = _split(points, np.arange(len(points)), size)
    order = sorted(range(len(groups)), key=lambda group: scores[groups[group]].mean())
    numbers = np.empty(len(points), dtype=np.int64)
    for number, group in enumerate(order):
        numbers[groups[group]] = number
    return numbers


def directions(features: np.ndarray) -> np.ndarray:
    """Return the features about their mean, each of length 1: likeness is an angle."""
    points = features - features.mean(axis=0)
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)


def plane(features: np.ndarray) -> np.ndarray:
    """Return (N, 2), the two directions in which the images differ most (PCA)."""
    points = directions(features)
    _, axes = np.linalg.eigh(points.T @ points)
    return points @ axes[:, :-3:-1]


def _split(points: np.ndarray, rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut Ward's tree of the points into groups of at most `size`; neighbours share a group."""
    if len(rows) <= size:
        return [rows]
    if len(rows) > LARGEST_TREE:  # a tree takes the square of their number: halve them first
        _, axes = np.linalg.eigh(np.cov(points.T))
        order = np.argsort(points @ axes[:, -1], kind="stable")
        return [
            group
            for half in np.array_split(order, 2)
            for group in _split(points[half], rows[half], size)
        ]
    from scipy.cluster.hierarchy import leaves_list, linkage

    leaves = leaves_list(linkage(points, "ward"))
    return [rows[leaves[start : start + size]] for start in range(0, len(rows), size)]
