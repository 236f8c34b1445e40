"""The reference page of the configuration is current, and has every key."""

import yaml

from tests.places import ROOT
from wood.workflow.reference import NAMED, allowed, keys, page


def leaves(tree, path=()):
    for name, value in tree.items():
        yield (*path, name)
        if isinstance(value, dict) and (*path, name) != ("experiment", "paper"):
            yield from leaves(value, (*path, name))


def test_the_page_is_current():
    """`python -m wood.workflow.reference > docs/configuration.md` makes it."""
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == page()


def test_every_key_of_the_configuration_is_read():
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    wanted = {path for path in leaves(yaml.safe_load(text)) if path[0] not in NAMED}
    assert wanted <= {key.path for key in keys(text)}


def test_what_a_key_may_be_is_told_from_the_schema():
    schema = yaml.safe_load((ROOT / "schemas" / "config.schema.yaml").read_text())
    assert allowed(schema, ("experiment", "threshold")) == (
        "number from 0 to 1 or `half-a` or `beside-ood`"
    )
    assert allowed(schema, ("seeds",)) == "list of integer from 0"
