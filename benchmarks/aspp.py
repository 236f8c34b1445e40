"""ASPP: ours, one product whose parts are shifted, beside dilated convolutions.

python -m benchmarks.aspp

Forward and backward pass, and the forward pass alone. Weights are random, which does not change the
time.
"""

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.timing import compare
from wood.models.deeplab import Aspp
from wood.runtime.devices import find_device

# features, labels, rates, images, cells of a side: the demo's network, that of the mini set, and
# the paper's ResNet-101
SIZES = {
    "demo": (1280, 4, (3, 6, 9, 12), 10, 7),
    "mini": (1280, 7, (3, 6, 9, 12), 10, 14),
    "paper": (2048, 21, (6, 12, 18, 24), 2, 41),
}


def convolutions(aspp: Aspp, features: Tensor) -> Tensor:
    """ASPP as it is usually written."""
    return sum(branch(features) for branch in aspp.branches)


def times(
    width: int, labels: int, rates: Sequence[int], images: int, cells: int, repeats: int
) -> dict[str, tuple[float, float]]:
    """Return the seconds of both ways, of a training step and of the forward pass alone."""
    device = find_device()
    aspp = Aspp(width, labels, rates).to(device)
    features = torch.randn(images, width, cells, cells, device=device)
    features = features.to(memory_format=torch.channels_last)

    def ours() -> Tensor:
        return aspp(features)

    def reference() -> Tensor:
        return convolutions(aspp, features)

    with torch.no_grad():
        alone = compare(ours, reference, repeats)
    features.requires_grad_()
    both = compare(lambda: ours().sum().backward(), lambda: reference().sum().backward(), repeats)
    return {"training": both, "forward": alone}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name, size in SIZES.items():
        for what, (ours, theirs) in times(*size, arguments.repeats).items():
            print(
                f"{name}, {what}: {ours:.4f} s, dilated convolutions {theirs:.4f} s "
                f"({theirs / ours:.2f} times as fast)"
            )


if __name__ == "__main__":
    main()
