"""Predictions of DeepLab-v2 with dense CRF: ours, and the reference code's way; time and memory.

python -m benchmarks.segmentation --backbone resnet101 --images 2

kazuto1011/deeplab-pytorch brings the logits of all 21 labels to the image's size and gives all of
them to the CRF. Ours gives it the labels that are probable somewhere. Weights are random, with
biases that make 4 labels probable, as in a photograph.
"""

import argparse
import time

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from benchmarks.ways import compare, finish
from wood.crf import DEEPLAB_CRF, refine
from wood.data.transforms import normalize
from wood.models.backbones import create_backbone
from wood.models.deeplab import DeepLabV2, multi_scale_logits
from wood.runtime.devices import find_device
from wood.segmentation.inference import MultiScale, score_tiles
from wood.segmentation.tiles import Tiling, refined_labels_of

HEIGHT, WIDTH, LABELS, PROBABLE = 375, 500, 21, 4


def make_network(backbone: str) -> DeepLabV2:
    """Return a network of random weights with `PROBABLE` probable labels."""
    features = create_backbone(backbone, output_stride=8, weights=None)
    network = DeepLabV2(features, LABELS, [6, 12, 18, 24])
    for branch in network.aspp.branches:
        torch.nn.init.zeros_(branch.weight)
        torch.nn.init.constant_(branch.bias[:PROBABLE], 3.0)
    return network.eval()


@torch.inference_mode()
def reference(network: DeepLabV2, image: Image.Image, device: torch.device) -> np.ndarray:
    """Return the labels of one image as the reference code makes them."""
    pixels = normalize(image, network.backbone.mean, network.backbone.std)[None].to(device)
    logits = multi_scale_logits(network, pixels)[-1]
    full = interpolate(logits, size=(HEIGHT, WIDTH), mode="bilinear", align_corners=False)
    scores = full.softmax(dim=1)[0].cpu().numpy()
    return refine(np.array(image), scores, parameters=DEEPLAB_CRF).argmax(axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet101")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--way", choices=("ours", "reference"))
    options = parser.parse_args()
    if options.way is None:
        print(f"DeepLab-v2 on {options.backbone}, {WIDTH} x {HEIGHT}, scales 1, 0.75, 0.5 and CRF")
        compare("benchmarks.segmentation")
        return
    torch.manual_seed(0)
    device = find_device()
    network = make_network(options.backbone).to(device)
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    images = [(str(number), Image.fromarray(pixels)) for number in range(options.images)]
    if options.way == "ours":
        network.to(memory_format=torch.channels_last)

        def run(chosen: list) -> None:
            for tile in score_tiles(network, chosen, MultiScale(), Tiling(), device):
                refined_labels_of(tile, DEEPLAB_CRF)

    else:

        def run(chosen: list) -> None:
            for _, image in chosen:
                reference(network, image, device)

    run(images[:1])
    started = time.perf_counter()
    run(images)
    finish((time.perf_counter() - started) / len(images))


if __name__ == "__main__":
    main()
