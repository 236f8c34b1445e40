"""Scores to ranking to the hard OoD set, and what the review cost."""

import json

import pandas as pd
import pytest

from tests.unit.ood.shards import SHARDS, score_shard
from tests.unit.openimages import write_image
from wood.data.lists import read_image_list
from wood.ood.hard_ood import (
    COLUMNS,
    from_list,
    read_truth,
    select_hard_ood,
    select_random_ood,
    select_unreviewed_ood,
)
from wood.ood.ranking import COLUMNS as RANKING_COLUMNS
from wood.ood.statistics import count_looks, images_to_check, review_statistics
from wood.runtime.errors import InputError
from wood.runtime.store import write_table

CLASSES = ["cat", "dog"]


def test_the_ranking_is_by_score_then_id_at_or_above_the_threshold(ranked, tmp_path):
    table = ranked(*SHARDS)
    assert list(table.columns) == RANKING_COLUMNS
    assert list(table["image_id"]) == ["c", "a", "b", "d", "edge"]
    assert list(table["rank"]) == [1, 2, 3, 4, 5]
    assert table["labels"].iloc[0] == "labels of c"
    assert table["author"].iloc[4] == "author of edge"
    text = pd.read_csv(tmp_path / "ranking.csv")
    assert list(text["image_id"]) == list(table["image_id"])


def test_shards_can_come_in_any_order(ranked):
    pd.testing.assert_frame_equal(ranked(*SHARDS), ranked(*reversed(SHARDS)))


def test_the_cap_keeps_the_hardest_of_each_class(ranked):
    table = ranked(*SHARDS, cap_per_class=1)
    assert list(zip(table["image_id"], table["rank"], strict=True)) == [("c", 1), ("a", 2)]


def test_a_class_may_have_its_own_threshold(ranked):
    table = ranked(*SHARDS, threshold={"cat": 0.7})
    rows = list(zip(table["rank"], table["class"], table["image_id"], strict=True))
    assert rows == [(1, "cat", "c"), (2, "dog", "a"), (3, "cat", "b"), (4, "dog", "edge")]


def test_no_candidate_above_the_threshold_is_an_error(ranked):
    with pytest.raises(InputError, match=r"none of 3 candidates has a score of 0\.95 or more"):
        ranked(SHARDS[0], threshold=0.95)


def test_an_image_in_two_shards_is_named(ranked):
    with pytest.raises(InputError, match="the image 'c' is scored twice"):
        ranked(SHARDS[1], SHARDS[1])


def decisions(path, rows):
    table = pd.DataFrame(rows, columns=["image_id", "decision", "class", "reviewer", "time"])
    table.to_csv(path, index=False)
    return path


def manifest(path, ids, status="ok"):
    """Write what came of the photographs of one shard."""
    write_table(path, pd.DataFrame({"image_id": ids, "status": status}))
    return path


def moment(seconds):
    return f"2026-01-01T10:{seconds // 60:02d}:{seconds % 60:02d}+00:00"


def select(tmp_path, **settings):
    paths = tmp_path / "hard_ood.csv", tmp_path / "review_stats.json"
    select_hard_ood(tmp_path / "ranking.parquet", *paths, classes=CLASSES, **settings)
    return pd.read_csv(paths[0], keep_default_na=False), json.loads(paths[1].read_text())


