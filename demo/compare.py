"""Whether the demo's scores are the ones that the documentation has.

    python -m demo.compare results/demo/report/scores.csv

The same seed rounds differently on another processor, and a training carries that on. So a
difference is no fault, but a reader of the documentation should know of it.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

KNOWN = Path(__file__).parent / "known_scores.csv"
KEYS = ["stage", "experiment", "seed", "half", "step"]
TOLERANCE = 0.3  # points of mIoU


def miou_of(scores: str | Path) -> pd.Series:
    """Return the mIoU in per cent of each row of a report's scores.csv, by `KEYS`."""
    table = pd.read_csv(scores)
    table = table[(table["metric"] == "miou") & (table["class_name"] == "mean")]
    return 100 * table.set_index(KEYS)["value"].sort_index()


def compare(scores: str | Path, known: str | Path = KNOWN) -> str:
    """Return a sentence on how far scores are from the known ones."""
    ours, theirs = miou_of(scores), pd.read_csv(known).set_index(KEYS)["miou"]
    shared = ours.index.intersection(theirs.index)
    lacking = len(theirs) - len(shared)
    if lacking:
        return f"{lacking} of the {len(theirs)} known scores of the demo are not in {scores}."
    apart = (ours[shared] - theirs[shared]).abs()
    if apart.max() <= TOLERANCE:
        return f"The scores are those of the documentation, within {TOLERANCE} points of mIoU."
    stage, experiment = apart.idxmax()[:2]
    return (
        f"The scores differ from those of the documentation by up to {apart.max():.1f} points of "
        f"mIoU ({experiment}, {stage}): this processor rounds differently, see docs/method.md."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scores", type=Path)
    parser.add_argument("--write", action="store_true", help="make these scores the known ones")
    arguments = parser.parse_args()
    if not arguments.scores.is_file():
        sys.exit(f"Error: {arguments.scores}: no such file.")
    if arguments.write:
        miou_of(arguments.scores).rename("miou").round(3).reset_index().to_csv(KNOWN, index=False)
    print(compare(arguments.scores))


if __name__ == "__main__":
    main()
