"""Backbones: what every network of the pipeline takes its feature maps from, by name."""

from abc import ABC, abstractmethod
from pathlib import Path

import timm
import torch
import torchvision
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.modules.batchnorm import _BatchNorm

from wood.models import weights as stored
from wood.models.dilated import use_phases
from wood.runtime.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

TIMM_STEMS = ("conv_stem.", "conv1.", "bn1.", "stem.")


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
        build = {50: torchvision.models.resnet50, 101: torchvision.models.resnet101}[depth]
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


class TimmBackbone(Backbone):
    """Any convolutional network of timm, with its own normalisation.

    `forward` is the input of timm's global pooling (for tf_efficientnet_lite0 the 1280 channels
    after the last 1x1 convolution), `stages` are the maps listed in timm's feature information
    (there 16, 24, 40, 112 and 320 channels).

    Networks from TensorFlow ("SAME" padding) pad on the left or on both sides depending on the
    size, so the same pixel falls up to half a stride beside its cell in one image and not in
    another. Here the image is first continued to a multiple of the stride, which makes it the same
    in all, and the last strided convolution takes the other phase of its grid, which puts
    the features on the middle of their cells to half a pixel.
    """

    def __init__(self, name: str, output_stride: int):
        super().__init__()
        try:
            self.net = timm.create_model(name, pretrained=False, output_stride=output_stride)
        except (RuntimeError, TypeError, AssertionError) as error:
            raise InputError(
                f"backbone: timm has no network {name!r} with output stride {output_stride} "
                f"({str(error).splitlines()[0] if str(error) else type(error).__name__})."
            ) from None
        if not hasattr(self.net, "forward_intermediates"):
            raise InputError(f"backbone: timm's {name!r} gives no feature maps.")
        information = self.net.feature_info
        self.num_features = self.net.num_features
        self.stage_channels = [entry["num_chs"] for entry in information]
        self.stage_strides = [min(entry["reduction"], output_stride) for entry in information]
        self.mean = tuple(self.net.default_cfg["mean"])
        self.std = tuple(self.net.default_cfg["std"])
        strided = [
            (name, module)
            for name, module in self.net.named_modules()
            if isinstance(module, Conv2dSame) and max(module.stride) > 1
        ]
        self.multiple = output_stride if strided else 1
        if strided:
            name, module = strided[-1]
            self.net.set_submodule(name, _LeadingConv2d(module))
        use_phases(self.net)

    def remove_classifier(self) -> None:
        """Drop the ImageNet classifier, once weights that include it are loaded."""
        self.net.reset_classifier(0, "")
        for name, parameter in self.net.named_parameters():
            if name.startswith(TIMM_STEMS):
                parameter.requires_grad_(False)

    def stages(self, images: Tensor) -> list[Tensor]:
        maps = self.net.forward_intermediates(self._continued(images), intermediates_only=True)
        return self._cut(maps, images)

    def forward(self, images: Tensor) -> Tensor:
        return self.net.forward_features(self._continued(images))

    def stages_and_features(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        features, maps = self.net.forward_intermediates(self._continued(images))
        return self._cut(maps, images), features

    def _continued(self, images: Tensor) -> Tensor:
        """Repeat the last row and column up to a multiple of the stride."""
        below, beside = (-side % self.multiple for side in images.shape[-2:])
        return pad(images, (0, beside, 0, below), mode="replicate") if below or beside else images

    def _cut(self, maps: list[Tensor], images: Tensor) -> list[Tensor]:
        """Drop the cells that lie wholly beside the images."""
        if self.multiple == 1:
            return maps
        height, width = images.shape[-2:]
        return [
            some[..., : -(-height // stride), : -(-width // stride)]
            for some, stride in zip(maps, self.stage_strides, strict=True)
        ]


class _LeadingConv2d(nn.Conv2d):
    """A strided convolution whose odd padding leads: its windows lie a cell before `SAME`'s."""

    def __init__(self, convolution: nn.Conv2d):
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,
            stride=convolution.stride,
            groups=convolution.groups,
            bias=convolution.bias is not None,
        )
        rows, columns = (side - 1 for side in convolution.kernel_size)
        self.edges = (columns - columns // 2, (columns - 1) // 2, rows - rows // 2, (rows - 1) // 2)

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(pad(maps, self.edges))


def create_backbone(
    name: str,
    *,
    output_stride: int = 16,
    weights: str | Path | None = "package",
    detach_stages: bool = False,
) -> Backbone:
    """Build a backbone.

    Args:
        name: `resnet50`, `resnet101`, `wide_resnet38`, or any convolutional network of timm, such
            as `tf_efficientnet_lite0`.
        output_stride: 8, 16 or 32; Wide ResNet-38 has 8 only.
        weights: "package" (tf_efficientnet_lite0 only), a path or URL of `.safetensors`, `.pth` or
            MXNet `.params` weights, or None for random ones.
        detach_stages: stop the gradient after the second residual layer in training, as IRN's
            CAM network does (ResNets only).

    Raises:
        InputError: an unknown name or stride, or weights that do not fit.
    """
    if output_stride not in (8, 16, 32):
        raise InputError(f"output_stride is 8, 16 or 32, not {output_stride}.")
    if detach_stages and name not in ("resnet50", "resnet101"):
        raise InputError(f"detach_stages is for resnet50 and resnet101, not for {name}.")
    if weights == "package" and name != "tf_efficientnet_lite0":
        raise InputError(f"weights: no package carries weights of {name}: give a path or a URL.")
    if weights is not None and str(weights).startswith(("https://", "http://")):
        weights = stored.download(str(weights))

    if name in ("resnet50", "resnet101"):
        backbone = ResNet(int(name[6:]), output_stride, detach_after=2 if detach_stages else 0)
        if weights is not None:
            state = stored.convert_resnet(stored.read_state(weights))
            stored.load_into(backbone, state, weights)
        return backbone
    if name == "wide_resnet38":
        # Here, because that module takes its base class from this one.
        from wood.models.wide_resnet38 import WideResNet38

        if output_stride != 8:
            raise InputError(f"wide_resnet38 has output stride 8, not {output_stride}.")
        backbone = WideResNet38()
        if weights is not None:
            state = stored.convert_wide_resnet38(stored.read_state(weights))
            stored.load_into(backbone, state, weights)
        return backbone

    backbone = TimmBackbone(name, output_stride)
    if weights == "package":
        stored.load_into(backbone.net, stored.packaged_lite0(backbone.net), "package")
    elif weights is not None:
        stored.load_into(backbone.net, stored.read_state(weights), weights)
    backbone.remove_classifier()
    return backbone
