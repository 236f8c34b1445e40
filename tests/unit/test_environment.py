"""The conda environments and the lock file name the same versions."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def locked():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {normalised(name): version for name, version in pairs}


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_environments_agree_with_the_lock_file(path, locked):
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    [pip] = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert pip
    for requirement in pip:
        name, version = requirement.split("==")
        assert locked[normalised(name)] == version


def test_everything_asked_for_is_locked(locked):
    lines = (ROOT / "requirements.in").read_text().splitlines()
    names = [re.split(r"[\s>=]", line)[0] for line in lines if line and not line.startswith("#")]
    assert len(names) > 20
    assert [name for name in names if normalised(name) not in locked] == []
