"""Folded batch norm: the same maps, with no batch norm left."""

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from wood.models.backbone import Backbone
from wood.models.backbones import create_backbone
from wood.models.folding import folded


def randomize(backbone):
    """Batch norm that does something: statistics and affine weights as after training."""
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.3, 0.9)
            nn.init.normal_(module.bias, 0, 0.1)


@pytest.mark.parametrize("name", ["resnet50", "tf_efficientnet_lite0"])
def test_the_maps_stay_and_no_batch_norm_is_left(name):
    torch.manual_seed(0)
    backbone = create_backbone(name, weights=None).train()
    randomize(backbone)
    changed = folded(backbone)
    images = torch.randn(2, 3, 75, 101)
    backbone.eval()
    with torch.no_grad():
        for one, other in zip(
            [backbone(images), *backbone.stages(images)],
            [changed(images), *changed.stages(images)],
            strict=True,
        ):
            assert (one - other).abs().max() <= 1e-5 * one.abs().max()
    assert not any(isinstance(module, _BatchNorm) for module in changed.modules())
    assert not changed.parameters_to_train()
    assert any(isinstance(module, _BatchNorm) for module in backbone.modules())
    assert backbone.parameters_to_train()


class ReadsTheConvolution(Backbone):
    """Its map is also what the convolution gives before the batch norm."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def stages(self, images):
        x = self.convolution(images)
        return [self.norm(x) + x]


def test_a_network_whose_maps_would_change_is_left_as_it_is():
    backbone = ReadsTheConvolution().eval()
    randomize(backbone)
    images = torch.randn(1, 3, 20, 20)
    with torch.no_grad():
        assert torch.equal(folded(backbone)(images), backbone(images))
