"""Intervals over images, against mIoU that is counted anew from the masks of each resample."""

from dataclasses import replace

import numpy as np
import pytest

from wood.data.lists import half
from wood.metrics import SegmentationScores
from wood.runtime.errors import InputError
from wood.scoring.bootstrap import difference_interval, miou
from wood.scoring.per_image import counts_path, read_counts, write_counts

NAMES = ["background", "cat", "dog", "sheep"]  # no mask below has a sheep
RESAMPLES = 60


class Side:
    """The predictions of one experiment, in memory and as the counts in a file."""

    def __init__(self, folder, name, targets, wrong):
        rng = np.random.default_rng(1)
        self.predictions = {
            image_id: np.where(rng.random(target.shape) < wrong, 0, target)
            for image_id, target in targets.items()
        }
        counts = {}
        for image_id, prediction in self.predictions.items():
            scores = SegmentationScores(NAMES)
            scores.update(targets[image_id], prediction)
            counts[image_id] = scores.counts()
        self.score = folder / name / "seed-0.json"
        write_counts(self.score, {"seed": counts, "other": {"x": counts["im0"]}}, NAMES)
        self.counts = read_counts(self.score, "seed")

    def miou(self, targets, image_ids):
        scores = SegmentationScores(NAMES)
        for image_id in image_ids:
            scores.update(targets[image_id], self.predictions[image_id])
        return scores.summary()["miou"]


@pytest.fixture
def targets():
    """Twelve small masks; the dog is in one alone, so that most resamples miss it or repeat it."""
    rng = np.random.default_rng(0)
    found = {f"im{i}": rng.choice([0, 1, 255], (6, 7), p=[0.5, 0.4, 0.1]) for i in range(12)}
    found["im3"] = rng.choice([0, 2], (6, 7))
    return found


@pytest.fixture
def sides(tmp_path, targets):
    return [Side(tmp_path, name, targets, wrong) for name, wrong in (("a", 0.1), ("b", 0.3))]


def test_the_interval_is_that_of_masks_counted_anew(targets, sides):
    rng = np.random.default_rng(5)
    ours, reference = sides
    image_ids = ours.counts.image_ids
    differences = []
    for _ in range(RESAMPLES):
        drawn = [image_ids[index] for index in rng.integers(len(image_ids), size=len(image_ids))]
        differences.append(100 * (ours.miou(targets, drawn) - reference.miou(targets, drawn)))
    found = difference_interval([(ours.counts, reference.counts)], resamples=RESAMPLES, seed=5)
    assert found == pytest.approx(tuple(np.percentile(differences, (2.5, 97.5))), abs=1e-9)


def test_all_images_once_are_the_score_itself(targets, sides):
    for side in sides:
        once = miou(side.counts.counts, np.ones((1, len(targets))))
        assert once == pytest.approx([side.miou(targets, targets)], abs=1e-12)
    assert np.isnan(miou(sides[0].counts.counts, np.zeros((1, len(targets)))))


def test_so_few_images_make_no_gain(sides):
    """One image, drawn again and again, would have an interval of no width."""
    few, enough = (
        [
            replace(s.counts, image_ids=s.counts.image_ids[:n], counts=s.counts.counts[:n])
            for s in sides
        ]
        for n in (4, 5)
    )
    assert difference_interval([few]) == (-100, 100)
    assert difference_interval([enough]) != (-100, 100)


def test_equal_experiments_differ_by_nothing(sides):
    counts = sides[0].counts
    assert difference_interval([(counts, counts)], resamples=RESAMPLES) == (0, 0)


def test_a_difference_on_every_image_is_found_and_repeats(sides):
    pair = [tuple(side.counts for side in sides)]
    low, high = difference_interval(pair)
    assert 0 < low < high < 100
    assert (low, high) == difference_interval(pair)


def test_seeds_share_the_images_that_are_drawn(targets, sides, tmp_path):
    """A second pair with the sides swapped takes back each resample's difference."""
    ours, reference = (side.counts for side in sides)
    both = [(ours, reference), (reference, ours)]
    assert difference_interval(both, resamples=RESAMPLES) == pytest.approx((0, 0))


def test_images_of_one_side_alone_are_named(targets, sides, tmp_path):
    fewer = Side(tmp_path, "c", {i: t for i, t in targets.items() if i != "im7"}, 0.2)
    for pair in ((sides[0].counts, fewer.counts), (fewer.counts, sides[0].counts)):
        with pytest.raises(InputError, match=r"c/seed-0\.csv: the image 'im7' is not scored here"):
            difference_interval([pair])


def test_a_half_has_its_own_images(targets, sides):
    part = sides[0].counts.of_half("B")
    expected = [image_id for image_id in sorted(targets) if half(image_id) == "B"]
    assert part.image_ids == expected
    once = miou(part.counts, np.ones((1, len(expected))))
    assert once == pytest.approx([sides[0].miou(targets, expected)], abs=1e-12)


def test_counts_are_the_same_bytes_and_only_of_classes_that_occur(targets, sides, tmp_path):
    text = counts_path(sides[0].score).read_text()
    assert text == counts_path(Side(tmp_path, "again", targets, 0.1).score).read_text()
    assert text.startswith(
        "image_id,step,class,intersection,target,predicted\nim0,seed,background,"
    )
    assert "sheep" not in text
    assert sides[0].counts.classes == ["background", "cat", "dog"]


def test_an_image_without_a_judged_pixel_is_listed(tmp_path):
    counts = {"void": np.zeros((3, 4), np.int64)}
    write_counts(tmp_path / "s.json", {"seed": counts}, NAMES)
    assert read_counts(tmp_path / "s.json", "seed").image_ids == ["void"]


def test_without_counts_there_are_none_and_bad_ones_are_named(sides, tmp_path):
    assert read_counts(tmp_path / "seed-0.json", "seed") is None
    assert read_counts(sides[0].score, "crf") is None
    path = counts_path(sides[0].score)
    line = path.read_text().splitlines()[1]
    for text in ("image_id,step\n", path.read_text() + line + "\n", line.replace("im0", "1,2")):
        path.write_text(text)
        with pytest.raises(InputError, match=r"seed-0\.csv: "):
            read_counts(sides[0].score, "seed")
