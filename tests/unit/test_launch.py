"""One training in several processes: the same weights, a common end, and no hanging."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.unit.test_training import ROOT, SETTINGS, Points, squared_error
from wood.runtime.errors import InputError
from wood.runtime.launch import run_processes
from wood.runtime.store import load_tensors, save_tensors
from wood.training import Training

TWO = [{}, {}]


def train(folder, batch_size=4, epochs=3, pause=0.0, fault=None):
    """A small training, as a function that a process can import; `fault` befalls the second."""

    def loss(model, batch, progress):
        time.sleep(pause)
        if progress > 0:
            Path(folder, "begun").touch()
        if fault and torch.distributed.get_rank() == 1:
            if fault == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise InputError("the second process has bad input")
        return squared_error(model, batch, progress)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    Training(
        model=model,
        dataset=Points(),
        loss=loss,
        groups=[{"params": list(model.parameters()), "lr_scale": 1.0}],
        settings={**SETTINGS, "batch_size": batch_size, "epochs": epochs},
        seed=1,
        checkpoint=f"{folder}/checkpoint",
        log=f"{folder}/log.jsonl",
    ).run()
    save_tensors(f"{folder}/weights.safetensors", model.state_dict())


def weights(folder):
    return load_tensors(folder / "weights.safetensors")[0]


def test_two_processes_with_half_a_batch_each_train_like_one(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    train(tmp_path / "one")
    run_processes(train, {"folder": tmp_path / "two"}, TWO)
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-5)
    assert not (tmp_path / "two" / "checkpoint").exists()
    assert len((tmp_path / "two" / "log.jsonl").read_text().splitlines()) == 9


def test_a_batch_that_cannot_be_split_is_said(tmp_path):
    with pytest.raises(InputError, match="batch of 3 images cannot be split evenly over 2"):
        run_processes(train, {"folder": tmp_path, "batch_size": 3}, TWO)


@pytest.mark.parametrize(
    ("fault", "error", "sentence"),
    [
        ("input", InputError, "the second process has bad input"),
        ("kill", RuntimeError, r"process 2 of 2 died \(SIGKILL\)"),
    ],
)
def test_the_end_of_one_process_ends_the_others(tmp_path, fault, error, sentence):
    with pytest.raises(error, match=sentence):
        run_processes(train, {"folder": tmp_path, "fault": fault}, TWO)


COMMAND = """
import sys
from tests.unit.test_launch import TWO, train
from wood.runtime.launch import run_processes
run_processes(train, {"folder": sys.argv[1], "epochs": 400, "pause": 0.02}, TWO)
"""


def test_sigterm_lets_all_processes_leave_with_a_checkpoint(tmp_path):
    running = subprocess.Popen([sys.executable, "-c", COMMAND, str(tmp_path)], cwd=ROOT)
    while not (tmp_path / "begun").exists() and running.poll() is None:
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert running.wait(timeout=60) == 143
    assert time.monotonic() - started < 10
    _, metadata = load_tensors(tmp_path / "checkpoint")
    assert json.dumps(metadata["curve"])
    assert 0 < metadata["iteration"] < 1200
