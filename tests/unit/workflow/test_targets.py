"""What a configuration asks for, without Snakemake: paths, targets, inputs of jobs."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.common import get_function_params
from snakemake.resources import Resource, Resources
from snakemake.sourcecache import LocalSourceFile, SourceCache

from tests.places import ROOT
from wood.report.entry import STAGES
from wood.report.items import ITEMS
from wood.workflow import planning
from wood.workflow.inputs import Inputs
from wood.workflow.report_inputs import ReportInputs, sources
from wood.workflow.resolve import merge
from wood.workflow.resources import asks, memory
from wood.workflow.start import configuration, options_of_run, warn_of_unused
from wood.workflow.targets import Targets

BASE = yaml.safe_load((ROOT / "config.yaml").read_text())


def targets(changes=None):
    return Targets(configuration(merge(BASE, changes or {}), {}))


def wildcards(**values):
    return SimpleNamespace(**values)


def test_a_review_opens_the_file_of_its_reviewer():
    review = {"decisions": ["ann.csv", "b/bob.csv"], "wanted": 9}
    changes = {"reviewer": "bob", "classes": ["cat"], "ood": {"review": review}}
    options = Inputs(targets(changes)).review_options
    assert options == [
        *["--project", "demo", "--decisions", "b/bob.csv", "--classes", "cat"],
        *["--others", "ann.csv", "--reviewer", "bob", "--wanted", "9"],
    ]
    plain = Inputs(targets({"classes": ["cat"]})).review_options
    decisions = "results/demo/ood/decisions.csv"
    assert plain == ["--project", "demo", "--decisions", decisions, "--classes", "cat"]


PENDING = {"dataset": "pending", "ood": {"review": {"policy": "decisions"}}}
RANKING = "results/pending/ood/ranking.csv"


@pytest.mark.parametrize("stage", STAGES)
def test_while_a_review_is_pending_a_stage_makes_what_it_can_and_what_is_reviewed(stage):
    files = targets(PENDING).results(stage)
    assert RANKING in files
    assert any("/irn/" in file or "/cam/" in file for file in files)
    assert not any("wood" in file for file in files)
    assert RANKING not in targets({"dataset": "pending"}).results(stage)


@pytest.mark.parametrize("key", ["table1", "table3", "figure2", "figure3", "figureA2"])
def test_a_table_that_waits_for_a_review_makes_what_is_reviewed(key):
    page = ReportInputs(targets(PENDING))
    assert RANKING in page.target(key)(None)


def test_a_table_without_ood_images_waits_for_no_review():
    changes = merge(PENDING, {"experiments": {"irn-wood": None, "irn-cls-ood": None}})
    changes["experiments"] |= {"advcam-wood": None}
    page = ReportInputs(targets(changes))
    assert page.target("table1")(None) == "results/pending/report/items/table1.html"


def test_the_command_that_opens_a_review_names_the_same_run():
    given = ["-n", "--cores", "8", "--configfile", "my a.yaml", "b.yaml", "-d", "there"]
    given += ["--config", "dataset=x", "ood={select: {seeds: 2}}", "--profile", "p", "--", "seeds"]
    assert options_of_run(given) == [
        *["--directory", "there", "--profile", "p", "--configfile", "my a.yaml", "b.yaml"],
        *["--config", "dataset=x", "ood={select: {seeds: 2}}"],
    ]
    assert options_of_run(["--cores", "1"]) == []


def test_what_an_overlay_adds_and_nothing_uses_is_said(capsys):
    files = [ROOT / "config.yaml"]
    warn_of_unused(configuration(BASE, {}), files)
    assert capsys.readouterr().err == ""
    added = {"classifiers": {"cam_wood": {"training": {"epochs": 9}}}}
    added["localizations"] = {"camm": {"method": "cam", "scales": [1.0]}}
    warn_of_unused(configuration(merge(BASE, added), {}), files)
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "Warning: no experiment uses classifiers.cam_wood. Did you mean cam-wood?",
        "Warning: no experiment uses localizations.camm. Did you mean cam?",
    ]


def test_a_wrong_configuration_ends_with_a_sentence():
    with pytest.raises(SystemExit, match=r"^Error: Configuration: thread is not a known key"):
        configuration(merge(BASE, {"thread": 1}), {})


def test_snakemake_finds_and_reads_each_script_once(tmp_path):
    script = tmp_path / "b.py"
    script.write_text("one")
    plain, sources = SourceCache(tmp_path / "plain"), SourceCache(tmp_path / "cache")
    planning.read_scripts_once(sources)
    source = LocalSourceFile(str(script))
    with sources.open(source) as file:
        assert file.read() == "one"
    copy = Path(sources.get_path(source))
    copy.write_text("two")
    with sources.open(LocalSourceFile(str(script))) as file:
        assert file.read() == "one"
    with sources.open(source, "rb") as file:
        assert file.read() == b"two"
    assert sources.get_path(source) == str(copy)
    assert Path(plain.get_path(source)).name == copy.name
    assert not sources.exists(LocalSourceFile(str(tmp_path / "c.py")))


def test_snakemake_is_told_the_signatures_of_resources():
    @dataclass
    class Rule:
        resources: Resources

    mem = memory(100)
    rule = Rule(Resources({"mem_mb": Resource("mem_mb", mem), "gpu": Resource("gpu", 1)}))
    planning.know_signatures([rule])
    assert dict(get_function_params(mem)) == dict(inspect.signature(mem).parameters)
    found = rule.resources["mem_mb"].evaluate({}, threads=2, attempt=3, input=[])
    assert found.value == 300
    assert rule.resources["gpu"].evaluate({}, threads=2).value == 1


def test_what_the_command_line_says_comes_over_the_files():
    config = configuration(BASE, {"seeds": ["3", "4"], "classifiers": {"cam": {"crop": "96"}}})
    assert config["seeds"] == [3, 4]
    assert config["classifiers"]["cam"] == {"crop": 96}


def test_the_demo_brings_its_own_data_and_real_data_stay_where_they_are():
    assert targets().paths.masks == "results/demo/demo/VOCdevkit/VOC2012/SegmentationClass"
    paths = targets({"data": {"masks": str(ROOT)}}).paths
    assert (paths.masks, paths.voc) == (str(ROOT), "results/demo/demo/VOCdevkit/VOC2012")


def test_paths_keep_the_wildcards_that_get_no_value():
    paths = targets().paths
    assert paths.classifier("a") == "results/demo/classifiers/{classifier}/seed-{seed}/a"
    assert paths.classifier("a", "cam", 3) == "results/demo/classifiers/cam/seed-3/a"
    assert paths.experiment("b", "irn") == "results/demo/experiments/irn/seed-{seed}/b"
    assert paths.counts("seeds") == "results/demo/scores/seeds/{experiment}/seed-{seed}.csv"


def test_each_experiment_is_scored_at_the_stages_that_it_reaches():
    found = targets({"seeds": [0, 5], "experiments": {"advcam": {"repeats": 1}}})
    seeds = {path.removeprefix("results/demo/scores/") for path in found.scores("seeds")}
    assert {"seeds/irn/seed-0.json", "seeds/irn/seed-5.json"} < seeds
    assert {path for path in seeds if "/advcam/" in path} == {"seeds/advcam/seed-0.json"}
    networks = {path.split("/")[-2] for path in found.scores("segmentation")}
    assert networks == {"irn", "irn-more", "irn-wood"}


@pytest.mark.parametrize(
    ("threshold", "drawn"), [(0.2, 0.2), ("half-a", None), ("beside-ood", None)]
)
def test_pictures_without_scores_show_a_threshold_that_is_a_number(threshold, drawn):
    page = ReportInputs(targets({"experiment": {"threshold": threshold}})).page
    assert page["threshold"] == drawn


def test_without_masks_nothing_is_scored_and_without_val_no_network():
    assert targets({"data": {"evaluation": None}}).seed_results() != []
    assert targets({"data": {"evaluation": None}}).scores("seeds") == []
    assert targets({"data": {"evaluation": None}}).scores("segmentation") != []
    found = targets({"data": {"val": None}})
    assert found.scores("segmentation") == [] != found.scores("pseudo_masks")
    assert found.fully_supervised_results() == []


def own_data(folder, **changes):
    """A data set of one's own, its labels in a CSV."""
    (folder / "images").mkdir(exist_ok=True)
    (folder / "labels.csv").touch()
    data = {"source": "csv", "labels_csv": folder / "labels.csv", "images": folder / "images"}
    data = {key: str(value) for key, value in {**data, **changes}.items()}
    ood = {"openimages": {"base": str(folder)}, "review": {"policy": "decisions"}}
    return {"data": data, "ood": ood}


