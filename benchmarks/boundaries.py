"""Class boundary maps of IRNet: ours, and IRN's way of making them; time and peak memory.

python -m benchmarks.boundaries --backbone resnet50 --images 4

IRN's code takes one image at a time in PyTorch's default layout. Ours is channels-last and, on a
GPU, in batches and bfloat16. Weights are random, which does not change the time.
"""

import argparse
import time

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.ways import compare, finish
from wood.affinity.pseudo_masks import boundary_maps
from wood.data.transforms import normalize
from wood.models.backbones import create_backbone
from wood.models.irnet import STRIDE, IRNet
from wood.runtime.devices import find_device

HEIGHT, WIDTH, CROP = 375, 500, 512
GPU_BATCH = 16


@torch.inference_mode()
def irns_boundary(model: IRNet, image: Image.Image, device: torch.device) -> Tensor:
    """Return one image's boundary map (h, w) as IRN's `EdgeDisplacement` does."""
    pixels = normalize(image, model.backbone.mean, model.backbone.std)[None].to(device)
    both = torch.cat([pixels, pixels.flip(3)])
    logits = model(pad(both, (0, CROP - WIDTH, 0, CROP - HEIGHT)))[0]
    logits = logits[:, 0, : (HEIGHT - 1) // STRIDE + 1, : (WIDTH - 1) // STRIDE + 1]
    return torch.sigmoid(logits[0] / 2 + logits[1].flip(-1) / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--way", choices=("ours", "reference"))
    options = parser.parse_args()
    if options.way is None:
        print(f"IRNet on {options.backbone}, {WIDTH} x {HEIGHT}, {torch.get_num_threads()} threads")
        compare("benchmarks.boundaries")
        return
    torch.manual_seed(0)
    device = find_device()
    model = IRNet(create_backbone(options.backbone, weights=None)).eval().to(device)
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    images = [Image.fromarray(pixels)] * options.images
    if options.way == "ours":
        model.to(memory_format=torch.channels_last)
        size = GPU_BATCH if device.type == "cuda" else 1

        def run() -> None:
            for start in range(0, len(images), size):
                boundary_maps(model, images[start : start + size], CROP, device).cpu()

    else:

        def run() -> None:
            for image in images:
                irns_boundary(model, image, device).cpu()

    run()
    started = time.perf_counter()
    run()
    finish((time.perf_counter() - started) / len(images))


if __name__ == "__main__":
    main()
