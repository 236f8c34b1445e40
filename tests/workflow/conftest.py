"""The small demo, run once for all workflow tests."""

import shutil

import pytest

from tests.workflow.workflow import Workflow


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The small demo, run once; tests do not change it."""
    workflow = Workflow(tmp_path_factory.mktemp("small"))
    workflow.make()
    return workflow


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the small demo that a test may change."""
    shutil.copytree(made.folder, tmp_path / "copy", symlinks=True)
    return Workflow(tmp_path / "copy")
