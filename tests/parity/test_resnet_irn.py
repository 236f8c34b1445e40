"""IRN's CAM network, written out as tensor operations from its description.

ResNet-50 (He et al.: 7x7 stem, 3x3 max pooling, bottlenecks of 1x1, 3x3, 1x1 with the stride in the
3x3), strides 2, 2, 2, 1 without dilation, batch norm by its stored statistics; a 1x1 classifier
without bias on the last map; global average pooling; localization maps: the classifier at every
position, negatives cut off.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional

from wood.models.backbones import create_backbone
from wood.models.cam import CamClassifier


def norm(x, w, name):
    mean, var, scale, shift = (
        w[f"{name}.{part}"][None, :, None, None]
        for part in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / torch.sqrt(var + 1e-5) * scale + shift


def bottleneck(x, w, name, stride):
    y = torch.relu(norm(functional.conv2d(x, w[f"{name}.conv1.weight"]), w, f"{name}.bn1"))
    y = functional.conv2d(y, w[f"{name}.conv2.weight"], stride=stride, padding=1)
    y = torch.relu(norm(y, w, f"{name}.bn2"))
    y = norm(functional.conv2d(y, w[f"{name}.conv3.weight"]), w, f"{name}.bn3")
    if f"{name}.downsample.0.weight" in w:
        x = functional.conv2d(x, w[f"{name}.downsample.0.weight"], stride=stride)
        x = norm(x, w, f"{name}.downsample.1")
    return torch.relu(x + y)


def features_of_irn(images, w):
    x = functional.conv2d(images, w["conv1.weight"], stride=2, padding=3)
    x = torch.relu(norm(x, w, "bn1"))
    x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
    for layer, (blocks, stride) in enumerate([(3, 1), (4, 2), (6, 2), (3, 1)], start=1):
        for block in range(blocks):
            x = bottleneck(x, w, f"layer{layer}.{block}", stride if block == 0 else 1)
    return x


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = CamClassifier(create_backbone("resnet50", weights=None), 20)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.3, 0.9)
            nn.init.normal_(module.bias, 0, 0.1)
    return network.double().eval()


@torch.no_grad()
@pytest.mark.parametrize("size", [(64, 64), (75, 101)])
def test_maps_and_logits_are_those_of_irns_definition(network, size):
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = features_of_irn(images, network.backbone.state_dict())
    assert expected.std() > 0.01
    head = network.head.weight[:, :, 0, 0]
    maps = torch.einsum("cd,bdhw->bchw", head, expected).clamp(min=0)
    logits = expected.mean(dim=(2, 3)) @ head.T

    scale = maps.max()
    assert scale > 0
    assert (network.activation_maps(images) - maps).abs().max() <= 1e-9 * scale
    assert torch.allclose(network(images)[0], logits, rtol=1e-9, atol=1e-12)
    single = network.float().activation_maps(images.float())
    network.double()
    assert (single - maps).abs().max() <= 1e-5 * scale