def test_own_data_are_scored_where_they_have_masks_and_lists(tmp_path):
    found = targets(own_data(tmp_path))
    assert [found.scores(stage) for stage in STAGES] == [[], [], []]
    assert Inputs(found).classes["all_classes"] == BASE["classes"]
    lists = {"masks": tmp_path / "images", "image_sets": tmp_path}
    with pytest.raises(SystemExit, match=r"data\.evaluation is train, but there is no .*\.txt"):
        targets(own_data(tmp_path, **lists))
    for name in ("train", "val"):
        (tmp_path / f"{name}.txt").touch()
    found = targets(own_data(tmp_path, **lists))
    assert all(found.scores(stage) for stage in STAGES)
    assert Inputs(found).image_set_files("val") == [str(tmp_path / "val.txt")]
    with pytest.raises(SystemExit, match=r"data\.image_sets is needed with this source"):
        targets(own_data(tmp_path, masks=tmp_path / "images"))


def test_experiments_that_are_made_alike_share_their_pseudo_masks():
    twin = {"classifier": "cam", "title": "the same, another network", "segmentation": {"crop": 96}}
    found = targets({"experiments": {"twin": twin}})
    folder = "results/demo/experiments/irn/seed-0/pseudo_masks"
    assert found.pseudo_masks("twin", 0) == folder == found.pseudo_masks("irn", 0)
    assert found.pseudo_mask_results().count(folder) == 1
    assert "results/demo/experiments/twin/seed-0/network.safetensors" in (
        found.segmentation_results()
    )