def test_only_accepted_images_are_hard_ood(ranked, tmp_path):
    ranked(*SHARDS)
    file = decisions(
        tmp_path / "decisions.csv",
        [
            ("edge", "accept", "dog", "Ann", moment(0)),
            ("c", "reject", "cat", "Ann", moment(4)),
            ("a", "accept", "dog", "Ann", moment(6)),
            ("elsewhere", "accept", "dog", "Ann", moment(7)),
        ],
    )
    images = [
        manifest(tmp_path / "images-0.parquet", list("abcd")),
        manifest(tmp_path / "images-1.parquet", ["edge", "low"]),
        manifest(tmp_path / "images-2.parquet", ["gone"], status="missing"),
    ]
    table, stats = select(tmp_path, policy="decisions", answers=file, images=images)
    assert list(table.columns) == COLUMNS
    assert list(table["image_id"]) == ["a", "edge"]
    assert list(table["class"]) == ["dog", "dog"]
    assert table["license"].iloc[0] == "license of a"
    assert table["score"].tolist() == [0.75, 0.5]
    assert stats["candidates"] == 7
    assert stats["photographs"] == {"ok": 6, "missing": 1, "failed": 0}
    assert stats["seconds_per_decision"] == 3  # of 4 and 2
    assert stats["minutes"] == pytest.approx(6 / 60)
    assert stats["per_class"]["dog"]["seconds_per_decision"] == 2
    counted = [stats[key] for key in ("above_threshold", "checked", "accepted", "rejected")]
    assert counted == [5, 3, 2, 1]
    assert stats["positive_rate"] == pytest.approx(1 / 3)
    assert stats["check_per_hard_ood"] == pytest.approx(1.5)
    assert stats["formula"]["images_to_check"] == pytest.approx(2 * 1.5)
    assert stats["formula"]["paper_images_to_check"] == pytest.approx(5190 * 1.5)
    assert stats["per_class"]["cat"]["positive_rate"] == 1.0
    assert stats["per_class"]["cat"]["check_per_hard_ood"] is None
    assert stats["per_class"]["dog"]["accepted"] == 2
    assert read_image_list(tmp_path / "hard_ood.csv")["path"].iloc[0] == "/images/a.jpg"


def test_reviewers_who_disagree_reject(ranked, tmp_path):
    ranked(*SHARDS)
    one = decisions(tmp_path / "ann.csv", [("c", "accept", "cat", "Ann", moment(0))])
    rows = [("c", "reject", "cat", "Bob", moment(0)), ("a", "accept", "dog", "Bob", moment(1))]
    two = decisions(tmp_path / "bob.csv", rows)
    table, stats = select(tmp_path, policy="decisions", answers=[one, two])
    assert list(table["image_id"]) == ["a"]
    assert stats["disagreements"] == [{"image_id": "c", "accepted_by": "Ann", "rejected_by": "Bob"}]


def test_too_few_decisions_say_what_to_run(ranked, tmp_path):
    ranked(*SHARDS)
    file = decisions(tmp_path / "d.csv", [("a", "accept", "dog", "Ann", moment(0))])
    with pytest.raises(InputError, match=r"4 images are not decided yet: run `snakemake review`"):
        select(tmp_path, policy="decisions", answers=file, minimum=2)
    with pytest.raises(InputError, match="5 images are not decided yet"):
        select(tmp_path, policy="decisions", answers=tmp_path / "none-yet.csv")
    assert not (tmp_path / "hard_ood.csv").exists()


@pytest.mark.parametrize("header", ["ImageID,foreground_class", "image_id,class"])
def test_a_truth_file_answers_for_every_image(ranked, tmp_path, header):
    ranked(*SHARDS)
    truth = tmp_path / "truth.csv"
    truth.write_text(f"{header}\nc,cat\na,\nb,\nd,\nedge,dog\n")
    table, stats = select(tmp_path, policy="truth", answers=truth)
    assert list(table["image_id"]) == ["a", "b", "d"]
    assert (stats["checked"], stats["rejected"], stats["policy"]) == (5, 2, "truth")
    with pytest.raises(InputError, match="3 hard OoD images are accepted, at least 4 needed"):
        select(tmp_path, policy="truth", answers=truth, minimum=4)


def test_images_that_the_truth_does_not_know_are_not_used(ranked, tmp_path):
    ranked(*SHARDS)
    truth = tmp_path / "truth.csv"
    truth.write_text("ImageID,foreground_class\na,\n")
    settings = {"policy": "truth", "answers": truth}
    with pytest.raises(InputError, match="only 1 of its 5 images, such as 'c', is in"):
        select(tmp_path, **settings)
    table, stats = select(tmp_path, **settings, max_unmatched_fraction=0.9)
    assert list(table["image_id"]) == ["a"]
    assert stats["checked"] == 1


def test_without_a_review_all_are_used_and_the_statistics_say_so(ranked, tmp_path):
    ranked(*SHARDS)
    table, stats = select(tmp_path, policy="none")
    assert len(table) == 5
    assert (stats["policy"], stats["reviewed"], stats["checked"]) == ("none", False, 0)
    assert stats["positive_rate"] is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"policy": "guess"}, "'guess' is none of decisions, truth, none"),
        ({"policy": "truth"}, "ood.review.truth: the policy needs a file"),
        ({"policy": "decisions"}, "ood.review.decisions: the policy needs a file"),
    ],
)
def test_impossible_policies_are_named(ranked, tmp_path, settings, message):
    ranked(*SHARDS)
    with pytest.raises(InputError, match=message):
        select(tmp_path, **settings)


