"""How steady the choice of hard OoD images is: overlap between disjoint sets of F_in.

    snakemake … --config ood='{select: {seeds: 6}}' -- ranking
    python -m benchmarks.selection results/voc-mini-steady/ood --count 68

For each size k, p(c) is averaged over the k training seeds of one set and over those of another
that shares none, for all such pairs. Jaccard is the size of the intersection of two lists over that
of their union.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from wood.ood.ranking import SCORED


def read_scores(folder: Path, truth: Path | None) -> np.ndarray:
    """Return p(c), (S, N, C), of S training seeds of F_in for N candidates.

    With `truth` (ood.review.truth), the candidates that show a foreground class are left out.
    """
    shows = pd.read_csv(truth, dtype=str).dropna()["ImageID"] if truth else []
    folders = [folder / "scores", *sorted(folder.glob("scores-of-seed-*"))]
    seeds = []
    for each in folders:
        table = pd.concat([pd.read_parquet(path) for path in sorted(each.glob("*.parquet"))])
        table = table[~table["image_id"].isin(shows)].sort_values("image_id")
        seeds.append(table.drop(columns=SCORED).to_numpy(np.float64))
    return np.stack(seeds)


def hardest(scores: np.ndarray, count: int) -> set[int]:
    """Return the `count` candidates of each predicted class with the highest p(c), of (N, C)."""
    best, predicted = scores.max(axis=1), scores.argmax(axis=1)
    kept: set[int] = set()
    for number in range(scores.shape[1]):
        members = np.flatnonzero(predicted == number)
        kept.update(members[np.argsort(-best[members], kind="stable")[:count]].tolist())
    return kept


def jaccard(one: set[int], other: set[int]) -> float:
    """Return the overlap of two lists."""
    return len(one & other) / len(one | other) if one | other else 1.0


def compare(one: np.ndarray, other: np.ndarray, threshold: float, count: int) -> list[float]:
    """Return the two overlaps and the rank correlation of the scores of two sets of F_in."""
    above = [set(np.flatnonzero(each.max(axis=1) >= threshold).tolist()) for each in (one, other)]
    ranks = pd.DataFrame({"one": one.max(axis=1), "other": other.max(axis=1)})
    return [
        jaccard(*above),
        jaccard(hardest(one, count), hardest(other, count)),
        ranks.corr(method="spearman").iloc[0, 1],
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--truth", type=Path, help="ood.review.truth: only what a review accepts")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--count", type=int, default=68, help="of each class")
    arguments = parser.parse_args()
    scores = read_scores(arguments.folder, arguments.truth)
    seeds = range(len(scores))
    above = (scores.max(axis=2) >= arguments.threshold).sum(axis=1)
    print(f"{scores.shape[1]} candidates; above {arguments.threshold}: {above.tolist()}")
    print("seeds a set | pairs | overlap above the threshold | of the hardest | rank correlation")
    for size in range(1, len(scores) // 2 + 1):
        found = [
            compare(
                *(scores[list(part)].mean(axis=0) for part in (one, other)),
                arguments.threshold,
                arguments.count,
            )
            for one in combinations(seeds, size)
            for other in combinations(sorted(set(seeds) - set(one)), size)
            if one < other
        ]
        columns = np.array(found).T
        cells = [f"{c.mean():.2f} ({c.min():.2f} to {c.max():.2f})" for c in columns]
        print(f"{size} | {len(found)} | " + " | ".join(cells))


if __name__ == "__main__":
    main()