def test_instances_are_made_for_those_that_ask():
    asked = {"experiments": {"irn": {"pseudo": {"instances": True}}}}
    assert targets().instances() == []
    assert targets(asked).instances() == ["results/demo/experiments/irn/seed-0/instances.json"]


def test_shards_have_their_number():
    found = targets({"shards": {"images": 2, "candidates": 3}})
    assert found.of_images("x/{shard}") == ["x/0000", "x/0001"]
    assert len(found.of_candidates("y/{shard}")) == 3
    jobs = wildcards(experiment="irn", seed="0", shard="0001")
    assert Inputs(found).maps_of_shard(jobs).endswith("cam/seed-0/maps/cam/0001.safetensors")


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("cam", set()),
        ("cam-more", {"init"}),
        ("cam-wood", {"init", "ood_list", "centers"}),
        ("cam-cls-ood", {"init", "ood_list"}),
    ],
)
def test_a_training_reads_what_its_losses_need(name, inputs):
    found = Inputs(targets()).training_files(wildcards(classifier=name, seed="0"))
    assert set(found) == inputs | {"images", "labels"}
    assert found.get("init", "cam/seed-0/model.safetensors").endswith(
        "cam/seed-0/model.safetensors"
    )


@pytest.mark.parametrize(
    ("images", "file", "features"),
    [
        ("hard", "hard_ood.csv", "features-ood.safetensors"),
        ("random", "random_ood/seed-2.csv", "features-random.safetensors"),
        ("unreviewed", "unreviewed_ood.csv", "features-unreviewed.safetensors"),
    ],
)
def test_a_classifier_takes_its_kind_of_ood_images(images, file, features):
    inputs = Inputs(targets({"classifiers": {"cam-wood": {"wood": {"images": images}}}}))
    asked = wildcards(classifier="cam-wood", seed="2")
    assert inputs.ood_list(asked) == f"results/demo/ood/{file}"
    assert inputs.features_ood(asked).endswith(f"classifiers/cam/seed-2/{features}")


def test_whole_images_are_named_only_where_centres_are_found_anew():
    asked = wildcards(classifier="cam-wood", seed="0")
    assert Inputs(targets()).whole_images(asked) is None
    inputs = Inputs(targets({"wood": {"refresh_epochs": 1}}))
    assert inputs.whole_images(asked)["long_side"] == BASE["ood"]["long_side"]
    assert inputs.whole_images(wildcards(classifier="cam", seed="0")) is None


def test_train_aug_is_derived_from_sbd_where_the_devkit_has_no_list(tmp_path):
    data = {"source": "voc", "voc_root": str(tmp_path), "sbd_root": "sbd"}
    inputs = Inputs(Targets(merge(BASE, {"data": data})))
    sets = tmp_path / "ImageSets" / "Segmentation"
    assert inputs.image_set_files("train") == [f"{sets}/train.txt", f"{sets}/val.txt", "sbd"]
    sets.mkdir(parents=True)
    (sets / "train_aug.txt").touch()
    assert inputs.image_set_files("train") == [f"{sets}/train_aug.txt"]