def statistics_of(history):
    """The statistics of a ranking of six cats, from lines (image, decision, reviewer, second)."""
    ranking = pd.DataFrame({"image_id": list("abcdef"), "class": "cat"})
    lines = [(image, word, name, moment(second)) for image, word, name, second in history]
    history = pd.DataFrame(lines, columns=["image_id", "decision", "reviewer", "time"])
    answers = history.drop_duplicates("image_id", keep="last").query("decision != 'undo'")
    return review_statistics(
        ranking,
        answers,
        policy="decisions",
        photographs=None,
        used=6,
        classes=["cat"],
        history=history,
    )


def test_the_time_of_decisions_leaves_breaks_out():
    seconds = {"a": 0, "b": 4, "c": 6, "d": 1806, "e": 1812, "f": 1812}  # a break; two at once
    stats = statistics_of([(image, "accept", "Ann", at) for image, at in seconds.items()])
    assert stats["seconds_per_decision"] == 3  # of 4, 2, 3, 3
    assert stats["minutes"] == pytest.approx(12 / 60)


def test_looks_are_screens_and_single_images():
    answer = {"decision": "accept", "reviewer": "ann", "screen": "", "look": "single"}
    on_screen = answer | {"screen": "0001", "look": "screen", "time": "2026-01-01T00:00:00Z"}
    clicked = on_screen | {"look": "single", "decision": "reject"}
    lines = [on_screen | {"image_id": "a"}, on_screen | {"image_id": "b"}]
    lines += [clicked | {"image_id": "c"}]
    lines += [answer | {"image_id": "d", "time": "2026-01-01T00:00:08Z"}]
    undo = {"decision": "undo", "look": "", "time": "2026-01-01T00:00:10Z"}
    lines += [answer | undo | {"image_id": "d"}]
    lines += [answer | {"image_id": "unranked", "time": "2026-01-01T00:00:11Z"}]
    ranking = pd.DataFrame({"image_id": list("abcdef")})
    assert count_looks(ranking, pd.DataFrame(lines)) == {
        "screens": 1,
        "singles": 2,
        "looks": 3,
        "seconds_per_look": pytest.approx(11 / 3),
    }
    assert count_looks(ranking, None) is None


def test_the_time_is_every_reviewers_and_that_of_answers_taken_back():
    stats = statistics_of(
        [
            *[("a", "accept", "Ann", 0), ("a", "undo", "Ann", 5), ("a", "reject", "Ann", 6)],
            *[("a", "accept", "Bob", 60), ("x", "accept", "Bob", 61), ("b", "accept", "Bob", 68)],
        ]
    )
    assert stats["checked"] == 2
    assert stats["seconds_per_decision"] == 4  # of 1 and 7; x is not in the ranking
    assert stats["minutes"] == pytest.approx((5 + 1 + 7) / 60)


def test_a_class_without_accepted_images_has_no_cost_by_the_formula():
    assert images_to_check(100, 0.2) == pytest.approx(125)
    assert images_to_check(100, 0) == 100
    assert images_to_check(100, 1) is None
    assert images_to_check(100, None) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,class\na,\n", "the columns are not image_id and foreground_class"),
        ("ImageID,foreground_class\na,\na,cat\n", "row 3: the image 'a' is listed twice"),
        ("", "not a CSV file"),
    ],
)
def test_a_bad_truth_file_is_named(tmp_path, text, message):
    path = tmp_path / "truth.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_truth(path)


def pool(folder, scores):
    """The manifest and the scores of candidates, by image id; None is an unreadable image."""
    table = pd.DataFrame({"image_id": list(scores), "status": "ok"})
    for name in ("split", "path", "license", "author", "url"):
        table[name] = name
    write_table(folder / "manifest.parquet", table)
    rows = [(image_id, "cat", score) for image_id, score in scores.items() if score is not None]
    score_shard(folder / "scores.parquet", rows)
    return [folder / "manifest.parquet"], [folder / "scores.parquet"]


