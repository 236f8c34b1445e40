"""The whole pipeline on the smallest demo, and what reruns when something changes."""

import json
import shutil

import pytest
import yaml

from tests.devkit import make_devkit
from tests.places import ROOT
from tests.workflow.workflow import Workflow
from wood.data.lists import read_image_list
from wood.data.masks import VOC_CLASSES
from wood.runtime.store import load_tensors, read_json
from wood.workflow.resolve import merge

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
    assert {job.rule for job in jobs} - {"all", "provenance"} == AFTER_WOOD
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
         AFTER_WOOD | {"features", "centers", "candidate_scores", "ranking", "hard_ood_list"}),
    ],
)  # fmt: skip
def test_a_change_reruns_what_depends_on_it(made, changes, rules):
    found = made.rules(changes=changes)
    unsure = {"features", "contact_sheet", "centers", "cluster_sheet"}
    assert found - unsure == rules - unsure


def test_the_random_control_is_drawn_from_all_candidates(copy):
    changes = {
        "classifiers": {"cam-random": {"like": "cam-wood", "wood": {"images": "random"}}},
        "ood": {"cap_per_class": 6},
    }
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


def test_the_unreviewed_images_stand_beside_the_reviewed_ones(copy):
    """One run makes both; rejects are left in, and the reviewer's answers are not read."""
    changes = {
        "classifiers": {"cam-unreviewed": {"like": "cam-wood", "wood": {"images": "unreviewed"}}},
    }
    target = "results/small/classifiers/cam-unreviewed/seed-0/centers.safetensors"
    jobs = copy.planned(target, changes=changes)
    assert [job.rule for job in jobs if any("review-truth" in path for path in job.inputs)] == []
    copy.make(target, changes=changes)
    results = copy.folder / "results" / "small"
    hard, unreviewed = (
        read_image_list(results / "ood" / name)["image_id"].tolist()
        for name in ("hard_ood.csv", "unreviewed_ood.csv")
    )
    rejected = read_json(results / "ood" / "review_stats.json")["rejected"]
    assert rejected > 0
    assert len(unreviewed) == len(hard) + rejected
    assert [image_id for image_id in unreviewed if image_id in set(hard)] == hard
    _, metadata = load_tensors(copy.folder / target)
    assert metadata["images"] == unreviewed
    plan = copy.planned(target.replace("unreviewed", "wood"), changes=changes)
    assert plan == []


def test_only_evaluation_reads_the_true_masks(whole_plan):
    readers = {
        job.rule for job in whole_plan if any("SegmentationClass" in path for path in job.inputs)
    }
    assert readers == READS_MASKS
    assert len(whole_plan) > 40


@pytest.mark.parametrize("margins", [False, True])
def test_a_threshold_chosen_on_half_a_is_an_exception_that_is_asked_for(
    whole_plan, tmp_path, margins
):
    """One choice for a family; with margins the IR labels follow from it and have seen half A."""
    changes = {"experiment": {"threshold": "half-a"}}
    if margins:
        changes["experiment"]["pseudo"] = dict.fromkeys(
            ("foreground_threshold", "background_threshold")
        )
    plan = Workflow(tmp_path).planned("all", changes=changes)
    choices = [job for job in plan if job.rule == "choose_threshold"]
    chosen = {path for job in choices for path in job.outputs}
    assert chosen == {"results/small/thresholds/half-a/irn/seed-0.json"}
    readers = {job.rule for job in plan if any("SegmentationClass" in path for path in job.inputs)}
    assert readers == READS_MASKS | {"choose_threshold"}
    users = {job.rule for job in plan if chosen & set(job.inputs)}
    assert users - {"provenance"} == {"score_seeds", "seeds_with_crf"} | (
        {"ir_labels"} if margins else set()
    )
    assert not [job.rule for job in whole_plan if job.rule == "choose_threshold"]


def test_a_threshold_chosen_beside_ood_images_reads_no_mask(tmp_path):
    changes = {"experiment": {"threshold": "beside-ood"}}
    plan = Workflow(tmp_path).planned("all", changes=changes)
    (choice,) = (job for job in plan if job.rule == "threshold_beside_ood")
    assert list(choice.outputs) == ["results/small/thresholds/beside-ood/irn/seed-0.json"]
    assert "results/small/ood/hard_ood.csv" in choice.inputs
    assert "results/small/classifiers/cam/seed-0/model.safetensors" in choice.inputs
    readers = {job.rule for job in plan if any("SegmentationClass" in path for path in job.inputs)}
    assert readers == READS_MASKS
    users = {job.rule for job in plan if set(choice.outputs) & set(job.inputs)}
    assert users - {"provenance"} == {"score_seeds", "seeds_with_crf"}


def test_a_chosen_threshold_is_marked_in_the_scores(copy):
    changes = {
        "experiment": {
            "threshold": "half-a",
            "published_sweep": [0.08, 0.14],
            "pseudo": dict.fromkeys(("foreground_threshold", "background_threshold")),
        }
    }
    copy.make("seeds", "pseudo_masks", changes=changes)
    results = copy.folder / "results" / "small"
    choice = read_json(results / "thresholds" / "half-a" / "irn" / "seed-0.json")
    assert (choice["half"], choice["experiment"], choice["reads_masks"]) == ("A", "irn", True)
    for name in ("irn", "irn-wood", "irn-more"):
        score = read_json(results / "scores" / "seeds" / name / "seed-0.json")
        assert score["threshold"] == choice["threshold"]
        assert score["chosen"] == {"half": "A", "experiment": "irn"}
        assert 0.08 <= score["published"]["threshold"] <= 0.14
    best = read_json(results / "scores" / "seeds" / "irn" / "seed-0.json")["halves"]["A"]["oracle"]
    assert choice["threshold"] == best["threshold"]
    assert choice["miou"] == best["summary"]["miou"]


