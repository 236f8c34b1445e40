"""What reruns when something changes: for every key of the configuration, and for files and code.

Whether a job reruns depends on its files' times, its parameters and Snakemake's records, never on
what is in its files. So the results of the small demo are empty files here, and the runs dry.
"""

import os
import time
from fnmatch import fnmatchcase

import pytest
import yaml

from tests.places import ROOT
from tests.workflow.plan import plan, pretend
from tests.workflow.workflow import SMALL
from wood.data.masks import VOC_CLASSES
from wood.runtime import digest
from wood.runtime.knobs import KNOBS
from wood.workflow.resolve import merge

# What follows from each step, from the last to the first.
PAGE = {"report_page"}
NETWORK = {"train_segmentation", "segment", "collect_predictions", "score_segmentation"} | PAGE
WALK = {"walk", "collect_pseudo_masks", "score_pseudo_masks"} | NETWORK
IRNET = {"train_irnet"} | WALK
IR_LABELS = {"ir_labels"} | IRNET
MAPS = {"localize", "score_seeds", "seeds_with_crf"} | IR_LABELS
CLASSIFIER = {"train_classifier"} | MAPS
CENTERS = {"centers", "cluster_sheet"} | CLASSIFIER
HARD_OOD = {"hard_ood_list", "contact_sheet", "features"} | CENTERS
RANKING = {"ranking"} | HARD_OOD
F_IN = {"candidate_scores"} | RANKING
PHOTOGRAPHS = {"candidate_images"} | F_IN
CANDIDATES = {"candidates"} | PHOTOGRAPHS
METADATA = {"metadata"} | CANDIDATES
LISTS = {"training_images", "scored_images"} | F_IN
EVERYTHING = {"demo_scenes"} | LISTS | METADATA
SCORES = {"score_seeds", "score_pseudo_masks", "score_segmentation"} | PAGE

