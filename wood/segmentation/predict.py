"""A trained network outside the pipeline: one photograph in, one mask out.

wood predict --weights network.safetensors image.jpg -o mask.png
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from wood.data.images import load_image
from wood.data.masks import save_mask
from wood.models.deeplab import DeepLabV2, load_to_predict
from wood.runtime.devices import find_device
from wood.segmentation.inference import MultiScale, score_tiles
from wood.segmentation.tiles import TILING, MaskAssembly, labels_of


def predict(
    network: DeepLabV2,
    image: Image.Image,
    method: MultiScale | None = None,
    *,
    name: str = "image",
) -> np.ndarray:
    """Return the (H, W) uint8 mask of an RGB image; 0 is background.

    Raises:
        InputError: the scores of the image `name` hold NaN.
    """
    masks: list[np.ndarray] = []
    assembly = MaskAssembly(lambda _, mask: masks.append(mask))
    device = next(network.parameters()).device
    for tile in score_tiles(network, [(name, image)], method or MultiScale(), TILING, device):
        assembly.add(tile, labels_of(tile))
    return masks[0]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `wood predict` takes."""
    parser.add_argument("image", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="network, .safetensors")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="mask, .png in Pascal VOC's colours"
    )
    parser.add_argument("--scales", type=float, nargs="+", default=[0.75, 1.0, 1.25])
    parser.add_argument("--no-flip", dest="flip", action="store_false")
    parser.add_argument("--merge", choices=("mean", "max"), default="mean")


def run(options: argparse.Namespace) -> int:
    """Segment the photograph, write its mask, and print the share of each label."""
    method = MultiScale(tuple(options.scales), options.flip, options.merge)
    network, metadata = load_to_predict(options.weights, find_device())
    image = load_image(options.image)
    mask = predict(network, image, method, name=str(options.image))
    save_mask(options.output, mask)
    names = ["background", *metadata["class_names"]]
    for value, pixels in zip(*np.unique(mask, return_counts=True), strict=True):
        print(f"{value:3d} {names[value]:15s} {pixels / mask.size:7.1%}")
    return 0
