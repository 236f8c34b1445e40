import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from wood.models.backbones import create_backbone
from wood.models.deeplab import (
    ALIGNMENTS,
    Aspp,
    DeepLabV2,
    balanced_loss,
    load_network,
    load_to_predict,
    multi_scale_logits,
    rescale_images,
    save_network,
    segmentation_loss,
)
from wood.models.resnet import ResNet
from wood.runtime.environment import INSTRUCTION_SETS, processor
from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors, save_tensors
from wood.segmentation.train import DeepLabLoss

METADATA = {
    "backbone": "test_resnet",
    "output_stride": 16,
    "atrous_rates": [1, 2],
    "class_names": ["cat", "dog"],
}

TRAINING_STEP = """
import torch
from wood.models.backbones import create_backbone
from wood.models.deeplab import DeepLabV2, balanced_loss
torch.set_num_threads(1)
network = DeepLabV2(create_backbone("tf_efficientnet_lite0", weights=None), 4, [3, 6, 9, 12])
images = torch.rand(10, 3, 112, 112).to(memory_format=torch.channels_last)
balanced_loss(network(images), torch.zeros(10, 112, 112, dtype=torch.long)).backward()
"""


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DeepLabV2(create_backbone("test_resnet", weights=None), 3, [1, 2])


def test_aspp_is_the_sum_of_its_dilated_convolutions():
    torch.manual_seed(0)
    aspp = Aspp(5, 3, [1, 4, 6])
    features = torch.randn(2, 5, 9, 11)
    expected = torch.zeros(2, 3, 9, 11)
    for branch, rate in zip(aspp.branches, [1, 4, 6], strict=True):
        nn.init.normal_(branch.bias)
        # A 3x3 convolution with dilation r reads nine shifted copies of its padded input.
        padded = functional.pad(features, [rate] * 4)
        for row in range(3):
            for column in range(3):
                top, left = row * rate, column * rate
                shifted = padded[:, :, top : top + 9, left : left + 11]
                weight = branch.weight[:, :, row, column]
                expected += torch.einsum("ld,bdhw->blhw", weight, shifted)
        expected += branch.bias[None, :, None, None]
    assert torch.allclose(aspp(features), expected, atol=1e-5)


def test_no_kernel_of_a_training_step_cuts_its_sums_by_the_size_of_the_cache():
    """oneDNN's brgemm convolution does, so processors of one instruction set round differently.

    The stem's 27 values a sum fit into every cache.
    """
    if "avx2" not in processor()[1]:
        pytest.skip("this processor has no AVX2")
    pinned = {**INSTRUCTION_SETS["avx2"], "ONEDNN_VERBOSE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", TRAINING_STEP],
        env=os.environ | pinned,
        capture_output=True,
        text=True,
        check=True,
    )
    kernels = re.findall(r"exec,cpu,convolution,([^,]+),.*?,(?:g\d+)?mb\d+_ic(\d+)", done.stdout)
    assert len(kernels) > 40
    assert {int(inputs) for kernel, inputs in kernels if "brg_conv" in kernel} == {3}


