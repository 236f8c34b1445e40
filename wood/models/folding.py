"""Batch norm folded into the convolutions before it, for networks that no longer train."""

import copy
import logging

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from wood.models.backbone import Backbone

logger = logging.getLogger(__name__)

EXAMPLE = (1, 3, 64, 64)
TOLERANCE = 1e-3


def folded(backbone: Backbone) -> Backbone:
    """Return a frozen copy in evaluation mode whose batch norm is part of its convolutions.

    `w * x` normalised by stored statistics is a convolution with other weights and a bias, so the
    maps are the same up to rounding, with about half as many passes over memory. Which batch norm
    follows which convolution is seen in one pass over an example. A network whose maps would
    change (one that also reads a convolution before its batch norm) is left as it is.
    """
    changed = _frozen(backbone)
    weight = next(changed.parameters())
    generator = torch.Generator().manual_seed(0)
    example = torch.randn(EXAMPLE, generator=generator).to(weight)
    before = _maps(changed, example)
    names = {module: name for name, module in changed.named_modules()}
    for convolution, norm in _pairs(changed, example):
        convolution.weight, convolution.bias = (
            nn.Parameter(tensor, requires_grad=False)
            for tensor in fuse_conv_bn_weights(
                convolution.weight,
                convolution.bias,
                norm.running_mean,
                norm.running_var,
                norm.eps,
                norm.weight,
                norm.bias,
            )
        )
        changed.set_submodule(names[norm], _after(norm))
    if _same(before, _maps(changed, example)):
        return changed
    logger.warning("The batch norm of this backbone cannot be folded; it stays as it is.")
    return _frozen(backbone)


def to_predict(model: nn.Module, device: torch.device) -> nn.Module:
    """Make a model on a `backbone` ready on `device`, for what no longer trains it."""
    model.backbone = folded(model.backbone)
    return model.requires_grad_(False).to(device, memory_format=torch.channels_last)


def _frozen(backbone: Backbone) -> Backbone:
    return copy.deepcopy(backbone).eval().requires_grad_(False)


@torch.no_grad()
def _maps(backbone: Backbone, example: Tensor) -> list[Tensor]:
    """All that a backbone gives."""
    return [backbone(example), *backbone.stages(example)]


@torch.no_grad()
def _pairs(model: nn.Module, example: Tensor) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """The convolutions whose output is what a batch norm reads, with that batch norm."""
    # The outputs are kept alive, else another tensor could come to the same place.
    outputs: list[tuple[Tensor, nn.Conv2d]] = []
    pairs = []

    def after_convolution(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        outputs.append((output, module))

    def after_norm(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        pairs.extend((maker, module) for output, maker in outputs if output is inputs[0])

    hooks = [
        module.register_forward_hook(hook)
        for kind, hook in ((nn.Conv2d, after_convolution), (nn.BatchNorm2d, after_norm))
        for module in model.modules()
        if isinstance(module, kind)
    ]
    model(example)
    for hook in hooks:
        hook.remove()
    return pairs


def _after(norm: nn.BatchNorm2d) -> nn.Module:
    """What is left of a batch norm: timm's have the activation inside."""
    return nn.Sequential(norm.drop, norm.act) if hasattr(norm, "act") else nn.Identity()


def _same(before: list[Tensor], after: list[Tensor]) -> bool:
    return all(
        (one - other).abs().max() <= TOLERANCE * one.abs().max().clamp(min=1e-6)
        for one, other in zip(before, after, strict=True)
    )
