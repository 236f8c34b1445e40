"""IRNet (IRN, Sec. 4.2): class boundary map and displacement field on a frozen backbone."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from wood.models.backbone import Backbone
from wood.models.backbones import create_backbone
from wood.models.weights import read_model
from wood.runtime.devices import at_least_single, full_precision
from wood.runtime.store import save_tensors

ARCHITECTURE = "irnet"
STRIDE = 4
DEEP_STRIDE = 8
BOUNDARY_WIDTH = 32
SHALLOW_WIDTHS = (64, 128)
DEEP_WIDTH = 256


class IRNet(nn.Module):
    """Two branches over all stages of a backbone that is never trained.

    Maps of a smaller stride are max-pooled to stride 4 first, as a ResNet's own stem does. The
    stages up to stride 4 (two in a ResNet and in EfficientNet) are the shallow ones of the
    displacement branch, the others the deep ones.

    Attributes:
        mean_displacement: (2,) mean of the displacements over the training images; it is
            subtracted in evaluation, so that the field points to the centroids.
    """

    def __init__(self, backbone: Backbone):
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.strides = [max(stride, STRIDE) for stride in backbone.stage_strides]
        stages = list(zip(backbone.stage_channels, self.strides, strict=True))
        shallow = [channels for channels, stride in stages if stride == STRIDE]
        deep = [(channels, stride) for channels, stride in stages if stride > STRIDE]
        widths = [SHALLOW_WIDTHS[min(i, len(SHALLOW_WIDTHS) - 1)] for i in range(len(shallow))]

        self.boundary_stages = nn.ModuleList(
            _Reduce(channels, BOUNDARY_WIDTH, groups=4, upscale=stride // STRIDE)
            for channels, stride in stages
        )
        self.boundary_head = nn.Conv2d(BOUNDARY_WIDTH * len(stages), 1, kernel_size=1)

        self.shallow_stages = nn.ModuleList(
            _Reduce(channels, width, groups=width // 8)
            for channels, width in zip(shallow, widths, strict=True)
        )
        self.deep_stages = nn.ModuleList(
            _Reduce(channels, DEEP_WIDTH, groups=16, upscale=stride // DEEP_STRIDE)
            for channels, stride in deep
        )
        self.deep_merge = _Reduce(
            DEEP_WIDTH * len(deep), DEEP_WIDTH, groups=16, upscale=DEEP_STRIDE // STRIDE
        )
        self.displacement_head = nn.Sequential(
            _Reduce(sum(widths) + DEEP_WIDTH, DEEP_WIDTH, groups=16),
            nn.Conv2d(DEEP_WIDTH, 2, kernel_size=1, bias=False),
        )
        self.register_buffer("mean_displacement", torch.zeros(2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) normalised images -> boundary logits and displacements at stride 4.

        Returns:
            (B, 1, ceil(H/4), ceil(W/4)) and (B, 2, ceil(H/4), ceil(W/4)), (y, x) in cells.
        """
        with torch.no_grad():
            stages = [
                _to_stride_4(stage, stride)
                for stage, stride in zip(
                    self.backbone.stages(images), self.backbone.stage_strides, strict=True
                )
            ]
        size = stages[0].shape[-2:]
        boundary = _in_full_precision(
            self.boundary_head,
            [
                _crop(reduce(stage), size)
                for reduce, stage in zip(self.boundary_stages, stages, strict=True)
            ],
        )

        count = len(self.shallow_stages)
        shallow = [
            reduce(stage) for reduce, stage in zip(self.shallow_stages, stages[:count], strict=True)
        ]
        deep = [
            reduce(stage) for reduce, stage in zip(self.deep_stages, stages[count:], strict=True)
        ]
        deep_size = deep[0].shape[-2:]
        merged = self.deep_merge(torch.cat([_crop(maps, deep_size) for maps in deep], dim=1))
        displacement = _in_full_precision(self.displacement_head, [*shallow, _crop(merged, size)])
        if not self.training:
            displacement = displacement - self.mean_displacement[:, None, None]
        return boundary, displacement

    def train(self, mode: bool = True) -> "IRNet":
        super().train(mode)
        self.backbone.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the groups for the optimiser: displacements learn at 10 times the rate."""
        return [
            {"params": list(_parameters(self.boundary_stages, self.boundary_head)), "lr_scale": 1},
            {
                "params": list(
                    _parameters(
                        self.shallow_stages,
                        self.deep_stages,
                        self.deep_merge,
                        self.displacement_head,
                    )
                ),
                "lr_scale": 10,
            },
        ]


class _Reduce(nn.Sequential):
    """1x1 convolution, group normalisation, upsampling (bilinear) and ReLU."""

    def __init__(self, channels: int, width: int, groups: int, upscale: int = 1):
        super().__init__(
            nn.Conv2d(channels, width, kernel_size=1, bias=False), nn.GroupNorm(groups, width)
        )
        self.upscale = upscale

    def forward(self, maps: Tensor) -> Tensor:
        maps = super().forward(maps)
        if self.upscale > 1:
            maps = interpolate(
                maps, scale_factor=self.upscale, mode="bilinear", align_corners=False
            )
        return torch.relu(maps)


def _in_full_precision(head: nn.Module, maps: list[Tensor]) -> Tensor:
    with full_precision(maps[0]):
        return head(at_least_single(torch.cat(maps, dim=1)))


def _to_stride_4(maps: Tensor, stride: int) -> Tensor:
    while stride < STRIDE:
        maps = max_pool2d(maps, kernel_size=3, stride=2, padding=1)
        stride *= 2
    return maps


def _crop(maps: Tensor, size: torch.Size) -> Tensor:
    return maps[..., : size[0], : size[1]]


def _parameters(*modules: nn.Module) -> Iterator[nn.Parameter]:
    for module in modules:
        yield from module.parameters()


def save_irnet(path: str | Path, model: IRNet, metadata: Mapping[str, Any]) -> None:
    """Write the weights and what is needed to build the network again.

    `metadata` holds at least `backbone` and `crop`, the side of the training crops in pixels.
    """
    save_tensors(path, model.state_dict(), {"architecture": ARCHITECTURE, **metadata})


def load_irnet(path: str | Path) -> tuple[IRNet, dict[str, Any]]:
    """Build the IRNet that `path` holds; see `wood.models.weights.read_model`."""
    return read_model(
        path,
        "an IRNet",
        lambda metadata: IRNet(create_backbone(metadata["backbone"], weights=None)),
        ARCHITECTURE,
    )
