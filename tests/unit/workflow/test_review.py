"""Whether a run has to wait for a person, and for how much looking."""

import pandas as pd
import pytest
import yaml

from tests.places import ROOT
from wood.ood.decisions import (
    ACCEPT,
    REJECT,
    Decision,
    append_decisions,
    now,
)
from wood.runtime.store import write_table
from wood.workflow.resolve import merge, needed_hard_ood
from wood.workflow.review import expected_looks, is_pending, takes_answers, what_to_do

BASE = yaml.safe_load((ROOT / "config.yaml").read_text())


def configured(**review):
    return merge(BASE, {"ood": {"review": review}})


def test_a_review_is_pending_until_enough_images_are_accepted(tmp_path):
    config = configured(policy="decisions")
    path = tmp_path / "decisions.csv"
    assert is_pending(config, [str(path)])
    ids = [str(number) for number in range(needed_hard_ood(config))]
    append_decisions(path, [Decision(name, ACCEPT, "boat", "ann", now()) for name in ids[1:]])
    append_decisions(path, [Decision("x", REJECT, "boat", "ann", now())])
    assert is_pending(config, [str(path)])
    append_decisions(path, [Decision(ids[0], ACCEPT, "boat", "ann", now())])
    assert not is_pending(config, [str(path)])
    path.write_text("no decisions\n")
    assert not is_pending(config, [str(path)])  # which the job itself says, in one sentence


@pytest.mark.parametrize("policy", ["truth", "none"])
def test_other_policies_wait_for_nobody(policy):
    assert not is_pending(configured(policy=policy), [])


def test_which_classifiers_depend_on_the_answers():
    config = merge(BASE, {"classifiers": {"after": {"init": "cam-wood", "wood": "none"}}})
    found = {name: takes_answers(config, name) for name in ("cam", "cam-more", "cam-wood", "after")}
    assert found == {"cam": False, "cam-more": False, "cam-wood": True, "after": True}
    unreviewed = merge(BASE, {"wood": {"images": "unreviewed"}})
    assert not takes_answers(unreviewed, "cam-wood")


def test_how_many_looks_are_to_be_expected():
    assert expected_looks(1000, None) == 1000
    assert expected_looks(1000, 260) == 426
    assert expected_looks(100, 260) == 100


def test_the_message_says_command_images_and_minutes(tmp_path):
    ranking = tmp_path / "ranking.parquet"
    classes = ["boat"] * 30 + ["train"] * 4
    write_table(ranking, pd.DataFrame({"image_id": [f"{n}" for n in range(34)], "class": classes}))
    config = configured(policy="decisions", wanted=10, seconds_per_image=3)
    decisions = tmp_path / "decisions.csv"
    said = what_to_do(config, ranking, [str(decisions)], "--cores 1 --configfile my.yaml")
    assert "34 images wait for a review, about 20 of them" in said
    assert "for 10 accepted images of each class, 1 minutes" in said
    assert "snakemake review --cores 1 --configfile my.yaml" in said
    append_decisions(decisions, [Decision(f"{n}", ACCEPT, "boat", "ann", now()) for n in range(8)])
    append_decisions(decisions, [Decision("33", REJECT, "train", "ann", now())])
    said = what_to_do(config, ranking, [str(decisions)], "--cores 1")
    assert "25 images wait for a review, about 6 of them" in said  # 3 for 2 boats, 3 of train
