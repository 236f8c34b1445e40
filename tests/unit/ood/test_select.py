"""How hard candidates are chosen: averaged scores, and a number per class (`ood.select`)."""

import numpy as np
import pandas as pd
import pytest

from tests.unit.ood.shards import SHARDS, candidate_list, score_shard
from tests.workflow.plan import plan
from wood.ood.averages import mean_scores
from wood.ood.hard_ood import select_random_ood
from wood.ood.ranking import rank
from wood.ood.scoring import COLUMNS
from wood.runtime.errors import InputError
from wood.runtime.store import write_table


def shard(path, scores, ids=("a", "b")):
    """Write what F_in says of each image: {class: p(c) of each}."""
    table = pd.DataFrame({name: np.float32(values) for name, values in scores.items()})
    names = list(scores)
    best = table[names].to_numpy()
    table = table.assign(image_id=list(ids), path="x.jpg", split="train")
    table["score"], table["class"] = best.max(axis=1), np.array(names)[best.argmax(axis=1)]
    write_table(path, table[[*COLUMNS, *names]])
    return path


def test_scores_are_averaged_class_by_class(tmp_path):
    one = shard(tmp_path / "0", {"cat": [0.9, 0.1], "dog": [0.2, 0.3]})
    two = shard(tmp_path / "1", {"cat": [0.1, 0.2], "dog": [0.9, 0.5]})
    found = mean_scores([one, two], tmp_path / "mean")
    assert list(found["class"]) == ["dog", "dog"]  # not the class of the highest single score
    assert found["score"].to_numpy() == pytest.approx([0.55, 0.4])
    assert found["cat"].to_numpy() == pytest.approx([0.5, 0.15])
    pd.testing.assert_frame_equal(found, pd.read_parquet(tmp_path / "mean"))
    assert list(found.columns) == list(pd.read_parquet(one).columns)
    assert found.dtypes.equals(pd.read_parquet(one).dtypes)


def test_the_average_of_one_is_itself(tmp_path):
    one = shard(tmp_path / "0", {"cat": [0.9, 0.1], "dog": [0.2, 0.3]})
    pd.testing.assert_frame_equal(mean_scores([one], tmp_path / "mean"), pd.read_parquet(one))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"scores": {"dog": [0.9, 0.5], "cat": [0.1, 0.2]}}, "the classes are not those"),
        ({"scores": {"cat": [0.1, 0.2], "dog": [0.1, 0.2]}, "ids": "ac"}, "the images are not"),
    ],
)
def test_scores_of_others_are_refused(tmp_path, other, words):
    one = shard(tmp_path / "0", {"cat": [0.9, 0.1], "dog": [0.2, 0.3]})
    with pytest.raises(InputError, match=words):
        mean_scores([one, shard(tmp_path / "1", **other)], tmp_path / "mean")


def test_a_number_per_class_comes_whatever_the_score(ranked):
    assert list(ranked(*SHARDS, count=3)["image_id"]) == ["c", "a", "b", "d", "edge"]
    assert list(ranked(*SHARDS, count=4)["image_id"]) == ["c", "a", "b", "d", "edge", "low"]
    assert list(ranked(*SHARDS, count=1)["image_id"]) == ["c", "a"]
    assert list(ranked(*SHARDS, count=4, cap_per_class=1)["image_id"]) == ["c", "a"]


def test_undecided_images_of_the_ranking_are_no_random_control(tmp_path):
    """With a number per class, images below the threshold are shown and may be undecided."""
    scores = score_shard(tmp_path / "scores", [("a", "cat", 0.2), ("b", "cat", 0.1)])
    known = candidate_list(tmp_path / "candidates", ["a", "b"])
    rank([scores], known, tmp_path / "ranking", tmp_path / "csv", count=1)
    manifest = pd.read_parquet(scores).drop(columns=["class", "score"]).assign(status="ok")
    write_table(tmp_path / "manifest", manifest.assign(license="", author="", url=""))
    (tmp_path / "decisions.csv").write_text("image_id,decision,class,reviewer,time\n")
    drawn = select_random_ood(
        *([tmp_path / "manifest"], [scores], tmp_path / "random.csv"),
        **{"count": 1, "seed": 0, "threshold": 0.5, "policy": "decisions"},
        **{"ranking": tmp_path / "ranking", "answers": tmp_path / "decisions.csv"},
    )
    assert list(drawn["image_id"]) == ["b"]


@pytest.mark.parametrize(("count", "scored"), [(1, set()), (3, {"1", "2"})])
def test_each_further_seed_scores_every_shard(tmp_path, count, scored):
    changes = {"ood": {"select": {"seeds": count}}, "shards": {"candidates": 2}}
    (tmp_path / "run").mkdir()
    jobs = plan(tmp_path / "run", changes, targets=["hard_ood"])
    more = [job.wildcards for job in jobs if job.rule == "candidate_scores_of_seed"]
    assert {job["seed"] for job in more} == scored
    assert len(more) == 2 * len(scored)
    assert sum(job.rule == "candidate_scores" for job in jobs) == 2
    assert sum(job.rule == "mean_scores" for job in jobs) == (2 if scored else 0)
    trained = {job.wildcards["seed"] for job in jobs if job.rule == "train_classifier"}
    assert trained == {"0", *scored}
    ranking = next(job for job in jobs if job.rule == "ranking")
    assert ranking.outputs[0].endswith("ood/ranking.parquet")