def test_the_random_control_takes_reviewed_images_of_any_score(tmp_path):
    names = [f"{number:03d}" for number in range(100)]
    files = pool(tmp_path, {name: number / 100 for number, name in enumerate(names)})
    truth = tmp_path / "truth.csv"
    lines = [f"{name},{'cat' if number % 2 else ''}" for number, name in enumerate(names)]
    truth.write_text("\n".join(["ImageID,foreground_class", *lines]))

    def control(seed, count=20):
        path = tmp_path / f"random-{seed}.csv"
        select_random_ood(
            *files, path, count=count, seed=seed, threshold=0.5, policy="truth", answers=truth
        )
        return path.read_bytes(), set(pd.read_csv(path, dtype=str)["image_id"])

    content, chosen = control(1)
    assert len(chosen) == 20
    assert chosen <= set(names[::2])
    assert min(chosen) < "050" < max(chosen)
    assert control(1)[0] == content
    assert control(2)[1] != chosen
    with pytest.raises(InputError, match="51 random OoD images are wanted, but only 50"):
        control(1, count=51)


def test_the_random_control_takes_no_hard_candidate_that_nobody_accepted(tmp_path):
    """With a person's decisions, easy candidates count as free of objects: nobody is shown them."""
    files = pool(
        tmp_path, {"accepted": 0.9, "rejected": 0.8, "open": 0.5, "easy": 0.4, "bad": None}
    )
    decisions = tmp_path / "decisions.csv"
    rows = [f"{name},{name[:6]},cat,me,2026-01-01T00:00:00Z" for name in ("accepted", "rejected")]
    decisions.write_text("\n".join(["image_id,decision,class,reviewer,time", *rows]) + "\n")
    drawn = {"seed": 0, "threshold": 0.5, "policy": "decisions", "answers": decisions}
    table = select_random_ood(*files, tmp_path / "random.csv", count=2, **drawn)
    assert set(table["image_id"]) == {"accepted", "easy"}
    assert list(table["class"]) == ["cat", "cat"]
    with pytest.raises(InputError, match="3 random OoD images are wanted, but only 2"):
        select_random_ood(*files, tmp_path / "random.csv", count=3, **drawn)


def test_the_unreviewed_set_is_the_ranking(ranked, tmp_path):
    ranking = ranked(*SHARDS)
    chosen = select_unreviewed_ood(tmp_path / "ranking.parquet", tmp_path / "unreviewed.csv")
    assert chosen["image_id"].tolist() == ranking["image_id"].tolist()
    written = read_image_list(tmp_path / "unreviewed.csv")
    assert written.columns.tolist() == COLUMNS
    with pytest.raises(InputError, match=r"ranking\.parquet: \d+ candidates .* at least 99 needed"):
        select_unreviewed_ood(tmp_path / "ranking.parquet", tmp_path / "u.csv", minimum=99)


def test_an_existing_list_of_file_names_becomes_the_set(tmp_path):
    for name in ("x1", "x2", "x3"):
        write_image(tmp_path / "images" / f"{name}.jpg")
    listing = tmp_path / "ood_list.txt"
    listing.write_text("x1\n\nx3.jpg\n")
    from_list(listing, tmp_path / "images", tmp_path / "hard_ood.csv")
    table = read_image_list(tmp_path / "hard_ood.csv")
    assert list(table.columns) == COLUMNS
    assert list(table["image_id"]) == ["x1", "x3"]
    assert table["path"].iloc[1] == str(tmp_path / "images" / "x3.jpg")


def test_an_existing_csv_keeps_what_it_says(tmp_path):
    write_image(tmp_path / "a.jpg")
    listing = tmp_path / "list.csv"
    listing.write_text("image_id,path,class,license\na,a.jpg,cat,CC BY\n")
    from_list(listing, None, tmp_path / "hard_ood.csv")
    row = read_image_list(tmp_path / "hard_ood.csv").iloc[0]
    assert (row["class"], row["license"], row["split"]) == ("cat", "CC BY", "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\nmissing\n", "missing.jpg is missing"),
        (b"../a\n", "leaves the folder"),
        (b"a\na.jpg\n", "line 2 names the image 'a' again, after line 1"),
        (b"\n", "the list of OoD images is empty, it names no image"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
    ],
)
def test_a_bad_list_is_named(tmp_path, content, message):
    write_image(tmp_path / "images" / "a.jpg")
    listing = tmp_path / "ood_list.txt"
    listing.write_bytes(content)
    with pytest.raises(InputError, match=message):
        from_list(listing, tmp_path / "images", tmp_path / "hard_ood.csv")
