"""Any network of timm that gives maps as a backbone."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from wood.models import weights as stored
from wood.models.backbone import Backbone
from wood.models.dilated import use_phases
from wood.models.lean_imports import create_timm_model, timm_layers
from wood.runtime.errors import InputError

STEMS = ("conv_stem.", "conv1.", "bn1.", "stem.")
PACKAGED = "tf_efficientnet_lite0"


class TimmBackbone(Backbone):
    """A convolutional network of timm whose stride can be set, with its own normalisation.

    `forward` is the input of timm's global pooling (for tf_efficientnet_lite0 the 1280 channels
    after the last 1x1 convolution), `stages` are the maps listed in timm's feature information
    (there 16, 24, 40, 112 and 320 channels).

    Networks from TensorFlow ("SAME" padding) pad on the left or on both sides depending on the
    size, so the pixels that a cell reads lie up to half a stride beside it in one image and not in
    another. Here the image is first continued to a multiple of the stride, which makes it the same
    in all, and the last strided convolution takes the other phase of its grid, which puts the
    middle of these pixels on the middle of the cell, to half a pixel. That is the padding's
    geometry: trained weights need not weigh them evenly (docs/benchmarks.md).

    Images are continued too where a strided layer without padding would leave out the last pixels.
    """

    def __init__(self, net: nn.Module, output_stride: int):
        super().__init__()
        self.net = net
        self.num_features = net.num_features
        self._describe(output_stride)
        same = timm_layers().Conv2dSame
        strided = [
            (name, module)
            for name, module in net.named_modules()
            if isinstance(module, same) and max(module.stride) > 1
        ]
        loses = any(map(_leaves_out_the_border, net.modules()))
        self.multiple = output_stride if strided or loses else 1
        for name, module in strided[:-1]:
            net.set_submodule(name, _EvenConv2d(module))
        if strided:
            name, module = strided[-1]
            net.set_submodule(name, _LeadingConv2d(module))
        use_phases(net)

    def _describe(self, output_stride: int) -> None:
        information = self.net.feature_info
        self.stage_channels = [entry["num_chs"] for entry in information]
        self.stage_strides = [min(entry["reduction"], output_stride) for entry in information]
        self.mean = tuple(self.net.default_cfg["mean"])
        self.std = tuple(self.net.default_cfg["std"])

    def remove_classifier(self) -> None:
        """Drop the ImageNet classifier, once weights that include it are loaded."""
        self.net.reset_classifier(0, "")
        for name, parameter in self.net.named_parameters():
            if name.startswith(STEMS):
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


class StageBackbone(TimmBackbone):
    """A network of timm whose stride is fixed: its stages down to the wanted stride.

    Transformers (ViT, Swin), HRNet, DenseNet and others give maps by timm's feature interface.
    `stages` are those up to `output_stride`, `forward` is the last of them, and what lies behind it
    is cut off. Images are continued to a multiple of the network's own stride.
    """

    def __init__(self, net: nn.Module, output_stride: int):
        Backbone.__init__(self)
        self.net = net
        self._describe(output_stride)
        reductions = [entry["reduction"] for entry in net.feature_info]
        used = [number for number, stride in enumerate(reductions) if stride <= output_stride]
        if not used or reductions[used[-1]] != output_stride:
            strides = ", ".join(map(str, sorted(set(reductions))))
            raise InputError(
                f"backbone: this network has no maps at stride {output_stride}, "
                f"only at {strides} (output_stride)."
            )
        self.used = used
        self.stage_channels = [self.stage_channels[number] for number in used]
        self.stage_strides = [self.stage_strides[number] for number in used]
        self.num_features = self.stage_channels[-1]
        self.multiple = max(reductions)

    def remove_classifier(self) -> None:
        """Drop all that follows the last stage in use, once weights are loaded."""
        self.used = self.net.prune_intermediate_layers(self.used, prune_norm=True, prune_head=True)
        for name, parameter in self.net.named_parameters():
            if name.startswith(STEMS):
                parameter.requires_grad_(False)

    def stages(self, images: Tensor) -> list[Tensor]:
        maps = self.net.forward_intermediates(
            self._continued(images), indices=self.used, output_fmt="NCHW", intermediates_only=True
        )
        return self._cut(maps, images)

    def forward(self, images: Tensor) -> Tensor:
        return self.stages(images)[-1]

    def stages_and_features(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        maps = self.stages(images)
        return maps, maps[-1]


# What networks of a fixed stride take, so that they read images of any size.
ANY_SIZE = ({}, {"dynamic_img_size": True}, {"strict_img_size": False})


def _network(name: str, output_stride: int) -> TimmBackbone:
    """timm's network with this output stride, else with the stages that it has."""
    reasons = []
    try:
        net = create_timm_model(name, pretrained=False, output_stride=output_stride)
        return TimmBackbone(net, output_stride)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        reasons.append(error)
    for arguments in reversed(ANY_SIZE):
        try:
            net = create_timm_model(name, pretrained=False, **arguments)
        except (RuntimeError, TypeError, AssertionError) as error:
            reasons.append(error)
            continue
        if hasattr(net, "forward_intermediates"):
            return StageBackbone(net, output_stride)
    reason = next((str(error) for error in reasons if str(error)), type(reasons[0]).__name__)
    raise InputError(
        f"backbone: timm has no network {name!r} that gives maps at stride {output_stride} "
        f"({reason.splitlines()[0]})."
    )


