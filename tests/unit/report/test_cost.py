"""What reviewed images bring, and what they cost."""

import pytest

from wood.report.cost import (
    collections,
    cost_figure,
    cost_sentence,
    cost_table,
    read_review,
)
from wood.report.scores import Scores
from wood.report.spec import parse_spec
from wood.runtime.errors import InputError
from wood.runtime.store import write_json

STATS = {"policy": "truth", "above_threshold": 200, "checked": 150, "accepted": 120, "used": 120,
         "positive_rate": 0.2, "seconds_per_decision": None, "minutes": None}  # fmt: skip


def specification(folder, experiments, **stats):
    """A spec of experiments: (name, role, mIoU, ood, data)."""
    write_json(folder / "review_stats.json", {**STATS, **stats})
    described = []
    for name, role, miou, ood, data in experiments:
        score = folder / name / "seeds.json"
        summary = {"miou": miou, "per_class": {}}
        oracle = {"threshold": 0.3, "summary": summary}
        write_json(score, {"split": "train", "images": 8, "threshold": 0.3, "configured": summary,
                           "oracle": oracle})  # fmt: skip
        run = {"seed": 0, "seeds": str(score)}
        entry = {"name": name, "title": name, "role": role, "runs": [run]}
        described.append({**entry, "wood": ood, "data": {"in": None, "ood": None, **data}})
    return parse_spec(
        {"dataset": "d", "class_names": ["cat"], "experiments": described,
         "ood": {"review_stats": str(folder / "review_stats.json"), "seconds_per_image": 4}}
    )  # fmt: skip


HARD, UNREVIEWED, RANDOM = ({"images": name} for name in ("hard", "unreviewed", "random"))
FAMILY = [
    ("irn", "baseline", 0.5, None, {}),
    ("irn-random", "other", 0.49, RANDOM, {}),
    ("irn-other-loss", "other", 0.51, HARD, {}),
    ("irn-half", "other", 0.52, HARD, {"ood": 40, "subset_seed": 0}),
    ("irn-small", "other", 0.4, HARD, {"in": 100}),
    ("irn-none", "other", 0.5, UNREVIEWED, {}),
    ("irn-wood", "wood", 0.53, HARD, {}),
]


def test_each_collection_is_one_point(tmp_path):
    spec = specification(tmp_path, FAMILY)
    found = [experiment.name for experiment in collections(spec.experiments)]
    assert found == ["irn-wood", "irn-half", "irn-none"]


def test_the_table_counts_what_was_looked_at(tmp_path):
    spec = specification(tmp_path, FAMILY)
    table = cost_table(spec, Scores(spec), read_review(spec), spec.experiments)
    assert [[cell.text for cell in row] for row in table.rows] == [
        ["irn", "0", "0", "0", "50.0", "-"],
        ["irn-none", "200", "0", "0.0", "50.0", "0.0"],
        # 40 hard OoD images at r = 0.2 are 40 / 0.8 = 50 images looked at, of 4 s each.
        ["irn-half", "40", "50", "3.3", "52.0", "+2.0"],
        ["irn-wood", "120", "150", "10.0", "53.0", "+3.0"],
    ]
    assert "assuming 4 s a decision, not measured" in table.caption
    drawn = cost_figure(Scores(spec), read_review(spec), spec.experiments)
    assert drawn.startswith("<svg")
    for text in ("irn-wood", "images reviewed", "minutes (4.0 s a decision, assumed)"):
        assert text in drawn


def test_one_collection_is_a_sentence_and_no_figure(tmp_path):
    spec = specification(tmp_path, [FAMILY[0], FAMILY[-1]])
    review, wood = read_review(spec), spec.experiments[-1]
    assert cost_figure(Scores(spec), review, spec.experiments) is None
    assert cost_table(spec, Scores(spec), review, spec.experiments) is None
    assert cost_sentence(review, wood, 1.4) == (
        "+1.4 points for 150 reviewed images, about 10 minutes (assuming 4 s a decision, "
        "not measured)"
    )
    assert cost_sentence(review, spec.experiments[0], 1.4) is None
    assert cost_sentence(None, wood, 1.4) is None
    assert cost_sentence(review, wood, None) is None


def test_recorded_times_come_before_the_assumption(tmp_path):
    spec = specification(tmp_path, FAMILY, seconds_per_decision=2.5, minutes=7.0)
    review, (wood, half, none) = read_review(spec), collections(spec.experiments)
    assert "about 7 minutes (measured, 2.5 s a decision)" in cost_sentence(review, wood, -0.3)
    assert "-0.3 points for 50 reviewed images, about 2 minutes" in cost_sentence(
        review, half, -0.3
    )
    assert cost_sentence(review, none, 0.2) == "+0.2 points without a review"


def test_without_a_review_nothing_was_looked_at(tmp_path):
    unseen = {"checked": 0, "accepted": 0, "used": 200, "positive_rate": None}
    spec = specification(tmp_path, FAMILY, policy="none", **unseen)
    wood = spec.experiments[-1]
    assert cost_sentence(read_review(spec), wood, 0.2) == "+0.2 points without a review"


def test_a_wrong_statistics_file_is_named(tmp_path):
    spec = specification(tmp_path, FAMILY)
    write_json(tmp_path / "review_stats.json", [])
    with pytest.raises(InputError, match=r"review_stats\.json: this file does not hold"):
        read_review(spec)
