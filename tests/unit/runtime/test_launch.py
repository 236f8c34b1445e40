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
import yaml
from torch import nn

from tests.places import ROOT
from tests.unit.training.test_training import SETTINGS, Points, squared_error
from wood.affinity.train import IRNetLoss
from wood.models.backbones import create_backbone
from wood.models.cam import CamClassifier
from wood.models.deeplab import DeepLabV2
from wood.models.irnet import IRNet
from wood.runtime.errors import InputError
from wood.runtime.launch import run_processes
from wood.runtime.store import load_tensors, save_tensors
from wood.seeds.wood_loss import WoodLoss
from wood.segmentation.train import DeepLabLoss
from wood.training import Training

TWO = [{}, {}]
KINDS = ("deeplab", "balanced", "irnet", "perturbed")


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
    training = Training(
        model=model,
        dataset=Points(),
        loss=loss,
        groups=[{"params": list(model.parameters()), "lr_scale": 1.0}],
        settings={**SETTINGS, "batch_size": batch_size, "epochs": epochs},
        seed=1,
        checkpoint=f"{folder}/checkpoint",
        log=f"{folder}/log.jsonl",
    )
    training.run()
    save_tensors(f"{folder}/weights.safetensors", model.state_dict())
    training.remove_checkpoint()


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


class Scenes:
    """Eight images whose targets are valid in uneven parts."""

    def __len__(self):
        return 8

    def on_device(self, batch):
        return batch

    def example(self, index, rng):
        generator = torch.Generator().manual_seed(index)
        target = torch.full((64, 64), 255, dtype=torch.uint8)
        target[: 8 * (index + 1)] = (torch.arange(64) // 16 % 3).to(torch.uint8)
        return {"image": torch.randn(3, 64, 64, generator=generator), "target": target}


def network_and_loss(kind):
    torch.manual_seed(0)
    backbone = create_backbone("test_resnet", weights=None)
    if kind == "irnet":
        return IRNet(backbone), IRNetLoss(4)
    if kind == "deeplab":
        return DeepLabV2(backbone, 3, [1, 2]), DeepLabLoss(multi_scale=True)
    if kind == "balanced":
        return DeepLabV2(backbone, 3, [1, 2]), DeepLabLoss(multi_scale=True, kind="balanced")
    # The perturbation of OoD images looks at the whole batch.
    settings = yaml.safe_load((ROOT / "config.yaml").read_text())["wood"]
    loss = WoodLoss(settings | {"losses": ["cls_in", "cls_ood"], "perturbation": 0.07}, None, "ab")

    def of_scenes(model, batch, progress):
        images = batch["image"]
        labels = torch.ones(len(images), 2)
        return loss(model, {"image": images, "labels": labels, "ood": {"image": images}}, progress)

    return CamClassifier(backbone, 2), of_scenes


def train_networks(folder):
    """All of the networks, one after another: a start of two processes takes longer than they."""
    for kind in KINDS:
        Path(folder, kind).mkdir(parents=True, exist_ok=True)
        train_network(f"{folder}/{kind}", kind)


def train_network(folder, kind):
    """Two steps of a network whose loss looks at the whole batch."""
    model, loss = network_and_loss(kind)
    scales = (10,) if isinstance(model, CamClassifier) else ()
    training = Training(
        model=model,
        dataset=Scenes(),
        loss=loss,
        groups=model.parameter_groups(*scales),
        settings={**SETTINGS, "lr": 1e-3, "batch_size": 4, "epochs": 1},
        seed=1,
        checkpoint=f"{folder}/checkpoint",
        log=f"{folder}/log.jsonl",
    )
    training.run()
    save_tensors(f"{folder}/weights.safetensors", model.state_dict())
    training.remove_checkpoint()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The networks trained by one process and by two."""
    folder = tmp_path_factory.mktemp("trained")
    train_networks(folder / "one")
    run_processes(train_networks, {"folder": folder / "two"}, TWO)
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_are_one_where_a_loss_looks_at_the_whole_batch(trained, kind):
    one, two = weights(trained / "one" / kind), weights(trained / "two" / kind)
    start = network_and_loss(kind)[0].state_dict()
    assert max((one[name] - start[name]).abs().max() for name in one) > 1e-4
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=0, atol=1e-5)


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
from tests.unit.runtime.test_launch import TWO, train
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
