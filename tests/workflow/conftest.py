"""The small demo, run once for all workflow tests."""

import shutil

import pytest
from filelock import FileLock

from tests.workflow.workflow import Workflow


@pytest.fixture(scope="session")
def made(tmp_path_factory, worker_id):
    """The small demo, run once, for all of the tests' processes; tests do not change it."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent
    folder /= "small"
    with FileLock(f"{folder}.lock"):
        folder.mkdir(exist_ok=True)
        workflow = Workflow(folder)
        if not (folder / "made").exists():
            workflow.make()
            (folder / "made").touch()
    return workflow


@pytest.fixture
def copy(made, tmp_path):
    """A copy of the small demo that a test may change."""
    shutil.copytree(made.folder, tmp_path / "copy", symlinks=True)
    return Workflow(tmp_path / "copy")
