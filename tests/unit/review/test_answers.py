"""What a review records, whom it believes, and what it shows of two reviewers."""

from pathlib import Path

import pytest

from wood.ood.decisions import Decision, append_decisions, now, read_history
from wood.review.answers import ForeignImage, Review
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
    time = "2026-03-02T10:14:07.512+01:00"
    review.record([press(("a", "accept"), ("c", "reject"), screen="0001", time=time)])
    lines = read_history(review.decisions)
    assert lines["image_id"].tolist() == ["a", "c"]
    assert lines["class"].tolist() == ["cat", "dog"]
    assert lines["screen"].tolist() == ["0001", "0001"]
    assert lines["time"].tolist() == ["2026-03-02T09:14:07.512000+00:00"] * 2
    with pytest.raises(InputError, match="'yesterday' is no time of a key press"):
        review.record([press(("b", "accept"), time="yesterday")])


def test_presses_that_are_sent_again_are_recorded_once(review):
    """A page that got no report cannot know whether the file has its presses."""
    first = press(("a", "accept"), ("b", "accept"), time="2026-03-02T09:00:00.001Z")
    second = press(("c", "reject"), time="2026-03-02T09:00:00.002Z")
    undo = {"undo": True, "time": "2026-03-02T09:00:01Z"}
    review.record([first])
    append_decisions(review.decisions, [Decision("d", "accept", "dog", "bob", now())])
    assert review.record([first, second]) == ["c"]
    assert review.record([undo]) == ["c"]
    assert review.record([undo]) == ["c"]
    assert review.own().index.tolist() == ["a", "b"]
    words = read_history(review.decisions)["decision"].tolist()
    assert words == ["accept", "accept", "accept", "reject", "undo"]


@pytest.mark.parametrize("lines", range(3))
def test_a_press_that_was_cut_is_completed(review, lines):
    """The server was killed between two lines of a press, or of its undo."""
    whole = press(("a", "accept"), ("b", "accept"), time="2026-03-02T09:00:00Z")
    undo = {"undo": True, "time": "2026-03-02T09:00:01Z"}
    for sent, left in ((whole, ["a", "b"]), (undo, [])):
        text = Path(review.decisions).read_bytes() if left == [] else b""
        review.record([sent])
        kept = Path(review.decisions).read_bytes()[len(text) :].splitlines(keepends=True)
        kept = kept[: lines + (left != [])]  # of a new file the first line is the header
        Path(review.decisions).write_bytes(text + b"".join(kept))
        assert review.record([sent]) == ["a", "b"]
        assert review.own().index.tolist() == left


def test_a_foreign_image_is_refused_with_all_presses(review):
    """The page takes it out and sends the others again."""
    with pytest.raises(ForeignImage, match="'z' is no image of this review, p: not recorded") as no:
        review.record([press(("a", "accept")), press(("b", "accept"), ("z", "accept"))])
    assert no.value.images == ["z"]
    assert review.own().empty


def test_an_undo_takes_the_last_press_of_this_reviewer(review):
    review.record([press(("a", "accept"), ("b", "accept")), press(("c", "reject"))])
    append_decisions(review.decisions, [Decision("d", "accept", "dog", "bob", now())])
    assert review.record([{"undo": True}]) == ["c"]
    assert review.record([{"undo": True}]) == ["a", "b"]
    assert review.record([{"undo": True}]) == []
    assert review.own().empty
    assert review.foreign() == {"d": "bob: accept"}


def test_an_undo_of_chosen_images(review):
    review.record([press(("a", "accept"), ("b", "accept"))])
    assert review.record([{"undo": True, "images": ["b", "d"]}]) == ["b"]
    assert review.record([{"undo": True, "images": ["b", "d"]}]) == []
    assert review.own().index.tolist() == ["a"]


def test_each_reviewer_has_own_progress_and_sees_the_dispute(review, tmp_path):
    review.record([press(("a", "accept"))])
    append_decisions(review.others[0], [Decision("a", "reject", "cat", "bob", now(), found="cat")])
    append_decisions(review.others[0], [Decision("b", "accept", "cat", "bob", now())])
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