# For each key, or pattern of keys, what reruns when its value changes.
TABLE = {
    # How fast something is made, not what.
    **{f"*.{knob}": set() for knob in sorted(KNOBS)},
    "dataset": EVERYTHING,
    "seeds": CANDIDATES,
    "classes": LISTS | CANDIDATES,
    # Labels in a CSV have no masks, so nothing is scored.
    "data.source": ({"labelled_images"} | METADATA)
    - {"segment", "collect_predictions", "seeds_with_crf"}
    - {"score_seeds", "score_pseudo_masks", "score_segmentation"},
    "data.voc_root": EVERYTHING,
    "data.sbd_root": LISTS - {"scored_images"},
    "data.image_sets": LISTS,
    "downloads": PAGE,  # of what is there
    "data.all_classes": LISTS,
    "data.labels_csv": PAGE,  # of another source
    "data.images": PAGE,  # of another source
    "data.masks": SCORES,
    "data.train": LISTS - {"scored_images"},
    "data.evaluation": {"scored_images", "seeds_with_crf", "score_seeds", "score_pseudo_masks"}
    | PAGE,
    "data.val": {"scored_images"} | NETWORK - {"train_segmentation"},
    "data.max_failed_fraction": LISTS,
    "data.test": PAGE,  # of another source
    "data.test_images": PAGE,  # of another target
    "demo.*": EVERYTHING,
    "ood.source": CLASSIFIER,
    "ood.list": PAGE,  # of another source
    "ood.images": PAGE,  # of another source
    "ood.classifier": F_IN,
    "ood.openimages.base": METADATA,
    "ood.openimages.image_base": PHOTOGRAPHS,
    "ood.openimages.splits": METADATA,
    "ood.openimages.class_map": CANDIDATES,
    "ood.openimages.machine_threshold": CANDIDATES,
    "ood.openimages.max_candidates": CANDIDATES,
    "ood.openimages.max_unlabelled_fraction": CANDIDATES,
    "ood.openimages.files.*": METADATA,
    "ood.openimages.sources": PHOTOGRAPHS,
    "ood.openimages.max_bytes": PHOTOGRAPHS,
    "ood.openimages.max_pixels": PHOTOGRAPHS,
    "ood.openimages.max_failed_fraction": PHOTOGRAPHS,
    "ood.long_side": F_IN,
    "ood.threshold": RANKING,
    "ood.cap_per_class": RANKING,
    "ood.select.seeds": ({"train_classifier", "candidate_scores_of_seed", "mean_scores"} | RANKING),
    "ood.select.mirror": F_IN,
    "ood.select.count": RANKING,
    "ood.review.policy": HARD_OOD,
    "ood.review.decisions": PAGE,  # of another policy
    "ood.review.truth": HARD_OOD,
    "ood.review.wanted": PAGE,  # which the review alone shows
    "ood.review.max_unmatched_fraction": HARD_OOD,
    "ood.review.seconds_per_image": PAGE,
    "classifier.preset": CLASSIFIER,  # of cam-wood
    "classifier.data.rejects": {"labelled_rejects"} | CLASSIFIER,  # of cam-wood
    "classifier.*": F_IN,
    "wood.clusters": CENTERS,
    "wood.grouping": CENTERS,
    "wood.kmeans.*": CENTERS,
    "wood.min_long_side": CENTERS,
    "wood.images": CENTERS | {"random_ood_list", "features"},
    "wood.*": CLASSIFIER,
    "presets.*": PAGE,  # which the demo does not use
    "classifiers.cam": F_IN,
    "classifiers.cam-wood.init": {"features"} | CENTERS,
    "classifiers.cam-wood.*": CLASSIFIER,
    "classifiers.cam-more.*": {"train_classifier", "localize", "score_seeds"} | PAGE,
    "localizations.cam.*": MAPS,
    "localizations.advcam.*": PAGE,  # which the demo does not use
    "experiment.classifier": PAGE,  # every experiment of the demo names its own
    "experiment.role": PAGE,
    "experiment.title": PAGE,
    "experiment.family": PAGE,
    "experiment.paper": PAGE,
    "experiment.test_miou": PAGE,
    "experiment.localization": MAPS,
    "experiment.repeats": PAGE,  # of more training seeds than the demo has
    "experiment.until": {"seeds_with_crf"} | IR_LABELS - NETWORK | PAGE,
    "experiment.threshold": {"seeds_with_crf", "score_seeds", "score_pseudo_masks"} | PAGE,
    "experiment.pseudo.gt_prob": IR_LABELS | {"seeds_with_crf"},
    "experiment.published_sweep": {"score_seeds"} | PAGE,
    "experiment.ood_share": PAGE,  # of another way to choose the threshold
    "experiment.panels": PAGE,
    "experiment.pseudo.*_margin": PAGE,  # of thresholds that are scores of their own
    "experiment.pseudo.foreground_threshold": IR_LABELS,
    "experiment.pseudo.background_threshold": IR_LABELS,
    "experiment.pseudo.instances": {"instances", "collect_instances"} | PAGE,
    "experiment.pseudo.irnet.*": IRNET,
    "experiment.pseudo.*": WALK,
    "experiment.segmentation.inference.*": NETWORK - {"train_segmentation"},
    "experiment.segmentation.ood.batch_size": NETWORK,
    "experiment.segmentation.*": NETWORK,
    "experiments.irn.classifier": {"score_seeds", "seeds_with_crf"} | IR_LABELS,
    "experiments.irn-wood.classifier": {"score_seeds", "seeds_with_crf"} | IR_LABELS,
    "experiments.irn-more.classifier": {"score_seeds"} | PAGE,
    "experiments.irn-more.until": {"seeds_with_crf"} | IR_LABELS - NETWORK | PAGE,
    "experiments.*": PAGE,
    "grids": {"centers", "train_classifier", "localize", "score_seeds"} | PAGE,
    "items": {"centers", "train_classifier", "localize", "score_seeds"} | PAGE,
    "figure5.ood": {"centers", "train_classifier", "localize", "score_seeds"} | PAGE,
    "figure5.few": {"features", "centers", "train_classifier", "localize", "score_seeds"} | PAGE,
    "figure5.*": PAGE,  # without sizes there is no Fig. 5
    "figure7.*": PAGE,  # which has a target of its own
    "report.sheet_images_per_class": {"contact_sheet", "cluster_sheet"} | PAGE,
    "report.*": PAGE,
    "shards.images": MAPS,
    "shards.candidates": PHOTOGRAPHS,
    "threads.training": F_IN,
    "threads.inference": F_IN,
    "threads.crf": PAGE,
    "gpus": PAGE,
    "reviewer": PAGE,  # whom the review alone asks
    "cpu_isa": F_IN,
    "precision": F_IN,
    "max_batch_pixels": F_IN,
}


