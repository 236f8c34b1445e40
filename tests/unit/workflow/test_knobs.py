"""Settings that change no result: apart from the others, and put back."""

import json
from types import SimpleNamespace

import yaml

from tests.places import ROOT
from wood.runtime.jobs import checkpoint_path
from wood.runtime.knobs import KNOBS, only_knobs, with_knobs, without_knobs
from wood.runtime.provenance import config_hash
from wood.workflow.inputs import Inputs
from wood.workflow.report_inputs import ReportInputs
from wood.workflow.resolve import merge
from wood.workflow.targets import Targets

BASE = yaml.safe_load((ROOT / "config.yaml").read_text())
SLOW = {
    "ood": {"openimages": {"connections": 1, "rate_limit": 0.5, "user_agent": "another"}},
    "classifiers": {"cam": {"training": {"workers": 7, "checkpoint_seconds": 1}}},
    "experiment": {
        "pseudo": {"irnet": {"training": {"workers": 7}}},
        "segmentation": {"training": {"workers": 7}},
    },
}
JOB = SimpleNamespace(classifier="cam", experiment="irn", seed="0")


def test_what_is_taken_apart_comes_together_again():
    assert with_knobs(without_knobs(BASE), only_knobs(BASE)) == BASE


def test_the_configuration_has_each_knob_and_the_rest_has_none():
    text = json.dumps(without_knobs(BASE))
    assert [knob for knob in KNOBS if f'"{knob}"' in text] == []
    text = json.dumps(BASE)
    assert [knob for knob in KNOBS if f'"{knob}"' not in text] == []


def test_jobs_get_knobs_apart_from_what_results_depend_on():
    usual, slow = (Inputs(Targets(merge(BASE, changes))) for changes in ({}, SLOW))
    for name in ("classifier", "irnet", "network"):
        assert getattr(usual, name)(JOB) == getattr(slow, name)(JOB)
    assert usual.download == slow.download
    assert slow.classifier_knobs(JOB, []) == {"training": {"workers": 7, "checkpoint_seconds": 1}}
    assert slow.irnet_knobs(JOB, [])["training"]["workers"] == 7
    assert slow.network_knobs(JOB, [])["training"]["workers"] == 7
    assert slow.download_knobs(JOB, [])["rate_limit"] == 0.5
    assert slow.metadata_knobs(JOB, []) == {"user_agent": "another"}
    whole = with_knobs(slow.classifier(JOB), slow.classifier_knobs(JOB, []))
    assert whole == slow.targets.classifier("cam")


def test_the_page_and_its_hash_do_not_know_them():
    usual, slow = (ReportInputs(Targets(merge(BASE, changes))) for changes in ({}, SLOW))
    assert usual.page == slow.page
    assert config_hash(usual.config) == config_hash(slow.config)


def test_experiments_that_differ_in_knobs_share_their_pseudo_masks():
    twin = {"classifier": "cam", "pseudo": {"irnet": {"training": {"workers": 3}}}}
    owners = Targets(merge(BASE, {"experiments": {"twin": twin}})).owners
    assert owners["twin"] == "irn"


def test_a_training_goes_on_from_its_checkpoint_with_other_knobs(tmp_path):
    data = tmp_path / "data"
    data.write_text("1")
    parameters = {"settings": {"lr": 0.1}, "knobs": {"workers": 1}}
    path = checkpoint_path(tmp_path / "model", [data], parameters)
    assert checkpoint_path(tmp_path / "model", [data], {**parameters, "knobs": {}}) == path
    assert checkpoint_path(tmp_path / "model", [data], {"settings": {"lr": 0.2}}) != path
