"""Two experiments compared over all training seeds of one or several runs, at every stage.

    python -m benchmarks.differences irn-wood irn-more results/voc-mini-collection-*

The report page compares the training seeds of one run, which share one collection of hard OoD
images. Runs with a collection each say how far the difference depends on the collection too.
"""

import argparse
from pathlib import Path

import numpy as np

from wood.report.comparison import interval, paired
from wood.report.scores import Measure
from wood.runtime.errors import InputError
from wood.scoring.bootstrap import difference_interval, miou
from wood.scoring.per_image import ImageCounts, read_counts

# Each step with its stage and the half of the images that makes a claim; None = all images.
STEPS = {
    "seed": ("seeds", "B"),
    "mask": ("pseudo_masks", "B"),
    "network": ("segmentation", None),
    "crf": ("segmentation", None),
}


def read_runs(folders: list[Path], experiment: str, step: str) -> dict[str, ImageCounts]:
    """Return the pixel counts of an experiment at a step, by results folder and training seed."""
    stage, half = STEPS[step]
    found = {}
    for folder in folders:
        for path in sorted((folder / "scores" / stage / experiment).glob("seed-*.json")):
            counts = read_counts(path, step)
            if counts is not None:
                found[f"{folder}, {path.stem}"] = counts.of_half(half) if half else counts
    return found


def measure(runs: list[ImageCounts]) -> Measure:
    """Return the mIoU of each run in per cent."""
    every = [miou(run.counts, np.ones((1, len(run.image_ids)))).item() for run in runs]
    return Measure({number: 100 * value for number, value in enumerate(every)})


def differences(ours: str, reference: str, folders: list[Path]) -> list[str]:
    """Return a line for each step that both experiments have.

    Raises:
        InputError: they share no score.
    """
    lines = []
    for step in STEPS:
        runs, others = (read_runs(folders, name, step) for name in (ours, reference))
        pairs = [(runs[run], others[run]) for run in runs if run in others]
        if not pairs:
            continue
        sides = [measure(list(side)) for side in zip(*pairs, strict=True)]
        found = paired(sides[0], sides[1])
        images = interval(difference_interval(pairs))
        values = [", ".join(f"{value:.1f}" for value in side.values) for side in sides]
        seeds = f" and {interval(found.seeds)} over {found.runs} runs" if found.seeds else ""
        lines.append(
            f"{step}: {values[0]} minus {values[1]} = {found.mean:+.2f}, 95 % interval "
            f"{images} over {len(pairs[0][0].image_ids)} images{seeds}"
        )
    if not lines:
        places = ", ".join(map(str, folders))
        raise InputError(f"{places}: {ours} and {reference} share no score here.")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ours")
    parser.add_argument("reference")
    parser.add_argument("folders", type=Path, nargs="+", metavar="results")
    try:
        print("\n".join(differences(**vars(parser.parse_args()))))
    except InputError as error:
        raise SystemExit(f"Error: {error}") from None


if __name__ == "__main__":
    main()