def _leaves_out_the_border(module: nn.Module) -> bool:
    """Whether a strided layer reads only whole windows, so that the last pixels can be lost."""
    if not isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return False
    if getattr(module, "ceil_mode", False) or isinstance(module, timm_layers().Conv2dSame):
        return False
    sides = zip(
        *(_pair(module.kernel_size), _pair(module.stride), _pair(module.padding)), strict=True
    )
    return any(
        stride > 1 and 2 * (0 if padding == "same" else padding) < side - 1
        for side, stride, padding in sides
    )


def _pair(value: int | str | tuple) -> tuple:
    return value if isinstance(value, tuple) else (value, value)


class _PaddedConv2d(nn.Conv2d):
    """A strided convolution of maps whose sides are multiples of its stride.

    `SAME` pads them by k - s in all. As numbers, and not computed from the size in each call, they
    also leave short expressions of the size to the ONNX export.
    """

    def __init__(self, convolution: nn.Conv2d):
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,
            stride=convolution.stride,
            groups=convolution.groups,
            bias=convolution.bias is not None,
        )

    def forward(self, maps: Tensor) -> Tensor:
        return super().forward(pad(maps, self.edges))


class _EvenConv2d(_PaddedConv2d):
    """`SAME` itself: the odd padding follows. It keeps the convolution's weights."""

    def __init__(self, convolution: nn.Conv2d):
        with torch.random.fork_rng(devices=[]):
            super().__init__(convolution)
        self.load_state_dict(convolution.state_dict())
        rows, columns = (
            max(side - stride, 0)
            for side, stride in zip(convolution.kernel_size, convolution.stride, strict=True)
        )
        self.edges = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)


class _LeadingConv2d(_PaddedConv2d):
    """The odd padding leads: its windows lie a cell before `SAME`'s."""

    def __init__(self, convolution: nn.Conv2d):
        super().__init__(convolution)
        rows, columns = (side - 1 for side in convolution.kernel_size)
        self.edges = (columns - columns // 2, (columns - 1) // 2, rows - rows // 2, (rows - 1) // 2)


def create_timm_backbone(
    name: str, output_stride: int, weights: str | Path | None, detach_stages: bool
) -> TimmBackbone:
    """Build a network of timm by its name; see `wood.models.backbones.create_backbone`."""
    if detach_stages:
        raise InputError(f"detach_stages is for resnet50 and resnet101, not for {name}.")
    backbone = _network(name, output_stride)
    if weights == "package":
        stored.load_into(backbone.net, stored.packaged_lite0(backbone.net), "package")
    elif weights is not None:
        stored.load_into(backbone.net, stored.read_state(weights), weights)
    backbone.remove_classifier()
    return backbone
