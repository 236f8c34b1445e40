"""What every network of the pipeline takes its feature maps from."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module, ABC):
    """A convolutional network without its head.

    Batch-norm statistics are frozen: `train()` leaves batch norm in evaluation mode while its
    affine weights train, except those of the stem, which has no gradient at all.

    Attributes:
        num_features: D, the channels of `forward`.
        stage_channels, stage_strides: of the maps of `stages`, shallow to deep.
        mean, std: the input normalisation that belongs to the weights.
    """

    num_features: int
    stage_channels: list[int]
    stage_strides: list[int]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @abstractmethod
    def stages(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised images -> the feature maps of all stages, shallow to deep."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised images -> (B, D, ceil(H/stride), ceil(W/stride)) features."""
        return self.stages(images)[-1]

    def stages_and_features(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return what `stages` and `forward` return, of one pass."""
        maps = self.stages(images)
        return maps, maps[-1]

    def train(self, mode: bool = True) -> "Backbone":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self

    def parameters_to_train(self) -> list[nn.Parameter]:
        """Return the parameters that have a gradient."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]


def freeze_first_stages(backbone: Backbone, trained: int) -> None:
    """Leave only the `trained` last stages of a backbone to learn, of any kind of network.

    What the map before these stages depends on is frozen. Where it is frozen already, as ResNet's
    stem is, nothing changes.
    """
    frozen = len(backbone.stage_channels) - trained
    if frozen <= 0:
        return
    training = backbone.training
    backbone.eval()  # where no gradient is stopped on its way
    before = backbone.stages(torch.zeros(1, 3, 64, 64))[frozen - 1]
    backbone.train(training)
    if not before.requires_grad:
        return
    parameters = backbone.parameters_to_train()
    gradients = torch.autograd.grad(before.sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is None)
