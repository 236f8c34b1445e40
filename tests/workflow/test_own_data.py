"""A data set without masks, its labels in a CSV; and an OoD set that exists already."""

import csv
import shutil

import pytest
from PIL import Image

from demo import generate_demo
from tests.places import ROOT
from tests.workflow.workflow import Workflow
from wood.data.masks import load_target
from wood.data.voc import annotated_classes
from wood.report.entry import STAGES
from wood.runtime.store import read_json

CLASSES = ["boat", "horse", "train"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Photographs in a folder, a CSV of labels, a pool; beside them masks, and lists of some."""
    folder = tmp_path_factory.mktemp("own")
    generate_demo(folder / "demo", seed=1, train_images=30, val_images=5, pool_images=40)
    voc = folder / "demo" / "VOCdevkit" / "VOC2012"
    shutil.copytree(voc / "JPEGImages", folder / "photographs")
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", *CLASSES, "remark"])
        for path in sorted((folder / "photographs").iterdir()):
            found = annotated_classes(voc / "Annotations" / f"{path.stem}.xml")
            writer.writerow([path.stem, *(int(name in found) for name in CLASSES), "-"])
    (folder / "masks").mkdir()
    for path in (voc / "SegmentationClass").iterdir():
        Image.fromarray(load_target(path, CLASSES)).save(folder / "masks" / path.name)
    (folder / "lists").mkdir()
    ids = sorted(path.stem for path in (folder / "masks").iterdir())
    for name, some in (("some", ids[:8]), ("val", ids[-5:])):
        (folder / "lists" / f"{name}.txt").write_text("\n".join(some) + "\n")
    shutil.rmtree(voc)
    return folder


def test_own_classes_run_to_a_trained_network_and_masks_add_its_scores(own, tmp_path):
    changes = {
        "classes": CLASSES,
        "data": {
            "source": "csv",
            "labels_csv": str(own / "labels.csv"),
            "images": str(own / "photographs"),
        },
        "ood": {
            "openimages": {
                "base": str(own / "demo" / "openimages"),
                "class_map": {"boat": ["Boat"], "horse": ["Horse"], "train": ["Train"]},
            },
            "review": {"truth": str(own / "demo" / "review-truth.csv")},
        },
    }
    workflow = Workflow(tmp_path)
    assert not any(job.rule.startswith("score_") for job in workflow.planned(changes=changes))
    workflow.make(changes=changes)
    results = tmp_path / "results" / "small"
    for name in ("irn", "irn-wood"):
        assert (results / "experiments" / name / "seed-0" / "network.safetensors").exists()
    assert not (results / "scores").exists()
    assert "There are no true masks" in (results / "report" / "index.html").read_text()
    assert read_json(results / "ood" / "review_stats.json")["accepted"] > 0
    assert workflow.planned(changes=changes) == []

    changes["data"] |= {
        "masks": str(own / "masks"),
        "image_sets": str(own / "lists"),
        "evaluation": "some",
    }
    scoring = {"listed_images", "seeds_with_crf", "segment", "collect_predictions"}
    scoring |= {f"score_{stage}" for stage in STAGES}
    assert workflow.rules(changes=changes) == scoring | {"report_page"}
    workflow.make(changes=changes)
    for stage, split, images in (("seeds", "some", 8), ("segmentation", "val", 5)):
        score = read_json(results / "scores" / stage / "irn" / "seed-0.json")
        assert (score["split"], score["images"]) == (split, images)
    page = (results / "report" / "index.html").read_text()
    assert "There are no true masks" not in page
    assert "Table 3" in page

    # A photograph that no list names, for example one to predict on.
    photographs = own / "photographs"
    shutil.copy(sorted(photographs.iterdir())[0], photographs / "another.jpg")
    assert workflow.planned(changes=changes) == []
    (photographs / "another.jpg").unlink()


def test_the_worked_example_plans_one_experiment_without_scores(own, tmp_path):
    """configs/own-classes.yaml, which docs/own-classes.md runs on photographs."""
    changes = {
        "data": {"labels_csv": str(own / "labels.csv"), "images": str(own / "photographs")},
        "ood": {"openimages": {"base": str(own / "demo" / "openimages")}},
    }
    workflow = Workflow(tmp_path, ROOT / "configs" / "own-classes.yaml")
    before = workflow.rules(changes=changes)
    assert "ranking" in before
    # All its experiments depend on the review that it begins with.
    assert not before & {"hard_ood_list", "train_irnet", "report_page"}
    changes["ood"]["review"] = {"policy": "none"}
    rules = [job.rule for job in workflow.planned(changes=changes)]
    assert {"candidates", "hard_ood_list", "train_irnet", "report_page"} <= set(rules)
    assert rules.count("train_segmentation") == 1
    assert not any(rule.startswith("score_") for rule in rules)


def test_an_existing_ood_list_takes_the_place_of_the_collection(own, tmp_path):
    pool = own / "demo" / "openimages" / "images" / "validation"
    names = sorted(path.name for path in pool.iterdir())[:8]
    (tmp_path / "ood_list.txt").write_text("\n".join(names) + "\n")
    changes = {
        "ood": {"source": "list", "list": str(tmp_path / "ood_list.txt"), "images": str(pool)}
    }
    workflow = Workflow(tmp_path)
    planned = workflow.rules("seeds", changes=changes)
    assert "listed_ood" in planned
    assert not planned & {"metadata", "candidates", "candidate_scores", "ranking"}
    workflow.make("results/small/ood/hard_ood.csv", changes=changes)
    listed = (tmp_path / "results" / "small" / "ood" / "hard_ood.csv").read_text()
    assert all(name in listed for name in names)