def test_the_upper_bound_is_the_one_exception_and_in_no_default_target(whole_plan, tmp_path):
    plan = Workflow(tmp_path).planned("fully_supervised")
    readers = {job.rule for job in plan if any("SegmentationClass" in path for path in job.inputs)}
    assert readers == {"true_masks", "score_fully_supervised"}
    users = {job.rule for job in plan if any("true_masks" in path for path in job.inputs)}
    assert users == {"train_fully_supervised"}
    assert not [job.rule for job in whole_plan if "supervised" in job.rule or "true" in job.rule]
    results = {path for job in plan for path in job.outputs if "network" in path}
    assert results
    assert all("fully_supervised" in path for path in results)


def test_the_archives_for_the_evaluation_server(tmp_path):
    images = {str(number): [name] for number, name in enumerate(VOC_CLASSES)}
    sets = {name: list(images) for name in ("train_aug", "train", "val")} | {"test": ["3", "4"]}
    devkit = make_devkit(tmp_path / "data", images, sets, masks=list(images))
    changes = {
        "classes": list(VOC_CLASSES),
        "data": {"source": "voc", "voc_root": str(devkit), "test": "test", "test_images": 2},
        "ood": {"openimages": {"base": str(devkit)}, "review": {"policy": "none"}},
    }
    workflow = Workflow(tmp_path)
    plan = workflow.planned("submission", changes=changes)
    archives = [path for job in plan if job.rule == "submission_archive" for path in job.outputs]
    assert set(archives) == {
        f"results/small/experiments/{name}/seed-0/comp6_test_cls.tar.gz"
        for name in ("irn", "irn-wood")
    }
    assert not any("SegmentationClass" in path for job in plan for path in job.inputs)
    # The test set has images, but no annotations.
    (devkit / "Annotations" / "3.xml").unlink()
    workflow.make("results/small/data/test.csv", changes=changes)
    lines = (tmp_path / "results/small/data/test.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["3", "4"]


def test_the_papers_settings_run_with_only_the_sizes_reduced(copy):
    """IRN and DeepLab-v2 as configs/voc12.yaml has them, instances and the upper bound too."""
    paper = yaml.safe_load((ROOT / "configs" / "voc12.yaml").read_text())["experiment"]
    sizes = {
        "pseudo": {
            "instances": True,
            "irnet": {
                "backbone": "tf_efficientnet_lite0", "weights": "package", "crop": 96,
                "radius": 10, "training": {"batch_size": 6, "workers": 0},
            },
        },
        "segmentation": {
            "backbone": "test_resnet", "weights": None, "crop": 65,
            "training": {"iterations": 3, "batch_size": 2, "workers": 0},
        },
    }  # fmt: skip
    changes = {
        "experiment": merge(paper, sizes),
        "experiments": {"irn-more": None, "irn-wood": None},
    }
    copy.make("pseudo_masks", "segmentation", "fully_supervised", changes=changes)
    results = copy.folder / "results" / "small"
    folder = results / "experiments" / "irn" / "seed-0"
    for network in (folder, results / "fully_supervised" / "seed-0"):
        metadata = load_tensors(network / "network.safetensors")[1]
        assert metadata["atrous_rates"] == [6, 12, 18, 24]
        assert metadata["output_stride"] == 8
        lines = [json.loads(line) for line in (network / "network.jsonl").open()]
        # Decay every 10 iterations: the rate has not changed after 3.
        assert [line["lr"] for line in lines] == [2.5e-4] * 3
        assert all(0 < line["loss_max"] < line["loss"] for line in lines)
    first = json.loads((folder / "pseudo" / "irnet.jsonl").read_text().splitlines()[0])
    assert 0.09 < first["lr"] <= 0.1
    assert len(list((folder / "pseudo_masks").glob("*.png"))) == 30
    for shard in ("0000", "0001"):
        assert len(list((folder / "pseudo" / "boundaries" / shard).glob("*.png"))) == 15
    instances = json.loads((folder / "instances.json").read_text())
    assert len(instances["images"]) == 30
    assert {one["image_id"] for one in instances["annotations"]} <= set(range(1, 31))
    for score in ("segmentation/irn", "fully_supervised"):
        found = json.loads((results / "scores" / score / "seed-0.json").read_text())
        assert 0 < found["miou"] < 1
        assert found["crf"] is not None


def test_nothing_that_trains_or_makes_masks_comes_after_a_score(whole_plan):
    """Nor does it read what evaluation wrote: no checkpoint or threshold is chosen with masks."""
    scores = {path for job in whole_plan if job.rule in READS_MASKS for path in job.outputs}
    readers = {job.rule for job in whole_plan if scores & set(job.inputs)}
    assert readers <= {"report_page", "provenance", "all"}


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
