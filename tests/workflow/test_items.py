"""One table or figure at a time: what its target plans, and a real one of the small demo."""

import pytest

from tests.devkit import make_devkit
from tests.places import ROOT
from tests.workflow.plan import plan
from tests.workflow.workflow import SMALL, Workflow
from wood.data.masks import VOC_CLASSES
from wood.report.items import ITEMS

OVERLAYS = {key: ROOT / "configs" / f"{item.overlay}.yaml" for key, item in ITEMS.items()
            if item.overlay}  # fmt: skip
NETWORKS = {"ir_labels", "train_irnet", "walk", "train_segmentation", "segment"}


def planned(folder, key):
    """The jobs of an item, with the overlay that it names."""
    overlays = [SMALL, OVERLAYS[key]] if key in OVERLAYS else [SMALL]
    return plan(folder, overlays=overlays, targets=[key])


def trained(jobs):
    return {job.wildcards["classifier"] for job in jobs if job.rule == "train_classifier"}


@pytest.mark.parametrize(
    ("key", "classifiers", "absent"),
    [
        ("table1", {"cam", "cam-wood", "cam-more"}, NETWORKS | {"contact_sheet"}),
        ("table2", {"cam", "cam-wood"}, {"train_segmentation", "segment"}),
        ("table3", {"cam", "cam-wood"}, {"score_seeds", "score_pseudo_masks"}),
        ("tableA3", {"cam", "cam-wood"}, {"score_seeds", "score_pseudo_masks"}),
        ("table4", {"cam", "by-class", "k20", "k30", "k50", "k70"}, NETWORKS),
        ("tableA2", {"cam", "low-narrow", "high-narrow", "low-wide", "high-wide", "centre"},
         NETWORKS),
        ("tableA1", {"cam", "cam-wood", "wood-20", "wood-100"}, {"score_seeds"}),
        ("figure2", {"cam"}, NETWORKS | {"localize", "features", "scored_images"}),
        ("figureA2", {"cam"}, NETWORKS | {"localize", "contact_sheet"}),
        ("figure3", {"cam", "cam-wood", "cam-more"}, NETWORKS),
        ("figure6", {"cam", "cam-wood", "cam-more"}, NETWORKS),
        ("figure4", {"cam", "cam-wood"}, {"score_seeds", "score_segmentation"}),
        ("figure7", {"cam", "cam-wood-epochs"}, NETWORKS | {"localize", "score_seeds"}),
    ],
)  # fmt: skip
def test_a_target_plans_what_it_needs_and_no_more(tmp_path, key, classifiers, absent):
    jobs = planned(tmp_path, key)
    assert trained(jobs) == classifiers
    assert not absent & {job.rule for job in jobs}
    pages = [path for job in jobs for path in job.outputs if "/items/" in path]
    assert f"results/{jobs[-1].outputs[0].split('/')[1]}/report/items/{key}.html" in pages
    assert {path.rsplit("/", 1)[1].split(".")[0] for path in pages} == {key}


def test_figure_5_trains_a_classifier_for_each_part(tmp_path):
    jobs = planned(tmp_path, "figure5")
    parts = {name for name in trained(jobs) if name.startswith("part-")}
    assert len(parts) == 6 + 12 + 4
    assert trained(jobs) - parts == {"cam", "cam-wood"}
    assert not NETWORKS & {job.rule for job in jobs}


def test_an_experiment_has_as_many_training_seeds_as_it_asks_for(tmp_path):
    changes = {"seeds": [3, 1, 2], "experiments": {"irn-wood": {"repeats": 2}}}
    jobs = plan(tmp_path, changes, targets=["seeds", "pseudo_masks", "segmentation"])
    for rule in ("score_seeds", "score_pseudo_masks", "score_segmentation"):
        made = {(job.wildcards["experiment"], job.wildcards["seed"])
                for job in jobs if job.rule == rule}  # fmt: skip
        assert {seed for name, seed in made if name == "irn"} == {"3", "1", "2"}
        assert {seed for name, seed in made if name == "irn-wood"} == {"3", "1"}
    trainings = {(job.wildcards["classifier"], job.wildcards["seed"])
                 for job in jobs if job.rule == "train_classifier"}  # fmt: skip
    assert ("cam-more", "2") in trainings
    assert ("cam-wood", "2") not in trainings


def test_of_the_items_only_scores_and_pictures_read_the_true_masks(tmp_path):
    jobs = Workflow(tmp_path).planned("table3", "figure3", "figure4", "figure2")
    readers = {job.rule for job in jobs if any("SegmentationClass" in path for path in job.inputs)}
    assert readers == {"score_seeds", "score_segmentation", "report_pictures"}


@pytest.mark.parametrize(
    ("changes", "missing", "overlay"),
    [
        ({}, 'an experiment that names table "4"', True),
        (
            {"data": {"evaluation": None}},
            "images that seeds are scored on",
            False,
        ),
    ],
)
def test_an_item_that_cannot_be_made_says_what_to_add(tmp_path, changes, missing, overlay):
    done = Workflow(tmp_path).run("--dry-run", "table4", changes=changes)
    assert done.returncode == 1
    text = done.stdout + done.stderr
    (sentence,) = [line for line in text.splitlines() if line.startswith("Error")]
    assert missing in sentence
    # Without the dashes Snakemake takes the target for one more overlay.
    assert ("configs/ablations.yaml -- table4 makes it" in sentence) == overlay
    assert "Traceback" not in text


def test_every_item_of_the_paper_is_planned_by_its_configuration(tmp_path):
    images = {str(number): [name] for number, name in enumerate(VOC_CLASSES)}
    sets = {name: list(images) for name in ("train_aug", "train", "val")}
    devkit = make_devkit(tmp_path / "data", images, sets, masks=list(images))
    overlays = [ROOT / "configs" / f"{name}.yaml" for name in ("voc12", "paper")]
    # A review that has accepted enough: without one, only what comes before it is planned.
    answers = "".join(f"{n:016x},boat,accept\n" for n in range(100))
    (tmp_path / "decisions.csv").write_text(f"image_id,class,decision\n{answers}")
    changes = {
        "data": {"voc_root": str(devkit), "sbd_root": None},
        "ood": {"review": {"decisions": str(tmp_path / "decisions.csv")}},
        "shards": {"images": 1, "candidates": 1},
    }
    jobs = plan(tmp_path, changes, overlays=overlays, targets=list(ITEMS))
    pages = {path for job in jobs for path in job.outputs if path.endswith(".html")}
    assert pages == {f"results/voc12/report/items/{key}.html" for key in ITEMS}
    assert len(trained(jobs)) > 100


def test_items_of_a_run_and_snakemakes_own_report(copy):
    copy.make("table1", "figure2", "figureA2")
    items = copy.folder / "results" / "small" / "report" / "items"
    assert {path.name for path in items.iterdir()} == {
        "table1.html", "table1.csv", "figure2.html", "figureA2.html"
    }  # fmt: skip
    assert (items / "table1.csv").read_text().count("\n") == 4
    assert "data:image/jpeg" in (items / "figureA2.html").read_text()
    copy.make("table1", "all", "--report", "report.html")
    report = (copy.folder / "report.html").read_text(encoding="utf-8")
    assert "items/table1.html" in report
    assert "report/index.html" in report
    assert "contact_sheet.jpg" in report
    assert "One table or figure of" in report, "the caption"