def leaves(tree, prefix=()):
    for key, value in tree.items():
        whole = key == "downloads" or (key == "paper" and prefix != ("presets",))
        if isinstance(value, dict) and value and not whole:
            yield from leaves(value, (*prefix, key))
        else:
            yield ".".join((*prefix, key))


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


BASE = yaml.safe_load((ROOT / "config.yaml").read_text())
SETTINGS = merge(BASE, yaml.safe_load(SMALL.read_text()))


def kept(key):
    """Whether the small configuration has what the key belongs to."""
    tree = SETTINGS
    for part in key.split(".")[:-1]:
        tree = tree[part]
        if tree is None:
            return False
    return True


KEYS = [key for key in leaves(BASE) if kept(key)]


def row(key):
    """The first row of the table that a key matches."""
    return next((rules for pattern, rules in TABLE.items() if fnmatchcase(key, pattern)), None)


# Changes for the keys whose value cannot just be varied, or needs others beside it.
CHANGES = {
    "gpus": {"gpus": 1},
    "seeds": {"seeds": [1]},
    "data.source": {
        "data": {"source": "csv", "labels_csv": "labels.csv", "images": "photographs"},
        "ood": {"openimages": {"base": "photographs"}, "review": {"truth": "labels.csv"}},
    },
    "data.voc_root": {"data": {"voc_root": "elsewhere"}},
    "data.sbd_root": {"data": {"sbd_root": "photographs"}},
    "data.image_sets": {"data": {"image_sets": "photographs"}},
    "downloads": {"downloads": {"sbd": {"gigabytes": 3.0}}},
    "data.all_classes": {"data": {"all_classes": [*VOC_CLASSES, "whale"]}},
    "data.labels_csv": {"data": {"labels_csv": "labels.csv"}},
    "data.images": {"data": {"images": "photographs"}},
    "data.masks": {"data": {"masks": "photographs"}},
    "ood.source": {"ood": {"source": "none"}, "classifiers": {"cam-wood": {"wood": "none"}}},
    "ood.list": {"ood": {"list": "labels.csv"}},
    "ood.images": {"ood": {"images": "photographs"}},
    "ood.classifier": {"ood": {"classifier": "cam-more"}},
    "ood.openimages.base": {"ood": {"openimages": {"base": "photographs"}}},
    "ood.openimages.image_base": {"ood": {"openimages": {"image_base": "photographs"}}},
    "ood.openimages.splits": {"ood": {"openimages": {"splits": ["test"]}}},
    "ood.openimages.class_map": {"ood": {"openimages": {"class_map": {"boat": ["Boat"]}}}},
    "ood.openimages.max_candidates": {"ood": {"openimages": {"max_candidates": 9}}},
    "ood.cap_per_class": {"ood": {"cap_per_class": 9}},
    "ood.review.policy": {"ood": {"review": {"policy": "none"}}},
    "ood.review.decisions": {"ood": {"review": {"decisions": "labels.csv"}}},
    "ood.review.truth": {"ood": {"review": {"truth": "labels.csv"}}},
    "ood.review.wanted": {"ood": {"review": {"wanted": 9}}},
    "classifier.weights": {"classifier": {"weights": "labels.csv"}},
    "experiment.pseudo.irnet.weights": {
        "experiment": {"pseudo": {"irnet": {"weights": "labels.csv"}}}
    },
    "experiment.segmentation.weights": {"experiment": {"segmentation": {"weights": "labels.csv"}}},
    "classifier.output_stride": {"classifier": {"output_stride": 32}},
    "classifier.long_side": {"classifier": {"long_side": [90, 100]}},
    "classifier.resolution": {"classifier": {"resolution": [90, 100]}},
    "classifier.color_jitter": {"classifier": {"color_jitter": [0.1, 0.1, 0.1, 0.1]}},
    "classifier.data.in": {"classifier": {"data": {"in": 20}}},
    "classifier.data.ood": {"classifier": {"data": {"ood": 10}}},
    "classifier.training.ema": {"classifier": {"training": {"ema": 0.5}}},
    "experiment.pseudo.irnet.training.ema": {
        "experiment": {"pseudo": {"irnet": {"training": {"ema": 0.5}}}}
    },
    "experiment.segmentation.training.ema": {
        "experiment": {"segmentation": {"training": {"ema": 0.5}}}
    },
    "wood.kmeans.start": {"wood": {"kmeans": {"start": "first"}}},
    "wood.refresh_epochs": {"wood": {"refresh_epochs": 1}},
    "wood.target": {"wood": {"target": "uniform"}},
    "wood.ood_average": {"wood": {"ood_average": "in"}},
    "wood.leave_out": {"wood": {"leave_out": ["boat"]}},
    "wood.images": {"wood": {"images": "random"}},
    "wood.min_long_side": {"wood": {"min_long_side": 10}},
    "wood.trained_stages": {"wood": {"trained_stages": 1}},
    "presets.reference-code.wood.kmeans.start": {
        "presets": {"reference-code": {"wood": {"kmeans": {"start": "k-means++"}}}}
    },
    "presets.reference-code.wood.normalize": {
        "presets": {"reference-code": {"wood": {"normalize": "sum"}}}
    },
    "presets.reference-code.wood.selection": {
        "presets": {"reference-code": {"wood": {"selection": "image"}}}
    },
    "presets.reference-code.wood.ood_average": {
        "presets": {"reference-code": {"wood": {"ood_average": "ood"}}}
    },
    "presets.reference-code.wood.leave_out": {
        "presets": {"reference-code": {"wood": {"leave_out": ["boat"]}}}
    },
    "presets.paper.wood.normalize": {"presets": {"paper": {"wood": {"normalize": "clusters"}}}},
    "presets.paper.wood.selection": {"presets": {"paper": {"wood": {"selection": "batch"}}}},
    "classifier.preset": {"classifiers": {"cam-wood": {"preset": "paper"}}},
    "wood.normalize": {"wood": {"normalize": "sum"}},
    "wood.selection": {"wood": {"selection": "batch"}},
    "wood.grouping": {"wood": {"grouping": "predicted_class"}},
    "classifiers.cam": {"classifiers": {"cam": {"crop": 80}}},
    "classifiers.cam-wood.init": {"classifiers": {"cam-wood": {"init": "cam-more"}}},
    "classifiers.cam-wood.wood": {"classifiers": {"cam-wood": {"wood": {"top_fraction": 0.5}}}},
    "classifiers.cam-more.init": {"classifiers": {"cam-more": {"init": None}}},
    "experiment.localization": {
        "experiment": {"localization": "other"},
        "localizations": {"other": {"method": "cam", "scales": [2.0]}},
    },
    "experiment.paper": {"experiment": {"paper": {"1": "IRN"}}},
    "experiment.published_sweep": {"experiment": {"published_sweep": [0.1, 0.2]}},
    "experiment.panels": {"experiment": {"panels": {"a": {"in": 1, "ood": 2}}}},
    "grids": {
        "grids": {
            "few": {
                "points": [{"K": [2]}],
                "name": "few-{K}",
                "classifier": {"like": "cam-wood", "wood": {"clusters": "{K}"}},
                "experiment": {"until": "seeds"},
            }
        }
    },
    "items": {"items": ["tableA2"]},
    "experiment.repeats": {"experiment": {"repeats": 1}},
    "experiment.test_miou": {"experiment": {"test_miou": 70.1}},
    "figure5.ood": {"figure5": {"ood": [4]}},
    "figure5.total": {"figure5": {"total": 20}},
    "figure5.few": {"figure5": {"few": {"in": 20, "ood": 4}}},
    "figure7.classes": {"figure7": {"classes": ["boat", "train"]}},
    "experiment.pseudo.irnet.scale": {"experiment": {"pseudo": {"irnet": {"scale": [1, 1]}}}},
    "experiment.segmentation.output_stride": {"experiment": {"segmentation": {"output_stride": 8}}},
    "experiment.segmentation.scale": {"experiment": {"segmentation": {"scale": [1, 1]}}},
    **{
        f"experiment.segmentation.{key}": {"experiment": {"segmentation": {key: value}}}
        for key, value in [
            ("alignment", "stretched"),
            ("scale_step", 0.25),
            ("loader", "deeplab"),
            ("loss", "cross-entropy"),
        ]
    },
    "experiment.segmentation.inference.merge": {
        "experiment": {"segmentation": {"inference": {"merge": "max"}}}
    },
    "experiment.until": {"experiments": {"irn-more": {"until": "pseudo_masks"}}},
    "experiments.irn-more.until": {"experiments": {"irn-more": {"until": "pseudo_masks"}}},
    "experiments.irn.classifier": {"experiments": {"irn": {"classifier": "cam-more"}}},
    "experiments.irn-wood.classifier": {"experiments": {"irn-wood": {"classifier": "cam-more"}}},
    "experiments.irn-more.classifier": {"experiments": {"irn-more": {"classifier": "cam-wood"}}},
    "experiments.irn.role": {"experiments": {"irn": {"role": None}}},
    "experiments.irn-wood.role": {"experiments": {"irn-wood": {"role": None}}},
    "experiments.irn-more.role": {"experiments": {"irn-more": {"role": None}}},
    "ood.select.count": {"ood": {"select": {"count": 9}}},
    "classifier.data.rejects": {"classifiers": {"cam-wood": {"data": {"rejects": True}}}},
    "cpu_isa": {"cpu_isa": "avx2"},
    "precision": {"precision": "float32"},
    "experiments.irn.paper": {"experiments": {"irn": {"paper": {"1": "SEAM"}}}},
    "experiments.irn-more.paper": {"experiments": {"irn-more": {"paper": {"5": "(b)"}}}},
    "experiments.irn-wood.paper": {"experiments": {"irn-wood": {"paper": {"1": "SEAM"}}}},
}

