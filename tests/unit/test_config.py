"""The configuration: bad keys and values are named before anything runs."""

from pathlib import Path

import pytest
import yaml

from wood import config as settings
from wood.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


