"""Backbones by name: to add a family, write its module and name it in `FAMILIES`."""

from collections.abc import Callable
from pathlib import Path

from wood.models import weights as stored
from wood.models.backbone import Backbone
from wood.models.resnet import create_caffe_resnet101, create_resnet
from wood.models.timm_backbone import PACKAGED, create_timm_backbone
from wood.models.wide_resnet38 import create_wide_resnet38
from wood.runtime.errors import InputError

# (name, output stride, weights or None, detach_stages) -> backbone
Family = Callable[[str, int, str | Path | None, bool], Backbone]

# Every other name is one of timm's.
FAMILIES: dict[str, Family] = {
    "resnet50": create_resnet,
    "resnet101": create_resnet,
    "resnet101_caffe": create_caffe_resnet101,
    "wide_resnet38": create_wide_resnet38,
}
STRIDES = (8, 16, 32)


def create_backbone(
    name: str,
    *,
    output_stride: int = 16,
    weights: str | Path | None = "package",
    detach_stages: bool = False,
) -> Backbone:
    """Build a backbone.

    Args:
        name: `resnet50`, `resnet101`, `resnet101_caffe`, `wide_resnet38`, or any network of timm
            that gives maps at the stride, such as `tf_efficientnet_lite0`.
        output_stride: 8, 16 or 32; `resnet101_caffe` and `wide_resnet38` have 8 only.
        weights: "package" (tf_efficientnet_lite0 only), a path or URL of `.safetensors`, `.pth` or
            MXNet `.params` weights, or None for random ones.
        detach_stages: stop the gradient after the second residual layer in training, as IRN's
            CAM network does (ResNets only).

    Raises:
        InputError: an unknown name or stride, or weights that do not fit.
    """
    if output_stride not in STRIDES:
        raise InputError(f"output_stride is 8, 16 or 32, not {output_stride}.")
    if weights == "package" and name != PACKAGED:
        raise InputError(f"weights: no package carries weights of {name}: give a path or a URL.")
    if weights is not None and str(weights).startswith(("https://", "http://")):
        weights = stored.download(str(weights))
    create = FAMILIES.get(name, create_timm_backbone)
    return create(name, output_stride, weights, detach_stages)