# Nothing to vary: the schema has one value, the demo's experiments all name their own, or the demo
# has no such image set.
FIXED = {"data.test", "classifier.architecture", "classifier.init", "classifier.wood",
         "experiment.classifier", "experiment.role",
         "classifier.like", "classifier.published", "localizations.cam.method",
         "localizations.advcam.method"}  # fmt: skip


def changes_of(key):
    if key in CHANGES:
        return CHANGES[key]
    value = SETTINGS
    for part in key.split("."):
        value = value[part]
    match value:
        case bool():
            other = not value
        case int():
            other = value + 1
        case float():
            other = value * 0.9
        case list():
            other = value[:-1] if len(value) > 1 else value * 2
        case str() | None:
            other = f"{value}x"
    return nested(key, other)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reruns")
    (folder / "photographs").mkdir()
    (folder / "labels.csv").write_text("image_id,boat\n")
    pretend(folder)
    return folder


def rules(folder, changes=None):
    return {job.rule for job in plan(folder, changes)}


def test_a_second_run_does_nothing(folder):
    assert plan(folder) == []


def test_every_key_has_a_row():
    assert [key for key in KEYS if row(key) is None] == []
    assert [row for row in TABLE if not any(fnmatchcase(key, row) for key in KEYS)] == []


def test_a_changed_value_reruns_what_depends_on_it_and_nothing_else(folder):
    wrong = {}
    for key in sorted(set(KEYS) - FIXED):
        found = rules(folder, changes_of(key))
        if found != row(key):
            wrong[key] = {"not expected": found - row(key), "missing": row(key) - found}
    assert wrong == {}