def test_answers_are_the_truth_the_decisions_that_there_are_or_nothing(tmp_path):
    made = tmp_path / "a.csv"
    made.touch()
    files = [str(made), str(tmp_path / "missing.csv")]
    by_policy = {
        policy: targets({"ood": {"review": {"policy": policy, "decisions": files}}})
        for policy in ("truth", "decisions", "none")
    }
    assert by_policy["truth"].review_answers() == "results/demo/demo/review-truth.csv"
    assert by_policy["decisions"].review_answers() == [str(made)]
    assert by_policy["none"].review_answers() == []
    assert targets().decisions_files() == ["results/demo/ood/decisions.csv"]


def test_a_job_that_failed_gets_twice_the_memory():
    plain, per_thread = asks(1500, 30), asks(1500, 30, per_thread=True, gpu=1)
    assert [plain["mem_mb"]({}, threads=4, attempt=n) for n in (1, 2)] == [1500, 3000]
    assert per_thread["mem_mb"]({}, threads=4, attempt=2) == 12000
    assert {key: value for key, value in per_thread.items() if key != "mem_mb"} == {
        "runtime": 30,
        "gpu": 1,
    }


def test_the_page_names_the_files_of_each_run_and_its_commands():
    page = ReportInputs(targets(), ["configs/mine.yaml"])
    runs = {experiment["name"]: experiment["runs"][0] for experiment in page.page["experiments"]}
    assert set(runs["irn"]) == {"seed", "maps", "masks", "predictions", "seeds", "pseudo_masks",
                                "segmentation"}  # fmt: skip
    assert set(runs["advcam"]) == {"seed", "maps", "seeds"}
    assert page.page["commands"]["seeds"] == (
        "snakemake --cores all --configfile configs/mine.yaml -- seeds"
    )
    logs = {(log["name"], log["stage"]) for log in page.page["logs"]}
    assert ("irn", "irnet") in logs
    assert ("advcam", "irnet") not in logs
    assert "results/demo/scores/seeds/irn/seed-0.json" in page.page_files
    assert not any(path.endswith(".html") for path in page.page_files)
    assert len(page.counts()) == 6 + 3 + 3
    assert sources()


def test_an_item_is_made_from_its_experiments_files_alone():
    page = ReportInputs(targets())
    shown = page.item_specification(wildcards(item="table1"))["experiments"]
    assert {experiment["name"] for experiment in shown} > {"irn", "irn-wood", "irn-more"}
    assert all(set(run) == {"seed", "seeds"} for e in shown for run in e["runs"])
    files = page.item_files(wildcards(item="figure3"))
    assert any("/maps/" in path for path in files)
    assert targets().paths.masks in files


def test_an_item_that_cannot_be_made_is_an_error_only_where_it_is_asked_for():
    page = ReportInputs(targets())
    make = page.target("figure5")
    with pytest.raises(
        SystemExit, match=r"figure5 needs .* configs/figures/figure5.yaml -- figure5 makes"
    ):
        make(wildcards())
    assert page.target("table1")(wildcards()).endswith("report/items/table1.html")
    masked = ReportInputs(targets({"data": {"evaluation": None}}))
    assert masked.lacking("table1") == "images that seeds are scored on (data.evaluation)"
    assert masked.lacking("table3") is None
    assert masked.lacking("figure3") is None
    assert {key for key in ITEMS if page.lacking(key) is None} >= {"table1", "table2", "table3"}


def test_a_network_reads_ood_images_only_where_it_is_told_to():
    with_ood = {"segmentation": {"ood": {"batch_size": 4}}}
    ends = {"until": "seeds"}
    found = targets({"experiments": {"irn": with_ood, "irn-more": with_ood | ends}})
    files = Inputs(found).network_files
    assert files(wildcards(experiment="irn"))["ood_list"] == "results/demo/ood/hard_ood.csv"
    assert "ood_list" not in files(wildcards(experiment="irn-wood"))
    assert "ood_list" not in Inputs(found).supervised_files
    assert found.takes_answers("irn")  # of the reviewer
    assert not found.takes_answers("irn-more")  # which ends with the seeds


def test_ood_images_of_a_network_need_a_collection():
    changes = {"experiments": {"irn": {"segmentation": {"ood": {"batch_size": 4}}}}}
    changes |= {"ood": {"source": "none"}}
    changes["classifiers"] = {"cam-wood": {"wood": "none"}, "cam-cls-ood": {"wood": "none"}}
    with pytest.raises(SystemExit, match=r"experiments.irn.segmentation.ood takes OoD images, but"):
        targets(changes)


def test_a_batch_of_the_network_asks_for_as_many_hard_images():
    changes = {"experiments": {"irn": {"segmentation": {"ood": {"batch_size": 99}}}}}
    assert targets(changes).needed_hard_ood == 99
