"""Make files of this project from published checkpoints, whose tensors have other names.

    wood convert cam res50_cam.pth model.safetensors

Backbones need no conversion: their published files are read as they are (`weights` in the
configuration), and so are a classifier's (`published`).
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from wood.data.masks import VOC_CLASSES
from wood.models.backbones import create_backbone
from wood.models.classifiers import save_classifier
from wood.models.deeplab import DeepLabV2, network_without_weights, save_network
from wood.models.irnet import IRNet, save_irnet
from wood.models.published import (
    CLASSIFIERS,
    RESNET_PARTS,
    below,
    by_tensor,
    published_classifier,
    refuse,
)
from wood.models.weights import State, convert_caffe_resnet, convert_resnet, load_into, read_state

IRNET_PARTS = (
    rf"{RESNET_PARTS}|(fc_(edge|dp)\d|edge_layers|dp_layers|mean_shift)\."
    r"|path_indices\d+$|disp_target$"
)

IRNET_LAYERS = {
    "fc_edge6": "boundary_head",
    "fc_dp6": "deep_merge",
    "fc_dp7.0": "displacement_head.0.0",
    "fc_dp7.1": "displacement_head.0.1",
    "fc_dp7.3": "displacement_head.1",
}
IRNET_LAYERS |= {f"fc_edge{number}": f"boundary_stages.{number - 1}" for number in range(1, 6)}
IRNET_LAYERS |= {f"fc_dp{number}": f"shallow_stages.{number - 1}" for number in (1, 2)}
IRNET_LAYERS |= {f"fc_dp{number}": f"deep_stages.{number - 3}" for number in (3, 4, 5)}


def convert_irnet(state: State, source: str | Path) -> dict[str, Tensor]:
    """IRNet of IRN, AdvCAM and W-OoD, under the names of our `IRNet`."""
    refuse([name for name in state if not re.match(IRNET_PARTS, name)], source, "IRNet")
    converted = below("backbone", convert_resnet(state))
    for name, tensor in state.items():
        for theirs, ours in IRNET_LAYERS.items():
            if name.startswith(f"{theirs}."):
                converted[name.replace(theirs, ours, 1)] = tensor
    if "mean_shift.running_mean" in state:
        converted["mean_displacement"] = state["mean_shift.running_mean"]
    return converted


DEEPLAB: dict[str, Any] = {
    "backbone": "resnet101_caffe",
    "output_stride": 8,
    "atrous_rates": [6, 12, 18, 24],
    "alignment": "stretched",
}


def convert_deeplab(state: State, source: str | Path) -> dict[str, Tensor]:
    """DeepLab-v2 of deeplab-pytorch, under the names of our `DeepLabV2`."""

    def own(name: str, tensor: Tensor) -> dict[str, Tensor]:
        found = re.fullmatch(r"(?:base\.)?aspp\.c(\d)\.(weight|bias)", name)
        return {"aspp.branches.{}.{}".format(*found.groups()): tensor} if found else {}

    return by_tensor(state, source, "deeplab-pytorch's DeepLab-v2", own, convert_caffe_resnet)


def published_irnet(path: str | Path) -> IRNet:
    """Build the IRNet of a published checkpoint of IRN, AdvCAM or W-OoD.

    Raises:
        InputError: as `published_classifier`.
    """
    model = IRNet(create_backbone("resnet50", weights=None))
    load_into(model, convert_irnet(read_state(path), path), path)
    return model.eval()


def published_deeplab(
    path: str | Path, class_names: Sequence[str]
) -> tuple[DeepLabV2, dict[str, Any]]:
    """Build the DeepLab-v2 of a deeplab-pytorch checkpoint, with the metadata of `save_network`.

    Raises:
        InputError: as `published_classifier`.
    """
    metadata = {**DEEPLAB, "class_names": list(class_names)}
    network = network_without_weights(metadata)
    load_into(network, convert_deeplab(read_state(path), path), path)
    return network.eval(), metadata


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `wood convert` takes."""
    parser.add_argument(
        "kind",
        choices=[*CLASSIFIERS, "irnet", "deeplab"],
        help="cam: classifier of IRN, AdvCAM or W-OoD; seam: SEAM's; irnet: IRNet of IRN; "
        "deeplab: DeepLab-v2 of deeplab-pytorch",
    )
    parser.add_argument("checkpoint", help="the published file")
    parser.add_argument("output", help="the file to write (.safetensors)")
    parser.add_argument(
        "--classes", nargs="+", default=VOC_CLASSES, help="it was trained for (default: VOC's 20)"
    )


def run(options: argparse.Namespace) -> int:
    """Write a published network in this project's form."""
    if options.kind == "irnet":
        irnet = published_irnet(options.checkpoint)
        save_irnet(options.output, irnet, {"backbone": "resnet50", "crop": 512})
    elif options.kind == "deeplab":
        network, metadata = published_deeplab(options.checkpoint, options.classes)
        save_network(options.output, network, metadata)
    else:
        model, metadata = published_classifier(options.checkpoint, options.kind, options.classes)
        save_classifier(options.output, model, metadata)
    return 0