def test_unreviewed_images_take_the_place_of_hard_ones(folder):
    changes = {"wood": {"images": "unreviewed"}}
    assert rules(folder, changes) == CENTERS | {"unreviewed_ood_list", "features"}


def test_a_classifier_that_needs_more_ood_images_trains_no_other_again(folder):
    changes = {"classifiers": {"big": {"like": "cam-wood", "wood": {"batch_size": 64}}}}
    assert rules(folder, changes) == PAGE


def test_an_edited_class_map_makes_the_candidates_anew(tmp_path):
    changes = {"ood": {"openimages": {"class_map": "map.yaml"}}}
    (tmp_path / "map.yaml").write_text("boat: [Boat]\n")
    pretend(tmp_path, changes)
    assert plan(tmp_path, changes) == []
    (tmp_path / "map.yaml").write_text("boat: [Boat, Canoe]\n")
    os.utime(tmp_path / "map.yaml", (time.time() + 5, time.time() + 5))
    assert rules(tmp_path, changes) == CANDIDATES


def test_a_value_given_once_more_reruns_nothing(folder):
    again = {"classifier": {"training": {"lr": 0.005}}, "seeds": [0], "ood": {"threshold": 0.05}}
    assert plan(folder, again) == []


def test_only_the_changed_experiment_runs(folder):
    jobs = plan(folder, {"experiments": {"irn-wood": {"threshold": 0.2}}})
    names = {job.wildcards["experiment"] for job in jobs if "experiment" in job.wildcards}
    assert names == {"irn-wood"}


