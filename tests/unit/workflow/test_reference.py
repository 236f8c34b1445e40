"""The reference page of the configuration is current, and has every key."""

import re

import yaml

from tests.places import ROOT
from wood.workflow.reference import allowed, page


def leaves(tree, path=()):
    """Each path of a configuration that has no keys below it, with its value."""
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*path, name))
        else:
            yield (*path, name), value


def test_the_page_is_current():
    """`python -m wood.workflow.reference > docs/configuration.md` makes it."""
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == page()


def test_every_value_of_the_configuration_is_on_the_page():
    rows = dict(re.findall(r"^\| `([^`]+)` \| `((?:[^`])*)` ", page(), re.MULTILINE))
    shown = {}
    for name, value in rows.items():
        tree = yaml.safe_load(value.replace("\\|", "|"))
        below = leaves(tree) if isinstance(tree, dict) and tree else [((), tree)]
        shown |= {name + "".join(f".{part}" for part in path): value for path, value in below}
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert shown == {".".join(path): value for path, value in leaves(config)}


def test_what_a_key_may_be_is_told_from_the_schema():
    schema = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
    assert allowed(schema, ("experiment", "threshold")) == (
        "number from 0 to 1 or `half-a` or `beside-ood`"
    )
    assert allowed(schema, ("seeds",)) == "list of integer from 0"
