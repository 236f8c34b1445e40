"""Wide ResNet-38 (Wu et al., "Wider or Deeper", model A1), in the form SEAM and the paper use."""

from torch import Tensor, nn
from torch.nn import functional

from wood.models import weights as stored
from wood.models.backbone import Backbone


class _Block(nn.Module):
    """Pre-activated residual block of two 3x3 convolutions."""

    def __init__(
        self, inputs: int, middle: int, outputs: int, stride: int = 1, dilations: tuple = (1, 1)
    ):
        super().__init__()
        first, second = dilations
        self.bn2a = nn.BatchNorm2d(inputs)
        self.conv2a = nn.Conv2d(inputs, middle, 3, stride, first, first, bias=False)
        self.bn2b1 = nn.BatchNorm2d(middle)
        self.conv2b1 = nn.Conv2d(middle, outputs, 3, 1, second, second, bias=False)
        changes = inputs != outputs or stride != 1
        self.conv1 = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's output and its activated input."""
        activated = functional.relu(self.bn2a(x))
        shortcut = x if self.conv1 is None else self.conv1(activated)
        x = self.conv2a(activated)
        x = self.conv2b1(functional.relu(self.bn2b1(x)))
        return shortcut + x, activated


class _Bottleneck(nn.Module):
    """Pre-activated residual block of a 1x1, a dilated 3x3 and a 1x1 convolution, with dropout."""

    def __init__(self, inputs: int, outputs: int, dilation: int, dropout: float):
        super().__init__()
        self.bn2a = nn.BatchNorm2d(inputs)
        self.conv2a = nn.Conv2d(inputs, outputs // 4, 1, bias=False)
        self.bn2b1 = nn.BatchNorm2d(outputs // 4)
        self.conv2b1 = nn.Conv2d(
            outputs // 4, outputs // 2, 3, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2b2 = nn.BatchNorm2d(outputs // 2)
        self.conv2b2 = nn.Conv2d(outputs // 2, outputs, 1, bias=False)
        self.conv1 = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the block's output and its activated input."""
        activated = functional.relu(self.bn2a(x))
        x = self.conv2a(activated)
        x = self.conv2b1(self.dropout(functional.relu(self.bn2b1(x))))
        x = self.conv2b2(self.dropout(functional.relu(self.bn2b2(x))))
        return self.conv1(activated) + x, activated


class WideResNet38(Backbone):
    """Wide ResNet-38 at stride 8, dilated by 2 and 4 in its last levels.

    Stages are the activated inputs of levels 3, 4, 5 and 6 (the last two of which SEAM's pixel
    correlation module reads) and the activated output, with 128, 256, 512, 1024, 4096 channels.
    As in SEAM the first convolution, level 2 and all batch norm's affine weights are frozen.
    """

    def __init__(self):
        super().__init__()
        self.conv1a = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        self.level2 = _level(3, 64, 128, 128, stride=2)
        self.level3 = _level(3, 128, 256, 256, stride=2)
        self.level4 = _level(6, 256, 512, 512, stride=2)
        self.level5 = _level(3, 512, 512, 1024, dilation=2)
        self.level6 = nn.ModuleList([_Bottleneck(1024, 2048, dilation=4, dropout=0.3)])
        self.level7 = nn.ModuleList([_Bottleneck(2048, 4096, dilation=4, dropout=0.5)])
        self.bn7 = nn.BatchNorm2d(4096)
        self.num_features = 4096
        self.stage_channels = [128, 256, 512, 1024, 4096]
        self.stage_strides = [2, 4, 8, 8, 8]
        for module in (self.conv1a, self.level2):
            module.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.requires_grad_(False)

    def stages(self, images: Tensor) -> list[Tensor]:
        x = self.conv1a(images)
        maps = []
        levels = (self.level2, self.level3, self.level4, self.level5, self.level6, self.level7)
        for level in levels:
            for number, block in enumerate(level):
                x, activated = block(x)
                if number == 0:
                    maps.append(activated)
        of_levels_3_to_6 = maps[1:5]
        return [*of_levels_3_to_6, functional.relu(self.bn7(x))]


def _level(
    blocks: int, inputs: int, middle: int, outputs: int, stride: int = 1, dilation: int = 1
) -> nn.ModuleList:
    """The first block takes the stride, or is not yet dilated in its first convolution."""
    first = _Block(inputs, middle, outputs, stride, (1, dilation))
    others = [
        _Block(outputs, middle, outputs, dilations=(dilation, dilation)) for _ in range(blocks - 1)
    ]
    return nn.ModuleList([first, *others])


create_wide_resnet38 = stored.at_stride_8(WideResNet38, stored.convert_wide_resnet38)
