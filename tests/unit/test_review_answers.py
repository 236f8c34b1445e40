"""What a review records, whom it believes, and what it shows of two reviewers."""

from datetime import UTC, datetime

import pytest

from wood.ood.decisions import Decision, append_decision, now, read_history
from wood.review.answers import Review
from wood.review.session import review_name
from wood.runtime.errors import InputError


@pytest.fixture
def review(tmp_path):
    rows = [
        {"image_id": name, "class": label, "screen": "0001"}
        for name, label in zip("abcd", ["cat", "cat", "dog", "dog"], strict=True)
    ]
    return Review(
        name="p",
        decisions=str(tmp_path / "ann.csv"),
        reviewer="ann",
        classes=["cat", "dog"],
        wanted=2,
        others=[str(tmp_path / "bob.csv")],
        candidates=rows,
    )


def press(*answers, **more):
    return {"answers": [{"image": image, "word": word} for image, word in answers], **more}


def test_a_press_is_recorded_as_a_whole_with_the_time_of_its_key(review):
    before = datetime.now(UTC)
    review.record([press(("a", "accept"), ("c", "reject"), screen="0001", age=5000)])
    lines = read_history(review.decisions)
    assert lines["image_id"].tolist() == ["a", "c"]
    assert lines["class"].tolist() == ["cat", "dog"]
    assert lines["screen"].tolist() == ["0001", "0001"]
    assert len(set(lines["time"])) == 1
    assert 4 < (before - datetime.fromisoformat(lines["time"][0])).total_seconds() < 6


def test_a_foreign_image_is_refused_with_all_presses(review):
    """The page sends them all again: what was written would stand there twice."""
    with pytest.raises(InputError, match="'z' is no image of this review, p: not recorded"):
        review.record([press(("a", "accept")), press(("b", "accept"), ("z", "accept"))])
    assert review.own().empty


def test_an_undo_takes_the_last_press_of_this_reviewer(review):
    review.record([press(("a", "accept"), ("b", "accept")), press(("c", "reject"))])
    append_decision(review.decisions, Decision("d", "accept", "dog", "bob", now()))
    assert review.record([{"undo": True}]) == ["c"]
    assert review.record([{"undo": True}]) == ["a", "b"]
    assert review.record([{"undo": True}]) == []
    assert review.own().empty
    assert review.foreign() == {"d": "bob: accept"}


def test_an_undo_of_chosen_images(review):
    review.record([press(("a", "accept"), ("b", "accept"))])
    assert review.record([{"undo": True, "images": ["b", "d"]}]) == ["b"]
    assert review.own().index.tolist() == ["a"]


def test_each_reviewer_has_own_progress_and_sees_the_dispute(review, tmp_path):
    review.record([press(("a", "accept"))])
    append_decision(review.others[0], Decision("a", "reject", "cat", "bob", now(), found="cat"))
    append_decision(review.others[0], Decision("b", "accept", "cat", "bob", now()))
    state = {row["image_id"]: row for row in review.state()["candidates"]}
    assert [state[image]["decision"] for image in "abcd"] == ["accept", None, None, None]
    assert [state[image]["disputed"] for image in "abcd"] == [True, False, False, False]
    assert state["a"]["others"] == "bob: reject"
    cat, dog = review.counts()
    assert cat == {"class": "cat", "accepted": 1, "rejected": 0, "remaining": 1, "wanted": 2}
    assert dog["remaining"] == 2


def test_a_review_is_read_as_it_was_written(review, tmp_path):
    review.write(tmp_path / "review.json")
    assert Review.read(tmp_path / "review.json") == review


def test_reviews_that_differ_have_different_names(tmp_path):
    cases = [
        ("猫", tmp_path / "a.csv", "ann"),
        ("犬", tmp_path / "a.csv", "ann"),
        ("p", tmp_path / "a.csv", "tv monitor"),
        ("p", tmp_path / "a.csv", "tv-monitor"),
        ("p", tmp_path / "b" / "a.csv", "ann"),
        ("p", tmp_path / "a.csv", "猫"),
    ]
    names = {review_name(*case) for case in cases}
    assert len(names) == len(cases)
    assert all(name.isascii() and " " not in name for name in names)
