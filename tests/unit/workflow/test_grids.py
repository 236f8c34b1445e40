"""Grids of the configuration: a classifier and an experiment for each of a few values."""

import pytest
import yaml

from tests.places import ROOT
from wood.runtime.errors import InputError
from wood.workflow import resolve as settings
from wood.workflow.checks import check
from wood.workflow.grids import expanded

GRID = {
    "points": [{"K": [2, 3], "tau": 0.5}, {"K": 4, "tau": 0.25}],
    "name": "k{K}-{tau}",
    "classifier": {"like": "cam-wood", "wood": {"clusters": "{K}", "top_fraction": "{tau}"}},
    "experiment": {"title": "K = {K}", "until": "seeds"},
}


@pytest.fixture
def config():
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    return {**base, "grids": {"some": GRID}}


def test_each_point_is_a_classifier_and_an_experiment(config):
    check(config)
    whole = expanded(config)
    added = [name for name in whole["experiments"] if name not in config["experiments"]]
    assert added == ["k2-0.5", "k3-0.5", "k4-0.25"]
    wood = settings.classifier(whole, "k4-0.25")["wood"]
    assert (wood["clusters"], wood["top_fraction"]) == (4, 0.25), "values, not text"
    experiment = settings.experiment(whole, "k3-0.5")
    assert (experiment["classifier"], experiment["title"]) == ("k3-0.5", "K = 3")
    assert expanded(whole) == whole, "twice is once"


def test_what_is_said_under_a_name_comes_over_the_grid_and_null_drops_it(config):
    config["classifiers"]["k2-0.5"] = {"wood": {"top_fraction": 0.75}}
    config["classifiers"]["k3-0.5"] = None
    config["experiments"]["k3-0.5"] = None
    check(config)
    whole = expanded(config)
    wood = settings.classifier(whole, "k2-0.5")["wood"]
    assert (wood["clusters"], wood["top_fraction"]) == (2, 0.75)
    assert "k3-0.5" not in settings.experiments(whole, "seeds")


def test_a_list_within_a_list_is_one_value(config):
    config["grids"]["some"] = {
        "points": [{"name": "x", "losses": [["cls_in", "dist_in"]]}],
        "name": "{name}",
        "classifier": {"like": "cam-wood", "wood": {"losses": "{losses}"}},
    }
    whole = expanded(config)
    assert settings.classifier(whole, "x")["wood"]["losses"] == ["cls_in", "dist_in"]
    assert "x" not in whole["experiments"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "k{L}"}, r"grids\.some has 'k\{L\}', which does not fit .* \(K, tau\)"),
        ({"name": "k"}, "grids.some makes 'k', which another grid makes"),
        ({"classifier": {"like": "cam-wood", "wood": {"K": 1}}}, "wood.K is not a known key"),
        ({"points": []}, "grids.some.points"),
    ],
)
def test_a_wrong_grid_is_named(config, change, message):
    config["grids"]["some"] = {**GRID, **change}
    with pytest.raises(InputError, match=message):
        check(config)


def test_items_come_under_what_the_configuration_says_itself(config):
    config["items"] = ["table4", "tableA2"]
    config["experiments"]["k50"] = None
    config["classifiers"]["k30"] = {"training": {"epochs": 7}}
    check(config)
    whole = expanded(config)
    there = settings.experiments(whole, "seeds")
    assert {"k20", "k30", "k70", "by-class", "tau-30-lambda-0.004"} < set(there)
    assert "k50" not in there
    assert there[0] == "irn", "the configuration's own stand first"
    k30 = settings.classifier(whole, "k30")
    assert (k30["wood"]["clusters"], k30["training"]["epochs"]) == (30, 7)
