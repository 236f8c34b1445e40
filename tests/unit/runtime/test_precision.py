"""bfloat16 is for the backbones alone, and where it is asked for."""

import pytest
import torch
import yaml
from torch.nn.functional import conv2d

from tests.places import ROOT
from tests.pretend_cuda import pretend_cuda
from wood.models.backbones import create_backbone
from wood.models.cam import CamClassifier
from wood.models.deeplab import DeepLabV2
from wood.models.irnet import IRNet
from wood.models.seam import SeamClassifier
from wood.runtime.devices import PRECISION, autocast, use_precision
from wood.workflow.inputs import Inputs
from wood.workflow.resolve import merge
from wood.workflow.targets import Targets

CPU = torch.device("cpu")
NETWORKS = {
    "cam": lambda backbone: CamClassifier(backbone, 2),
    "seam": lambda backbone: SeamClassifier(backbone, 2),
    "irnet": IRNet,
    "deeplab": lambda backbone: DeepLabV2(backbone, 3, [1, 2]),
}


@pytest.fixture
def precision(monkeypatch):
    """Whatever a test sets is as before after it."""
    before = torch.backends.cudnn.allow_tf32
    monkeypatch.delenv(PRECISION, raising=False)
    monkeypatch.setattr("wood.runtime.devices.os.environ", {})
    yield use_precision
    torch.backends.cudnn.allow_tf32 = before


def in_half(device):
    with autocast(device):
        return torch.is_autocast_enabled(device.type)


def test_auto_is_bfloat16_on_a_gpu_that_has_it(precision, monkeypatch):
    assert not in_half(CPU)
    with pretend_cuda():
        assert in_half(torch.device("cuda", 0))
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
        assert not in_half(torch.device("cuda", 0))


def test_a_precision_is_for_every_device(precision):
    precision("bfloat16")
    assert in_half(CPU)
    precision("float32")
    assert not torch.backends.cudnn.allow_tf32
    with pretend_cuda():
        assert not in_half(torch.device("cuda", 0))
    precision("auto")
    assert torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("name", NETWORKS)
def test_heads_are_computed_in_float32(name, precision):
    precision("bfloat16")
    torch.manual_seed(0)
    network = NETWORKS[name](create_backbone("test_resnet", weights=None)).eval()
    seen = []
    hook = network.backbone.register_forward_hook(lambda *given: seen.append(given[2]))
    images = torch.rand(2, 3, 48, 64)
    with torch.no_grad(), autocast(CPU):
        outputs = network(images)
    hook.remove()
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    assert all(output.dtype == torch.float32 for output in outputs)
    if name != "irnet":
        assert seen[0].dtype == torch.bfloat16
    if name == "cam":
        # Exactly what the head gives for the backbone's map, without bfloat16.
        features = seen[0].float().mean(dim=(2, 3))
        assert torch.equal(outputs[1], features)
        expected = conv2d(features[:, :, None, None], network.head.weight)[:, :, 0, 0]
        assert torch.equal(outputs[0], expected)


def test_jobs_that_compute_depend_on_the_precision():
    base = yaml.safe_load((ROOT / "config.yaml").read_text())
    inputs = Inputs(Targets(merge(base, {"precision": "float32"})))
    for name in ("training", "inference", "batches", "named"):
        assert getattr(inputs, name)["precision"] == "float32", name
