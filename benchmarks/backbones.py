"""Backbones of several kinds as F_in's: parameters in use, channels, and images a second.

python -m benchmarks.backbones [NAME ...]
"""

import statistics
import sys

import torch

from benchmarks.timing import seconds
from wood.models.backbones import create_backbone
from wood.models.cam import CamClassifier
from wood.runtime.devices import find_device

NAMES = (
    "resnet50",
    "resnet101",
    "tf_efficientnet_lite0",
    "mobilenetv3_large_100",
    "efficientnet_b0",
    "regnety_004",
    "densenet121",
    "convnext_nano",
    "hrnet_w18_small",
    "vit_small_patch16_224",
    "swin_tiny_patch4_window7_224",
    "pvt_v2_b0",
)
SIDE, BATCH, REPEATS = 224, 8, 3


def main(names: list[str]) -> None:
    """Print a row for each network: forward passes of a batch, at stride 16."""
    device = find_device()
    images = torch.randn(BATCH, 3, SIDE, SIDE, device=device).contiguous(
        memory_format=torch.channels_last
    )
    print("| backbone | parameters, millions | channels | images/s |")
    print("| --- | ---: | ---: | ---: |")
    for name in names or NAMES:
        model = CamClassifier(create_backbone(name, weights=None), 20).eval().to(device)
        model.to(memory_format=torch.channels_last)
        with torch.inference_mode():
            model.activation_maps(images)
            taken = statistics.median(
                seconds(lambda model=model: model.activation_maps(images)) for _ in range(REPEATS)
            )
        millions = sum(p.numel() for p in model.backbone.parameters()) / 1e6
        features = model.backbone.num_features
        print(f"| {name} | {millions:.1f} | {features} | {BATCH / taken:.0f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
