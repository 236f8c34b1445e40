"""Dilated depthwise convolutions whose gradient is fast on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


def use_phases(model: nn.Module) -> None:
    """Replace, in place, a model's dilated depthwise convolutions by `PhasedDepthwise`."""
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Conv2d) and _fits(module):
            model.set_submodule(name, PhasedDepthwise(module))


def _fits(convolution: nn.Conv2d) -> bool:
    rows, columns = convolution.dilation
    reach = tuple(rows * (side // 2) for side in convolution.kernel_size)
    return (
        rows == columns > 1
        and convolution.groups == convolution.in_channels == convolution.out_channels
        and convolution.stride == (1, 1)
        and all(side % 2 for side in convolution.kernel_size)
        and convolution.padding == reach
    )


class PhasedDepthwise(nn.Conv2d):
    """A dilated depthwise convolution with the weights of another, and its output.

    With dilation d a cell meets only the cells at its own phase of a d x d grid, so on each of the
    d² phases the convolution is a plain one. On a CPU, whose dilated kernels are slow backwards,
    it is computed that way where a gradient may be asked for (`docs/benchmarks.md`).
    """

    def __init__(self, convolution: nn.Conv2d):
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,
            padding=convolution.padding,
            dilation=convolution.dilation,
            groups=convolution.groups,
            bias=convolution.bias is not None,
        )
        self.weight, self.bias = convolution.weight, convolution.bias
        self.train(convolution.training)

    def forward(self, maps: Tensor) -> Tensor:
        # In bfloat16 the gradient by phases was measured to be less exact.
        single = maps.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
        if single and torch.is_grad_enabled():
            return self.in_phases(maps)
        return super().forward(maps)

    def in_phases(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), by the phases of the grid."""
        step = self.dilation[0]
        batch, channels, height, width = maps.shape
        below, beside = -height % step, -width % step
        if below or beside:
            maps = pad(maps, (0, beside, 0, below))
        rows, columns = (height + below) // step, (width + beside) // step
        # Channels last in memory, so that no copy moves single numbers.
        phases = (
            maps.permute(0, 2, 3, 1)
            .reshape(batch, rows, step, columns, step, channels)
            .permute(2, 4, 0, 1, 3, 5)
            .reshape(step * step * batch, rows, columns, channels)
            .permute(0, 3, 1, 2)
        )
        padding = [side // 2 for side in self.kernel_size]
        phases = conv2d(phases, self.weight, self.bias, padding=padding, groups=channels)
        whole = (
            phases.permute(0, 2, 3, 1)
            .reshape(step, step, batch, rows, columns, channels)
            .permute(2, 3, 0, 4, 1, 5)
            .reshape(batch, rows * step, columns * step, channels)
            .permute(0, 3, 1, 2)
        )
        return whole[..., :height, :width]
