"""IRNet's shapes, what of it trains, and its file."""

import pytest
import torch
from safetensors.torch import save_file

from wood.models.backbones import create_backbone
from wood.models.irnet import IRNet, load_irnet, save_irnet
from wood.runtime.errors import InputError
from wood.runtime.store import save_tensors

LIGHT = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def light():
    torch.manual_seed(0)
    return IRNet(create_backbone(LIGHT, weights=None)).eval()


@pytest.mark.parametrize("name", [LIGHT, "resnet50"])
@pytest.mark.parametrize(("height", "width"), [(64, 48), (50, 33), (1, 1)])
def test_outputs_have_stride_4(name, height, width):
    model = IRNet(create_backbone(name, weights=None)).eval()
    with torch.inference_mode():
        boundary, displacement = model(torch.randn(2, 3, height, width))
    grid = (-(-height // 4), -(-width // 4))
    assert boundary.shape == (2, 1, *grid)
    assert displacement.shape == (2, 2, *grid)


def test_resnet50_has_irns_branches():
    model = IRNet(create_backbone("resnet50", weights=None))
    boundary, displacement = (
        sum(parameter.numel() for parameter in group["params"])
        for group in model.parameter_groups()
    )
    widths = (64, 256, 512, 1024, 2048)
    assert boundary == sum(width * 32 + 64 for width in widths) + 160 + 1
    reduced = zip((*widths, 768, 448), (64, 128, 256, 256, 256, 256, 256), strict=True)
    assert displacement == sum(i * o + 2 * o for i, o in reduced) + 256 * 2


def test_the_backbone_is_frozen(light):
    light.train()
    try:
        assert not any(module.training for module in light.backbone.modules())
        before = {name: value.clone() for name, value in light.backbone.state_dict().items()}
        boundary, displacement = light(torch.randn(2, 3, 32, 32))
        (boundary.sum() + displacement.sum()).backward()
    finally:
        light.eval()
    assert all(parameter.grad is None for parameter in light.backbone.parameters())
    trained = [parameter for group in light.parameter_groups() for parameter in group["params"]]
    assert all(parameter.grad is not None for parameter in trained)
    everything = {id(p) for p in light.parameters()} - {id(p) for p in light.backbone.parameters()}
    assert {id(parameter) for parameter in trained} == everything
    for name, value in light.backbone.state_dict().items():
        assert torch.equal(value, before[name])


def test_displacements_learn_ten_times_as_fast(light):
    assert [group["lr_scale"] for group in light.parameter_groups()] == [1, 10]


def test_the_mean_displacement_is_subtracted_in_evaluation_only(light):
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        plain = light(images)[1]
        light.mean_displacement.copy_(torch.tensor([1.0, -2.0]))
        shifted = light(images)[1]
        light.train()
        training = light(images)[1]
        light.eval().mean_displacement.zero_()
    expected = plain - torch.tensor([1.0, -2.0])[:, None, None]
    torch.testing.assert_close(shifted, expected)
    torch.testing.assert_close(training, plain)


def test_saved_and_loaded(light, tmp_path):
    path = tmp_path / "irnet.safetensors"
    save_irnet(path, light, {"backbone": LIGHT, "crop": 64})
    loaded, metadata = load_irnet(path)
    assert metadata["crop"] == 64
    assert not loaded.training
    images = torch.randn(1, 3, 40, 40)
    with torch.inference_mode():
        for ours, theirs in zip(loaded(images), light(images), strict=True):
            assert torch.equal(ours, theirs)


def test_other_files_are_refused(light, tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.zeros(1)}, {"architecture": "cam"})
    with pytest.raises(InputError, match=r"x\.safetensors.*another architecture \(cam"):
        load_irnet(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"x\.safetensors.*another architecture"):
        load_irnet(path)
    state = {name: value.clone() for name, value in light.state_dict().items()}
    state["boundary_head.bias"][0] = torch.nan
    save_tensors(path, state, {"architecture": "irnet", "backbone": LIGHT, "crop": 64})
    with pytest.raises(InputError, match=r"x\.safetensors.*boundary_head\.bias.*NaN"):
        load_irnet(path)
