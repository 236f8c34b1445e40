"""Differences over several runs, each with a collection and a results folder of its own."""

import numpy as np
import pytest

from benchmarks.differences import differences
from wood.runtime.errors import InputError
from wood.scoring.per_image import write_counts

IMAGES = [f"{number:03d}" for number in range(40)]


def write(results, experiment, seed, hits):
    """Scores of seeds where background and class have `hits` of 100 pixels in every image."""
    score = results / "scores" / "seeds" / experiment / f"seed-{seed}.json"
    score.parent.mkdir(parents=True, exist_ok=True)
    score.touch()
    counts = np.array([[hits, hits], [100, 100], [100, 100]])
    write_counts(score, {"seed": dict.fromkeys(IMAGES, counts)}, ["background", "cat"])


def test_runs_with_a_collection_each_are_paired_by_folder_and_seed(tmp_path):
    for number, (ours, reference) in enumerate([(80, 70), (80, 60), (75, 70)]):
        write(tmp_path / f"run-{number}", "ours", number, ours)
        write(tmp_path / f"run-{number}", "reference", number, reference)
    write(tmp_path / "run-0", "ours", 9, 100)  # without a partner
    (line,) = differences("ours", "reference", sorted(tmp_path.iterdir()))
    # IoU = hits / (200 - hits): 66.7, 66.7 and 60.0 minus 53.8, 42.9 and 53.8.
    assert line.startswith("seed: 66.7, 66.7, 60.0 minus 53.8, 42.9, 53.8 = +14.26, ")
    assert "+14.3 to +14.3" in line  # all images are alike
    assert line.endswith("over 3 runs")


def test_experiments_without_a_shared_score_are_named(tmp_path):
    write(tmp_path, "ours", 0, 80)
    with pytest.raises(InputError, match="ours and reference share no score here"):
        differences("ours", "reference", [tmp_path])
