"""Faults of the machine: killed runs, a full disk. `make chaos` is the long form of the first."""

import os
import subprocess

import pytest
import torch

from tests.workflow.chaos import disturb
from tests.workflow.workflow import Workflow
from wood.runtime.jobs import job
from wood.runtime.store import load_tensors, save_tensors

TARGET = "results/small/scores/seeds/irn/seed-0.json"


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_scores(made, tmp_path):
    workflow = Workflow(tmp_path)
    kills = disturb(workflow, seed=1, longest=30, targets=[TARGET], fewest=2)
    assert kills >= 2
    assert (tmp_path / TARGET).read_bytes() == (made.folder / TARGET).read_bytes()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.getuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a file system takes root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_leaves_what_was_there(small_disk, tmp_path, capsys):
    output = small_disk / "maps.safetensors"
    save_tensors(output, {"small": torch.ones(3)})
    log = tmp_path / "step.log"
    with pytest.raises(SystemExit) as stop, job(log):
        save_tensors(output, {"large": torch.ones(1_000_000)})
    assert stop.value.code == 1
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "Traceback" not in said
    assert str(log) in said
    assert list(load_tensors(output)[0]) == ["small"]
    assert [path.name for path in small_disk.iterdir()] == ["maps.safetensors"]
