"""Rejected candidates join D_in: with which class, which of them, and who asks for it."""

from types import SimpleNamespace

import pandas as pd
import pytest

from tests.unit.workflow.test_targets import targets
from wood.data.labels import read_labels, write_labels
from wood.data.lists import read_image_list, write_image_list
from wood.ood.decisions import ACCEPT, REJECT, UNDO, Decision, append_decisions, now
from wood.ood.rejects import label_rejects
from wood.runtime.errors import InputError
from wood.runtime.store import write_table
from wood.workflow.inputs import Inputs
from wood.workflow.resolve import basis

CANDIDATES = ["named", "unnamed", "strange", "accepted", "undecided", "undone"]


@pytest.fixture
def label(tmp_path):
    """Labels the rejects of a folder with D_in = {in1: cat, in2: cat and dog}."""
    listed = pd.DataFrame({"image_id": ["in1", "in2"], "path": ["1.jpg", "2.jpg"]})
    write_image_list(tmp_path / "train.csv", listed)
    known = pd.DataFrame({"cat": [True, True], "dog": [False, True]}, index=["in1", "in2"])
    write_labels(tmp_path / "labels.parquet", known)

    def run(policy, answers, candidates=CANDIDATES):
        ranked = pd.DataFrame({"image_id": candidates, "class": "cat"})
        write_table(tmp_path / "ranking", ranked.assign(path=ranked["image_id"] + ".jpg"))
        inputs = [tmp_path / name for name in ("train.csv", "labels.parquet", "ranking")]
        outputs = [tmp_path / name for name in ("with.csv", "with.parquet")]
        label_rejects(*inputs, *outputs, policy=policy, answers=answers)
        found = read_image_list(outputs[0]), read_labels(outputs[1])
        assert list(found[0]["image_id"]) == list(found[1].index)
        return found

    return run


@pytest.fixture
def decisions(tmp_path):
    def decide(image_id, word, found=""):
        return Decision(image_id, word, "cat", "ann", now(), found=found)

    answers = [decide("named", REJECT, "dog"), decide("unnamed", REJECT)]
    answers += [decide("strange", REJECT, "whale"), decide("accepted", ACCEPT)]
    answers += [decide("undone", REJECT, "dog"), decide("undone", UNDO)]
    answers += [decide("of-another-ranking", REJECT, "dog")]
    append_decisions(tmp_path / "decisions.csv", answers)
    return tmp_path / "decisions.csv"


def test_rejects_have_the_class_that_was_named_or_that_f_in_saw(label, decisions):
    images, labels = label("decisions", [decisions])
    assert list(images["image_id"]) == ["in1", "in2", "named", "unnamed", "strange"]
    assert list(images["path"][2:]) == ["named.jpg", "unnamed.jpg", "strange.jpg"]
    assert labels.loc["named"].to_dict() == {"cat": False, "dog": True}
    assert labels.loc["unnamed"].to_dict() == {"cat": True, "dog": False}
    assert labels.loc["strange"].to_dict() == {"cat": True, "dog": False}
    assert labels.loc["in2"].to_dict() == {"cat": True, "dog": True}


def test_the_truth_stands_in_for_the_reviewer(label, tmp_path):
    (tmp_path / "truth.csv").write_text("image_id,class\nnamed,dog\naccepted,\nunranked,dog\n")
    images, labels = label("truth", tmp_path / "truth.csv")
    assert list(images["image_id"]) == ["in1", "in2", "named"]
    assert labels.loc["named"].to_dict() == {"cat": False, "dog": True}


def test_without_a_reject_the_list_is_that_of_d_in(label):
    images, labels = label("decisions", [])
    assert list(images["image_id"]) == ["in1", "in2"]
    assert labels.dtypes.eq(bool).all()


def test_a_candidate_with_the_id_of_a_photograph_is_refused(label, tmp_path):
    (tmp_path / "truth.csv").write_text("image_id,class\nin1,dog\n")
    with pytest.raises(InputError, match="the candidate 'in1' has the id of an image"):
        label("truth", tmp_path / "truth.csv", ["in1"])


ASKS = {"classifiers": {"cam-more": {"data": {"rejects": True}}}}


def test_the_classifier_that_asks_trains_on_them_and_its_row_says_so():
    found = targets(ASKS)
    files = Inputs(found).training_files
    with_rejects, without = (
        files(SimpleNamespace(classifier=name, seed="0")) for name in ("cam-more", "cam-wood")
    )
    assert with_rejects["images"] == "results/demo/ood/labelled_rejects/train.csv"
    assert with_rejects["labels"] == "results/demo/ood/labelled_rejects/labels.parquet"
    assert without["images"] == "results/demo/data/train.csv"
    assert "rejected candidates as labelled photographs" in basis(found.config, "irn-more")
    assert basis(found.config, "irn-wood") == []
    assert found.takes_answers("irn-more")
    assert not targets().takes_answers("irn-more")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (ASKS | {"ood": {"review": {"policy": "none"}}}, "nobody reviews candidates"),
        ({"classifiers": {"cam": {"data": {"rejects": True}}}}, "which finds them, needs it"),
    ],
)
def test_rejects_that_there_cannot_be_are_refused(changes, words):
    with pytest.raises(SystemExit, match=words):
        targets(changes)