def test_an_experiment_added_by_an_overlay_uses_the_masks_that_exist(folder):
    added = {"classifier": "cam-wood", "segmentation": {"loss": "cross-entropy"}}
    jobs = plan(folder, {"experiments": {"another-loss": added}})
    own_scores = {"score_seeds", "seeds_with_crf", "score_pseudo_masks"}
    assert {job.rule for job in jobs} == NETWORK | own_scores
    names = {job.wildcards["experiment"] for job in jobs if "experiment" in job.wildcards}
    assert names == {"another-loss"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("data/train.csv", F_IN),
        ("data/val.csv", NETWORK - {"train_segmentation"}),
        ("ood/hard_ood.csv", CENTERS | {"features", "contact_sheet"}),
        ("demo/review-truth.csv", HARD_OOD),
    ],
)
def test_a_touched_file_reruns_what_reads_it(folder, path, expected):
    path = folder / "results" / "small" / path
    before = path.stat()
    path.write_text("changed")  # a file as small as it is, Snakemake compares by its contents too
    os.utime(path, (time.time() + 5, time.time() + 5))
    found = rules(folder)
    path.write_text("")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found == expected
    assert plan(folder) == []


def test_new_decisions_make_the_list_anew(tmp_path):
    decisions = {"ood": {"review": {"policy": "decisions", "decisions": "decisions.csv"}}}
    enough = "image_id,decision\n" + "".join(f"{number},accept\n" for number in range(100))
    (tmp_path / "decisions.csv").write_text(enough)
    pretend(tmp_path, decisions)
    assert plan(tmp_path, decisions) == []
    (tmp_path / "decisions.csv").write_text(f"{enough}a,accept\n")
    os.utime(tmp_path / "decisions.csv", (time.time() + 5, time.time() + 5))
    assert rules(tmp_path, decisions) == HARD_OOD


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        # The package gives the walk its public name, so each of its modules imports it.
        ("wood.affinity.random_walk", {"seeds_with_crf"} | IR_LABELS),
        ("wood.ood.ranking", RANKING),
        ("wood.ood.losses", F_IN),
        ("wood.models.irnet", IRNET),
        ("wood.models.deeplab", NETWORK),
        ("wood.segmentation.inference", NETWORK - {"train_segmentation"}),
        ("wood.report.plots", PAGE),
        ("wood.ood.decisions", HARD_OOD),
    ],
)
def test_changed_code_reruns_what_it_makes(folder, monkeypatch, module, expected):
    parsed = digest._parsed

    def edited(name):
        own, imported = parsed(name)
        return (own + "changed" if name == module else own), imported

    monkeypatch.setattr(digest, "_parsed", edited)
    assert rules(folder) == expected