def test_logits_have_the_backbones_stride():
    torch.manual_seed(0)
    for stride in (8, 16):
        backbone = create_backbone("test_resnet", weights=None, output_stride=stride)
        network = DeepLabV2(backbone, 21, [6, 12])
        assert network(torch.randn(1, 3, 65, 97)).shape == (1, 21, -(-65 // stride),
                                                            -(-97 // stride))  # fmt: skip


def test_batch_norm_is_frozen_entirely_and_the_groups_have_published_rates(network):
    groups = network.parameter_groups()
    assert [group["lr_scale"] for group in groups] == [1, 10, 20]
    assert [group.get("weight_decay") for group in groups] == [None, None, 0]
    assert [p.ndim for p in groups[1]["params"]] == [4, 4]
    assert [p.ndim for p in groups[2]["params"]] == [1, 1]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    frozen = {id(p) for m in norms for p in m.parameters()}
    assert frozen
    assert not frozen & {id(p) for p in groups[0]["params"]}
    before = [m.running_mean.clone() for m in norms]
    network.train()(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(torch.equal(m.running_mean, b) for m, b in zip(norms, before, strict=True))
    assert all(p.grad is None for m in norms for p in m.parameters())


def test_wide_resnet38_is_a_backbone_too():
    with torch.device("meta"):
        backbone = create_backbone("wide_resnet38", weights=None, output_stride=8)
        network = DeepLabV2(backbone, 21, [6, 12, 18, 24])
        assert network(torch.empty(1, 3, 65, 97)).shape == (1, 21, 9, 13)
    # No bias and no norm among what decays.
    assert all(p.ndim == 4 for p in network.parameter_groups()[0]["params"])


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("factor", [0.1, 0.5, 0.75])
@pytest.mark.parametrize(("height", "width"), [(1, 40), (40, 1), (1, 1)])
def test_no_side_of_a_narrow_image_falls_below_one_pixel(height, width, factor, alignment):
    row = torch.rand(1, 3, 1, max(height, width))
    image = row if width > 1 else row.mT
    small = rescale_images(image, factor, alignment)
    assert small.shape[2:] == tuple(max(1, int(side * factor)) for side in (height, width))
    # The long side is resized as that of a wider image is.
    twelve = row.expand(1, 3, 12, -1)
    wider = rescale_images(twelve if width > 1 else twelve.mT, factor, alignment)
    assert torch.allclose(small, wider[..., :1, :] if width > 1 else wider[..., :1], atol=1e-6)


def test_stretched_images_are_sampled_by_the_factor_itself():
    images = torch.rand(2, 3, 17, 23)
    for factor in (0.5, 0.75, 1.3):
        expected = functional.interpolate(images, scale_factor=factor, mode="bilinear")
        assert torch.equal(rescale_images(images, factor, "stretched"), expected)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_row_of_pixels_has_logits_at_every_scale(network, alignment):
    whole, *others, most = multi_scale_logits(network, torch.rand(1, 3, 1, 40), alignment)
    assert whole.shape == most.shape == (1, 3, 1, 3)
    assert [x.shape[2:] for x in others] == [(1, 2), (1, 2)]


def test_the_stem_of_a_resnet_trains():
    network = DeepLabV2(ResNet(50, 16), 2, [1])
    in_group = {id(p) for p in network.parameter_groups()[0]["params"]}
    assert id(network.backbone.conv1.weight) in in_group
    assert id(network.backbone.bn1.weight) not in in_group


class Halving(nn.Module):
    """Logits by hand: two labels from the colours, at stride 2."""

    def forward(self, images):
        return images[:, :2, ::2, ::2]


def test_multi_scale_loss_equals_the_sum_computed_by_hand():
    torch.manual_seed(0)
    images = torch.randn(2, 3, 8, 8)
    target = torch.randint(0, 2, (2, 8, 8)).to(torch.uint8)
    target[0, :3] = 255

    def resized(x, size):
        return functional.interpolate(x, size=(size, size), mode="bilinear")

    whole = images[:, :2, ::2, ::2]
    half = resized(images, 4)[:, :2, ::2, ::2]
    most = resized(images, 6)[:, :2, ::2, ::2]
    highest = torch.maximum(whole, torch.maximum(resized(half, 4), resized(most, 4)))

    expected = 0.0
    for logits in (whole, half, most, highest):
        size = logits.shape[-1]
        # The nearest pixel to the centre of each cell.
        index = ((torch.arange(size) + 0.5) * 8 / size).long()
        small = target[:, index][:, :, index]
        losses = [
            -torch.log_softmax(logits[b, :, y, x], 0)[small[b, y, x].long()]
            for b in range(2)
            for y in range(size)
            for x in range(size)
            if small[b, y, x] != 255
        ]
        expected += torch.stack(losses).mean()

    loss, terms = DeepLabLoss(True)(Halving(), {"image": images, "target": target}, 0.0)
    assert loss.item() == pytest.approx(float(expected), rel=1e-5)
    assert torch.equal(multi_scale_logits(Halving(), images)[-1], highest)
    assert terms["loss_max"] < loss
    single, _ = DeepLabLoss(False)(Halving(), {"image": images, "target": target}, 0.0)
    assert torch.equal(single, segmentation_loss(whole, target))


def test_an_ignored_pixel_has_no_gradient_and_an_ignored_image_no_loss():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    target = torch.zeros(1, 4, 4, dtype=torch.uint8)
    target[0, 1, 2] = 255
    segmentation_loss(logits, target).backward()
    zero = logits.grad[0].abs().sum(0) == 0
    assert zero.nonzero().tolist() == [[1, 2]]
    loss = segmentation_loss(logits, torch.full_like(target, 255))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(logits.grad).all()


def test_the_balanced_loss_equals_dsrgs_computed_by_hand():
    torch.manual_seed(0)
    logits = torch.randn(3, 3, 4, 4, requires_grad=True)
    target = torch.zeros(3, 4, 4, dtype=torch.uint8)
    target[0, 1:3, 1] = 2
    target[0, 0, 0] = 255
    target[1, 3, 3] = 1
    target[2] = 255  # nothing to learn from
    target[2, 2:] = 1  # and no background
    expected = 0.0
    for image in range(3):
        log = torch.log_softmax(logits[image], 0)
        cells = [(y, x) for y in range(4) for x in range(4)]
        labels = {cell: int(target[image][cell]) for cell in cells}
        for wanted in ([0], [1, 2]):
            own = [cell for cell in cells if labels[cell] in wanted]
            if own:
                mean = sum(-log[labels[y, x], y, x] for y, x in own) / len(own)
                expected = expected + mean / 3
    loss = balanced_loss(logits, target)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert (logits.grad[0, :, 0, 0] == 0).all()
    assert balanced_loss(logits, torch.full_like(target, 255)).item() == 0


def test_a_saved_network_gives_the_same_logits(network, tmp_path):
    path = tmp_path / "network.safetensors"
    save_network(path, network, METADATA)
    loaded, metadata = load_network(path)
    images = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        assert torch.equal(loaded(images), network.eval()(images))
    assert metadata["class_names"] == ["cat", "dog"]
    assert not loaded.training


def test_a_network_to_predict_with_has_no_batch_norm_and_the_same_logits(network, tmp_path):
    path = tmp_path / "network.safetensors"
    save_network(path, network, METADATA)
    loaded, metadata = load_to_predict(path, torch.device("cpu"))
    assert not any(isinstance(module, _BatchNorm) for module in loaded.modules())
    images = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        expected = network.eval()(images)
        assert (loaded(images) - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert metadata["class_names"] == ["cat", "dog"]


def test_weights_of_another_architecture_or_with_nan_are_refused(network, tmp_path):
    path = tmp_path / "network.safetensors"
    save_tensors(path, network.state_dict(), {"architecture": "cam", **METADATA})
    with pytest.raises(InputError, match=r"network\.safetensors.*another architecture \(cam"):
        load_network(path)
    save_network(path, network, METADATA | {"backbone": "test_efficientnet"})
    with pytest.raises(InputError, match=r"network\.safetensors.*another architecture"):
        load_network(path)
    save_network(path, network, METADATA | {"class_names": ["cat"]})
    with pytest.raises(InputError, match="shape"):
        load_network(path)
    save_network(path, network, METADATA)
    tensors, metadata = load_tensors(path)
    tensors["aspp.branches.0.bias"][0] = np.nan
    save_tensors(path, tensors, metadata)
    with pytest.raises(InputError, match=r"aspp\.branches\.0\.bias.*NaN"):
        load_network(path)
