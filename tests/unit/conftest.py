"""Small cases that tests of several rooms take."""

import pytest

from tests.unit.report.small_run import write_run
from tests.unit.seeds.photographs import write_photographs


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What the page is made from; see `small_run`."""
    return write_run(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The folder of what `write_photographs` writes."""
    folder = tmp_path_factory.mktemp("files")
    write_photographs(folder)
    return folder
