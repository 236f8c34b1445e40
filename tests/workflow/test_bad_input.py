"""Bad input ends in one clear sentence, and what was made stays."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.devkit import make_devkit
from tests.workflow.workflow import Workflow
from wood.data.labels import read_labels

CLASSES = ["cat", "dog"]


@pytest.fixture
def devkit(tmp_path):
    """Six images of two classes, enough for everything that comes before a training."""
    images = {str(number): [CLASSES[number % 2]] for number in range(6)}
    sets = {"train_aug": list(images), "train": list(images), "val": list(images)}
    return make_devkit(tmp_path / "data", images, sets, masks=list(images))


def sentence(workflow, *targets, changes):
    """Run, insist on failure, and return the sentence that says why."""
    done = workflow.run(*targets, changes=changes)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line.strip().startswith("Error: ")]
    assert len(lines) == 1, said
    return lines[0]


def voc(devkit, **data):
    return {"classes": CLASSES, "data": {"source": "voc", "voc_root": str(devkit), **data},
            "ood": {"openimages": {"base": str(devkit)}, "review": {"policy": "none"}}}  # fmt: skip


# What Snakemake, a shell or a pattern would take for something else. Its own wildcards are braces:
# what has them is refused by its key (tests/unit/workflow/test_config.py).
SETS = ("train_aug", "train", "val")
ODD = """a b [c] * ? 'd' "e" $f;g %20 \\ #h ~ 猫"""


def test_folders_and_classes_may_have_any_name(tmp_path):
    images = {str(number): [["cat", ODD][number % 2]] for number in range(6)}
    place = tmp_path / ODD
    place.mkdir()
    classes = ["cat", ODD]
    root = make_devkit(place / "data", images, {key: list(images) for key in SETS})
    changes = voc(root) | {"classes": classes}
    changes["data"]["all_classes"] = classes
    Workflow(place).make(LIST, changes=changes)
    made = read_labels(place / "results/small/data/labels.parquet")
    assert list(made.columns) == classes
    assert made[ODD].any()


def test_a_missing_devkit(devkit, tmp_path):
    """Where no address is given from which it would be fetched."""
    changes = voc(tmp_path / "nowhere") | {"downloads": {"voc2012": {"addresses": []}}}
    said = sentence(Workflow(tmp_path), changes=changes)
    assert "nowhere: there is no such devkit folder" in said


def test_an_empty_devkit(devkit, tmp_path):
    for path in (devkit / "JPEGImages").iterdir():
        path.unlink()
    assert "JPEGImages: the devkit's folder is empty" in sentence(
        Workflow(tmp_path), changes=voc(devkit)
    )


def test_a_missing_image_set(devkit, tmp_path):
    (devkit / "ImageSets/Segmentation/train_aug.txt").unlink()
    said = sentence(Workflow(tmp_path), changes=voc(devkit))
    assert "train_aug.txt" in said


LIST = "results/small/data/train.csv"


def test_a_list_that_names_a_missing_image(devkit, tmp_path):
    (devkit / "JPEGImages" / "3.jpg").unlink()
    said = sentence(Workflow(tmp_path), LIST, changes=voc(devkit))
    assert "'3'" in said
    assert "train_aug" in said


def test_an_annotation_of_an_unknown_class(devkit, tmp_path):
    path = devkit / "Annotations" / "2.xml"
    path.write_text(path.read_text().replace("cat", "unicorn"))
    said = sentence(Workflow(tmp_path), LIST, changes=voc(devkit))
    assert "2.xml: the class 'unicorn' is not in the data set's list" in said


def test_an_annotation_that_is_not_xml_is_skipped_up_to_the_allowed_share(devkit, tmp_path):
    (devkit / "Annotations" / "2.xml").write_text("no annotation")
    said = sentence(Workflow(tmp_path), LIST, changes=voc(devkit))
    assert "1 of 6 annotations cannot be read" in said
    assert "2.xml" in said
    Workflow(tmp_path).make(LIST, changes=voc(devkit, max_failed_fraction=0.2))
    results = tmp_path / "results" / "small" / "data"
    assert "2," not in (results / "train.csv").read_text()
    assert "2.xml" in (results / "train-skipped.csv").read_text()


def test_a_class_without_images(devkit, tmp_path):
    changes = {**voc(devkit), "classes": ["cat", "dog", "sheep"]}
    said = sentence(Workflow(tmp_path), LIST, changes=changes)
    assert "has no image of the class 'sheep'" in said


def test_too_small_a_batch_of_images(copy):
    changes = {"classifier": {"training": {"batch_size": 64}}}
    said = sentence(copy, "seeds", changes=changes)
    assert "30 images to train on, but a batch holds 64" in said


def test_no_candidate_above_the_threshold(copy):
    said = sentence(copy, "hard_ood", changes={"ood": {"threshold": 1.0}})
    assert "none of 36 candidates has a score of 1.0 or more" in said
    assert (copy.folder / "results/small/ood/candidates.parquet").exists()


def test_fewer_hard_ood_images_than_clusters(copy):
    """Where the list is made, and where one that is there has too few for another classifier."""
    changes = {"wood": {"clusters": 1000}}
    assert "wood.clusters is 1000" in sentence(copy, "seeds", changes=changes)
    (copy.folder / "results/small/ood/hard_ood.csv").unlink()
    assert "at least 1000 needed" in sentence(copy, "hard_ood", changes=changes)
    assert (copy.folder / "results/small/ood/ranking.parquet").exists()


def test_a_review_to_come_is_an_orderly_stop(tmp_path):
    """What does not depend on it is done, and a message says what a person has to do."""
    decided = {
        "demo": {"train_images": 20, "val_images": 5, "pool_images": 20},
        "ood": {"threshold": 0, "review": {"policy": "decisions", "wanted": 2}},
        "classifier": {"training": {"epochs": 1}},
        "shards": {"candidates": 1},
    }
    workflow = Workflow(tmp_path)
    planned = workflow.rules(changes=decided)
    assert {"ranking", "train_classifier", "train_segmentation", "score_segmentation"} <= planned
    assert not planned & {"hard_ood_list", "centers", "report_page"}
    done = workflow.run("hard_ood", changes=decided)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "images wait for a review" in said
    assert "for 2 accepted images of each class" in said
    [command] = re.findall(r"snakemake (review --cores 1 .*)", said)
    opened = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", *shlex.split(command)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert opened.returncode == 0, opened.stderr
    assert "rule review" in opened.stdout + opened.stderr
    again = workflow.run("hard_ood", changes=decided)
    assert "Nothing to be done" in again.stderr
    assert "images wait for a review" in again.stderr
    assert "images wait for a review" not in workflow.run("-n", "hard_ood", changes=decided).stderr


def test_open_images_without_its_columns(copy):
    path = copy.folder / (
        "results/small/demo/openimages/v5/validation-annotations-human-imagelabels.csv"
    )
    path.write_text(path.read_text().replace("LabelName", "Name", 1))
    said = sentence(copy, "--forcerun", "metadata", "--until", "candidates", changes={})
    assert "LabelName" in said
    assert path.name in said


def test_a_runaway_distance_loss(copy):
    changes = {
        "wood": {"normalize": "sum", "distance_weight": 1.0},
        "classifiers": {"cam-wood": {"training": {"epochs": 8, "lr": 0.1}}},
    }
    said = sentence(copy, "seeds", changes=changes)
    assert "runs away" in said or "not finite" in said
    assert (copy.folder / "results/small/classifiers/cam/seed-0/model.safetensors").exists()
