"""Which of a backbone's stages learn."""

import pytest
import torch

from wood.models.backbone import freeze_first_stages
from wood.models.backbones import create_backbone


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet"])
def test_the_last_stages_learn(name):
    backbone = create_backbone(name, weights=None).train()
    everything = set(backbone.parameters_to_train())
    freeze_first_stages(backbone, 2)
    learning = set(backbone.parameters_to_train())
    assert learning < everything
    images = torch.zeros(1, 3, 64, 64, requires_grad=True)
    assert not backbone.stages(images.detach())[-3].requires_grad
    (gradient,) = torch.autograd.grad(backbone(images).sum(), images)
    assert gradient.shape == images.shape
    freeze_first_stages(backbone, 99)
    assert set(backbone.parameters_to_train()) == learning


@pytest.mark.parametrize(
    ("name", "stride", "trained"),
    [("resnet50", 16, 4), ("wide_resnet38", 8, 4), ("hrnet_w18_small", 32, 4)],
)
@pytest.mark.parametrize("training", [True, False])
def test_behind_a_stem_that_is_frozen_already_all_stages_learn(name, stride, trained, training):
    """Their first map is the stem's, or of levels that never learn: none is left to freeze."""
    backbone = create_backbone(name, output_stride=stride, weights=None).train(training)
    learning = set(backbone.parameters_to_train())
    freeze_first_stages(backbone, trained)
    assert set(backbone.parameters_to_train()) == learning
    assert backbone.training == training
    maps = backbone.stages(torch.zeros(1, 3, 64, 64))
    assert [some.requires_grad for some in maps] == [False] + [True] * trained


@pytest.mark.parametrize("trained", [1, 2, 3, 4, 5])
def test_each_residual_layer_learns_or_is_frozen_as_a_whole(trained):
    backbone = create_backbone("resnet50", weights=None)
    freeze_first_stages(backbone, trained)
    layers = {name.split(".")[0] for name, p in backbone.named_parameters() if p.requires_grad}
    assert layers == {f"layer{number}" for number in range(1, 5)[-trained:]}
    assert all(
        parameter.requires_grad == (name.split(".")[0] in layers)
        for name, parameter in backbone.named_parameters()
    )
