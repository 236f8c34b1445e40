"""ResNets: torchvision's as IRN and DeepLab use them, and Caffe's of the published DeepLab-v2."""

from pathlib import Path

import torch
from torch import Tensor

from wood.models import weights as stored
from wood.models.backbone import Backbone
from wood.models.lean_imports import torchvision_models

# Residual layers after which IRN's CAM network stops the gradient.
DETACH_AFTER = 2


class ResNet(Backbone):
    """torchvision's ResNet-50 or -101, under torchvision's names.

    Stages: stem with max pooling, then the four residual layers.
    ResNet-50 at stride 16 is IRN's: the last layer's stride is 1, *without* dilation. All else
    keeps its field of view by dilation, as DeepLab does.

    Args:
        detach_after: in training, no gradient flows into the first so many residual layers; IRN's
            CAM network stops it after layer 2. In evaluation it reaches the pixels.
    """

    def __init__(self, depth: int, output_stride: int, detach_after: int = 0):
        super().__init__()
        build = getattr(torchvision_models(), f"resnet{depth}")
        dilate = depth != 50 or output_stride == 8
        net = build(
            weights=None,
            replace_stride_with_dilation=(
                False,
                dilate and output_stride <= 8,
                dilate and output_stride <= 16,
            ),
        )
        if not dilate and output_stride == 16:
            first = net.layer4[0]
            first.conv2.stride = first.downsample[0].stride = (1, 1)
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2 = net.layer1, net.layer2
        self.layer3, self.layer4 = net.layer3, net.layer4
        self.detach_after = detach_after
        self.num_features = 2048
        self.stage_channels = [64, 256, 512, 1024, 2048]
        self.stage_strides = [min(stride, output_stride) for stride in (4, 4, 8, 16, 32)]
        for module in (self.conv1, self.bn1):
            module.requires_grad_(False)

    def stages(self, images: Tensor) -> list[Tensor]:
        layers = (self.layer1, self.layer2, self.layer3, self.layer4)
        detached = self.detach_after if self.training else 0
        with torch.set_grad_enabled(torch.is_grad_enabled() and not detached):
            maps = [self.maxpool(self.relu(self.bn1(self.conv1(images))))]
            for layer in layers[:detached]:
                maps.append(layer(maps[-1]))
        for layer in layers[detached:]:
            maps.append(layer(maps[-1]))
        return maps


class CaffeResNet101(ResNet):
    """The ResNet-101 of the published DeepLab-v2, at stride 8, under torchvision's names.

    As in kazuto1011/deeplab-pytorch (`libs/models/resnet.py`) a layer's stride is in its first 1x1
    convolution, all blocks of the last two layers are dilated, by 2 and 4, and the max pooling
    rounds up. Its input is RGB minus Caffe's mean, in units of one grey level.
    """

    mean = (122.675 / 255, 116.669 / 255, 104.008 / 255)
    std = (1 / 255, 1 / 255, 1 / 255)

    def __init__(self) -> None:
        super().__init__(101, 8)
        self.maxpool.ceil_mode = True
        first = self.layer2[0]
        first.conv1.stride, first.conv2.stride = (2, 2), (1, 1)
        for layer, dilation in ((self.layer3, 2), (self.layer4, 4)):
            layer[0].conv2.dilation = layer[0].conv2.padding = (dilation, dilation)


create_caffe_resnet101 = stored.at_stride_8(CaffeResNet101, stored.convert_caffe_resnet)


def create_resnet(
    name: str, output_stride: int, weights: str | Path | None, detach_stages: bool
) -> ResNet:
    """Build `resnet50` or `resnet101`; see `wood.models.backbones.create_backbone`."""
    depth = int(name.removeprefix("resnet"))
    backbone = ResNet(depth, output_stride, detach_after=DETACH_AFTER if detach_stages else 0)
    if weights is not None:
        stored.load_into(backbone, stored.convert_resnet(stored.read_state(weights)), weights)
    return backbone
