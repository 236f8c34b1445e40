"""A trained network as an ONNX file, for use without this project and without torch.

wood export --weights network.safetensors -o network.onnx

Needs the Python packages onnx and onnxscript.
"""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from wood.models.deeplab import DeepLabV2, at_pixels, load_network
from wood.runtime.errors import InputError
from wood.runtime.store import atomic_path

NEEDED = ("onnx", "onnxscript")


class WholeImage(nn.Module):
    """A network from the colours of an image to the logits of its pixels, at one scale."""

    def __init__(self, network: DeepLabV2):
        super().__init__()
        self.network = network
        self.stride = network.backbone.stage_strides[-1]
        self.register_buffer("mean", 255 * torch.tensor(network.backbone.mean)[:, None, None])
        self.register_buffer("std", 255 * torch.tensor(network.backbone.std)[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in 0..255 -> (B, L, H, W) logits; label 0 is background."""
        logits = self.network((image - self.mean) / self.std)
        return at_pixels(logits, image.shape[-2:], self.stride, self.network.alignment)


def export_onnx(weights: str | Path, output: str | Path) -> None:
    """Write the network in `weights` as ONNX: `image` (B, 3, H, W) RGB 0..255 -> `logits`.

    Height and width are free. The labels' names are in the file's metadata, as JSON under
    `labels`. The classes are those of `wood.segmentation.predict` with scale 1 and no flip.

    Raises:
        InputError: onnx or onnxscript is not installed, or bad weights.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(f"The ONNX export needs the Python packages {' and '.join(missing)}.")
    network, metadata = load_network(weights)
    free = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    # Sizes that are no multiples of a stride and differ, so that nothing is specialised to them.
    example = torch.zeros(2, 3, 161, 195)
    with torch.no_grad():  # else dilated convolutions are traced by their phases: many minutes
        program = torch.onnx.export(
            WholeImage(network).eval(),
            (example,),
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=(free,),
            dynamo=True,
            verbose=False,
        )
    labels = ["background", *metadata["class_names"]]
    program.model.metadata_props["labels"] = json.dumps(labels)
    with atomic_path(output) as temporary:
        program.save(temporary, external_data=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `wood export` takes."""
    parser.add_argument("--weights", type=Path, required=True, help="network, .safetensors")
    parser.add_argument("-o", "--output", type=Path, required=True, help=".onnx file")


def run(options: argparse.Namespace) -> int:
    """Write the network as ONNX."""
    export_onnx(options.weights, options.output)
    return 0
