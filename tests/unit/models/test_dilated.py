"""Dilated depthwise convolutions by phases: the same values and gradients as plain ones."""

import pytest
import torch
from torch import nn

from wood.models.backbones import create_backbone
from wood.models.dilated import PhasedDepthwise, use_phases


def values_and_gradients(convolution, maps):
    maps = maps.clone().requires_grad_()
    output = convolution(maps)
    weights = torch.linspace(-1, 1, output.numel(), dtype=maps.dtype).reshape(output.shape)
    inputs = [maps, *convolution.parameters()]
    return [output, *torch.autograd.grad((output * weights).sum(), inputs)]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "dilation"), [(3, 2), (5, 2), ((3, 5), 3)])
@pytest.mark.parametrize("size", [(14, 14), (7, 10), (1, 2)])
def test_the_phases_give_the_values_and_gradients_of_the_plain_convolution(
    kernel, dilation, size, bias
):
    torch.manual_seed(0)
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = tuple(dilation * (side // 2) for side in sides)
    plain = nn.Conv2d(6, 6, kernel, padding=padding, dilation=dilation, groups=6, bias=bias)
    plain = plain.double()
    maps = torch.randn(2, 6, *size, dtype=torch.float64)
    expected = values_and_gradients(plain, maps)
    model = nn.Sequential(plain)
    use_phases(model)
    assert isinstance(model[0], PhasedDepthwise)
    for one, other in zip(values_and_gradients(model[0], maps), expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(6, 6, 3, padding=1, groups=6),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2),
        nn.Conv2d(6, 6, 3, padding=2, dilation=2, groups=6, stride=2),
        nn.Conv2d(6, 6, 3, padding=1, dilation=2, groups=6),
        nn.Conv2d(6, 6, 3, padding=(2, 4), dilation=(2, 4), groups=6),
    ],
    ids=["plain", "not depthwise", "strided", "narrow padding", "uneven"],
)
def test_other_convolutions_stay(convolution):
    model = nn.Sequential(convolution)
    use_phases(model)
    assert model[0] is convolution


def test_the_light_backbone_gives_the_same_features_with_and_without_a_gradient():
    backbone = create_backbone("tf_efficientnet_lite0").eval()
    phased = [module for module in backbone.modules() if isinstance(module, PhasedDepthwise)]
    assert len(phased) == 4
    images = torch.randn(1, 3, 101, 75)
    with_gradient = backbone(images)
    with torch.no_grad():
        without = backbone(images)
    assert with_gradient.requires_grad
    assert (with_gradient - without).abs().max() <= 1e-5 * without.abs().max()
