"""What a job says when it ends early."""

import os
import signal

import pytest
import torch

from wood.runtime.jobs import job
from wood.training.batches import make_loader


class Deadly:
    """Images of which number 2 ends the process that loads it."""

    def __len__(self):
        return 4

    def example(self, index, rng):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"image": torch.zeros(1)}


def test_a_killed_worker_is_no_fault_of_the_code(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended, job(tmp_path / "log.txt"):
        list(make_loader(Deadly(), 2, 0, 0, 4, {"workers": 1}, torch.device("cpu")))
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: a process that loads images was killed (DataLoader worker (pid")
    assert "the memory did not suffice, or the run was stopped." in said
    assert "Traceback" in (tmp_path / "log.txt").read_text()
