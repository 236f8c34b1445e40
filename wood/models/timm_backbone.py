"""Any convolutional network of timm as a backbone."""

from pathlib import Path

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
            self.net = create_timm_model(name, pretrained=False, output_stride=output_stride)
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
            if isinstance(module, timm_layers().Conv2dSame) and max(module.stride) > 1
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


def create_timm_backbone(
    name: str, output_stride: int, weights: str | Path | None, detach_stages: bool
) -> TimmBackbone:
    """Build a network of timm by its name; see `wood.models.backbones.create_backbone`."""
    if detach_stages:
        raise InputError(f"detach_stages is for resnet50 and resnet101, not for {name}.")
    backbone = TimmBackbone(name, output_stride)
    if weights == "package":
        stored.load_into(backbone.net, stored.packaged_lite0(backbone.net), "package")
    elif weights is not None:
        stored.load_into(backbone.net, stored.read_state(weights), weights)
    backbone.remove_classifier()
    return backbone
