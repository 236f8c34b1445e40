"""Fig. 5: its section of the configuration as classifiers on random parts of the images."""

import pandas as pd
import pytest
import yaml

from tests.places import ROOT
from wood.data.lists import subset
from wood.runtime.errors import InputError
from wood.workflow import resolve as settings
from wood.workflow.checks import check
from wood.workflow.grids import expanded

SECTION = {
    "baseline": "irn", "wood": "irn-wood", "ood": [5, 30], "total": 100,
    "few": {"in": 40, "ood": 10}, "repeats": 2,
}  # fmt: skip


@pytest.fixture
def config():
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    return {**base, "figure5": SECTION}


def panels(config):
    """Each experiment of Fig. 5 with its panels."""
    config = expanded(config)
    shown = {name: settings.experiment(config, name) for name in config["experiments"]}
    return {name: chosen["panels"] for name, chosen in shown.items() if chosen["panels"]}


def test_panels_have_the_numbers_of_images_that_the_paper_varies(config):
    found = {panel: set() for panel in "abc"}
    for shown in panels(config).values():
        for panel, amount in shown.items():
            found[panel].add((amount["in"], amount["ood"]))
    assert found == {
        "a": {(None, 0), (None, 5), (None, 30), (None, None)},
        "b": {(None, 0), (95, 5), (70, 30)},
        "c": {(40, 0), (40, 10), (None, 0)},
    }
    drawn = [name for name in panels(config) if name.startswith("part-in-70-ood-30-")]
    assert drawn == ["part-in-70-ood-30-0", "part-in-70-ood-30-1"]


def test_a_part_starts_from_f_in_of_the_same_images(config):
    config = expanded(config)
    wood = settings.classifier(config, "part-in-70-ood-30-1")
    kept = {"subset_seed": 1, "rejects": False}
    assert wood["data"] == {"in": 70, "ood": 30, **kept}
    assert wood["init"] == "part-in-70-1"
    start = settings.classifier(config, "part-in-70-1")
    assert start["data"] == {"in": 70, "ood": None, **kept}
    assert start["wood"] is None
    assert wood["wood"]["losses"] == settings.classifier(config, "cam-wood")["wood"]["losses"]


def test_all_of_d_in_starts_from_the_one_f_in(config):
    config = expanded(config)
    wood = settings.classifier(config, "part-ood-5-0")
    assert (wood["init"], wood["data"]["in"], wood["data"]["ood"]) == ("cam", None, 5)
    assert wood["wood"]["clusters"] == 5, "no more clusters than OoD images"
    assert settings.experiment(config, "part-ood-5-0")["until"] == "seeds"


def test_what_is_expanded_is_a_right_configuration_and_twice_is_once(config):
    check(config)
    once = expanded(config)
    assert expanded(once) == once
    check(once)


def test_without_sizes_nothing_is_added(config):
    config["figure5"] = {**SECTION, "ood": [], "few": None}
    assert expanded(config) == config


def test_experiments_know_their_panels(config):
    found = panels(config)
    assert found["irn"] == {
        "a": {"in": None, "ood": 0}, "b": {"in": None, "ood": 0}, "c": {"in": None, "ood": 0}
    }  # fmt: skip
    assert found["irn-wood"] == {"a": {"in": None, "ood": None}}
    assert found["part-in-95-ood-5-0"] == {"b": {"in": 95, "ood": 5}}
    assert "irn-more" not in found


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"total": 30}, "leaves no image of D_in"),
        ({"baseline": "irn-wood"}, "trained with OoD images"),
        ({"wood": "irn-more"}, "trained without OoD images"),
        ({"wood": "nobody"}, "not one of the experiments"),
    ],
)
def test_a_wrong_section_is_named(config, change, match):
    config["figure5"] = {**SECTION, **change}
    with pytest.raises(InputError, match=match):
        check(config)


def test_parts_are_drawn_by_their_seed_and_grow():
    images = pd.DataFrame({"image_id": [str(n) for n in range(50)], "path": ["x"] * 50})
    first, again, other, larger = (
        set(subset(images, count, seed, "list")["image_id"])
        for count, seed in ((10, 1), (10, 1), (10, 2), (20, 1))
    )
    assert first == again
    assert first != other
    assert first < larger
