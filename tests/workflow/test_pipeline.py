"""The whole pipeline on the smallest demo, and what reruns when something changes."""

import json
import shutil

import pytest

from tests.workflow.workflow import Workflow
from wood.data.lists import read_image_list
from wood.store import load_tensors

AFTER_WOOD = {
    "train_classifier", "localize", "score_seeds", "ir_labels", "train_irnet", "walk",
    "collect_pseudo_masks", "seeds_with_crf", "score_pseudo_masks", "train_segmentation",
    "segment", "collect_predictions", "score_segmentation", "report_page",
}  # fmt: skip

READS_MASKS = {"score_seeds", "score_pseudo_masks", "score_segmentation", "report_page"}


@pytest.fixture(scope="module")
def whole_plan(tmp_path_factory):
    """Every job of the small demo."""
    return Workflow(tmp_path_factory.mktemp("plan")).planned()


def test_every_result_is_there(made):
    results = made.folder / "results" / "small"
    assert (results / "report" / "index.html").stat().st_size > 10_000
    for stage, names in {
        "seeds": {"irn", "irn-more", "irn-wood"},
        "pseudo_masks": {"irn", "irn-wood"},
        "segmentation": {"irn", "irn-wood"},
    }.items():
        files = sorted((results / "scores" / stage).glob("*/seed-0.json"))
        assert {file.parent.name for file in files} == names
        for file in files:
            score = json.loads(file.read_text())
            assert 0 < score.get("configured", score)["miou"] < 1
    masks = results / "experiments" / "irn-wood" / "seed-0" / "pseudo_masks"
    assert len(list(masks.glob("*.png"))) == 30


def test_no_temporary_file_remains(made):
    left = [path for path in made.folder.rglob("*") if path.name.endswith((".part", ".checkpoint"))]
    assert left == []


def test_a_second_run_does_nothing(made):
    assert made.planned() == []


def test_distance_weight_reruns_wood_training_and_what_follows(made):
    jobs = made.planned(changes={"wood": {"distance_weight": 0.001}})
    trained = {job.wildcards for job in jobs if job.rule == "train_classifier"}
    assert trained == {"classifier=cam-wood, seed=0"}
    assert {job.rule for job in jobs} - {"all"} == AFTER_WOOD
    of_baseline = [
        job
        for job in jobs
        if "experiment=irn," in job.wildcards or "classifier=cam," in job.wildcards
    ]
    assert of_baseline == []


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({"experiment": {"threshold": 0.4}},
         {"score_seeds", "seeds_with_crf", "score_pseudo_masks", "report_page"}),
        ({"experiment": {"pseudo": {"mask_threshold": 0.35}}},
         {"walk", "collect_pseudo_masks", "score_pseudo_masks", "train_segmentation", "segment",
          "collect_predictions", "score_segmentation", "report_page"}),
        ({"experiment": {"segmentation": {"training": {"iterations": 3}}}},
         {"train_segmentation", "segment", "collect_predictions", "score_segmentation",
          "report_page"}),
        ({"experiment": {"title": "a"}}, {"report_page"}),
        ({"wood": {"clusters": 2}}, AFTER_WOOD | {"centers"}),
        ({"max_batch_pixels": 500_000},
         (AFTER_WOOD - {"train_classifier"}) | {"features", "centers", "train_classifier"}),
    ],
)  # fmt: skip
def test_a_change_reruns_what_depends_on_it(made, changes, rules):
    found = made.rules(changes=changes)
    unsure = {"features", "contact_sheet", "centers", "cluster_sheet"}
    assert found - unsure == rules - unsure


def test_the_random_control_is_drawn_from_all_candidates(copy):
    changes = {"classifiers": {"cam-random": {"like": "cam-wood", "ood": {"images": "random"}}}}
    copy.make("results/small/classifiers/cam-random/seed-0/centers.safetensors", changes=changes)
    results = copy.folder / "results" / "small"
    hard, drawn = (
        set(read_image_list(results / "ood" / name)["image_id"])
        for name in ("hard_ood.csv", "random_ood/seed-0.csv")
    )
    assert len(drawn) == len(hard)
    assert drawn != hard
    _, metadata = load_tensors(results / "classifiers/cam-random/seed-0/centers.safetensors")
    assert set(metadata["images"]) == drawn


def test_only_evaluation_reads_the_true_masks(whole_plan):
    readers = {
        job.rule for job in whole_plan if any("SegmentationClass" in path for path in job.inputs)
    }
    assert readers == READS_MASKS
    assert len(whole_plan) > 40


def test_nothing_that_trains_or_makes_masks_comes_after_a_score(whole_plan):
    """Nor does it read what evaluation wrote: no checkpoint or threshold is chosen with masks."""
    scores = {path for job in whole_plan if job.rule in READS_MASKS for path in job.outputs}
    readers = {job.rule for job in whole_plan if scores & set(job.inputs)}
    assert readers <= {"report_page", "all"}


def test_same_seed_same_bytes_and_without_masks_and_truth(made, tmp_path):
    """A second run, the masks and the reviewer's truth hidden, gives the same networks.

    The answers come from a decisions file instead. Then, with the masks back, the same scores.
    """
    other = Workflow(tmp_path)
    other.make("results/small/data/train.csv")
    results = tmp_path / "results" / "small"
    (results / "ood").mkdir()
    truth = (results / "demo" / "review-truth.csv").read_text().splitlines()[1:]
    lines = ["image_id,decision,class,reviewer,time"]
    for line in truth:
        image_id, foreground = line.split(",")
        lines.append(f"{image_id},{'reject' if foreground else 'accept'},,a,2026-01-01T00:00:00Z")
    (results / "ood" / "decisions.csv").write_text("\n".join(lines) + "\n")
    hidden = {
        results / "demo" / "VOCdevkit" / "VOC2012" / "SegmentationClass": tmp_path / "masks",
        results / "demo" / "review-truth.csv": tmp_path / "truth.csv",
    }
    for path, place in hidden.items():
        shutil.move(path, place)

    networks = [
        f"results/small/experiments/{name}/seed-0/network.safetensors"
        for name in ("irn", "irn-wood")
    ]
    decided = {"ood": {"review": {"policy": "decisions"}}}
    other.make(*networks, changes=decided)
    assert not any(path.exists() for path in hidden)
    for pattern in ("small/**/*.safetensors", "small/**/*.jsonl", "small/**/pseudo_masks/*.png"):
        made_files, other_files = made.files(pattern), other.files(pattern)
        assert set(other_files) <= set(made_files)
        for name, content in other_files.items():
            assert made_files[name] == content, name
    assert set(other.files("small/experiments/*/seed-0/network.safetensors")) == {
        path.removeprefix("results/") for path in networks
    }

    for path, place in hidden.items():
        shutil.move(place, path)
    other.make("segmentation", changes=decided)
    scores = other.files("small/scores/segmentation/**/*.json")
    assert scores
    assert scores == made.files("small/scores/segmentation/**/*.json")
