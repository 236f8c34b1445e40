"""The table of a GPU's memory is worked out from the paper's configuration, without values."""

import os

import pytest
import torch
import yaml
from torch._subclasses import FakeTensorMode

from benchmarks import memory
from tests.places import ROOT
from wood.ood.losses import distance_loss
from wood.runtime.devices import PRECISION
from wood.workflow.resolve import merge


@pytest.fixture
def kept(monkeypatch):
    """The GiB of a row, in a precision."""
    monkeypatch.setattr("wood.runtime.devices.os.environ", dict(os.environ))
    texts = [(ROOT / name).read_text() for name in ("config.yaml", "configs/voc12.yaml")]
    rows = memory.rows(merge(*map(yaml.safe_load, texts)))

    def gib(name, precision):
        os.environ[PRECISION] = precision
        with memory.cuda_without_values():
            return rows[name]()

    return gib


def test_autograd_keeps_half_as_much_in_bfloat16_and_all_stages_where_images_are_perturbed(kept):
    f_in = "F_in: ResNet-50, 16 crops of 512"
    half, state = kept(f_in, "auto")
    single, _ = kept(f_in, "float32")
    assert single == pytest.approx(2 * half, rel=0.1)
    # 23.5 million weights, and as many gradients; no momentum
    assert state == pytest.approx(2 * 23.5e6 * 4 / 2**30, rel=0.05)
    with_ood, _ = kept("W-OoD: 16 OoD images beside, perturbed", "auto")
    assert with_ood > 3 * half


def test_the_distance_loss_asks_the_device_for_no_lengths():
    """A boolean index would: its length is a value, which tensors without values do not have."""
    with FakeTensorMode():
        features, labels = torch.empty(4, 8, requires_grad=True), torch.empty(4, 3)
        centers = torch.empty(3, 8), torch.empty(5, 8)
        for selection in ("image", "batch"):
            loss = distance_loss(features, labels, *centers, 0.4, selection=selection)
            assert loss.shape == ()
