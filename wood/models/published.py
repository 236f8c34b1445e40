"""Published checkpoints of classifiers, whose tensors have other names.

Apart from `wood.models.convert`, so that a change of IRNet or of DeepLab-v2 trains no classifier
again.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from wood.models.cam import CamClassifier
from wood.models.classifiers import build_classifier
from wood.models.weights import (
    State,
    convert_resnet,
    convert_wide_resnet38,
    load_into,
    published_head,
    read_state,
)
from wood.runtime.errors import InputError

# The network stands in the published files whole, as stages, and once more in lists of modules.
RESNET_PARTS = r"(resnet50|stage[1-5]|backbone|conv1|bn1|layer[1-4])\."
CAM_PARTS = rf"{RESNET_PARTS}|classifier\.weight|newly_added\.0\.weight"

SEAM_LAYERS = {"f8_3": "reduce_shallow", "f8_4": "reduce_deep", "f9": "embed"}


def convert_cam(state: State, source: str | Path) -> dict[str, Tensor]:
    """The CAM network of IRN, AdvCAM and W-OoD, under the names of our `CamClassifier`.

    This and the other conversions raise an InputError naming `source` and a tensor that they do not
    know.
    """
    unknown = [name for name in state if not re.match(CAM_PARTS, name)]
    refuse(unknown, source, "IRN's CAM network")
    converted = below("backbone", convert_resnet(state))
    if (head := published_head(state)) is not None:
        converted["head.weight"] = head
    return converted


def convert_seam(state: State, source: str | Path) -> dict[str, Tensor]:
    """SEAM's network, under the names of our `SeamClassifier`, without the background's row."""

    def own(name: str, tensor: Tensor) -> dict[str, Tensor]:
        layer, _, kind = name.partition(".")
        if name == "fc8.weight":
            return {"head.weight": tensor[1:]}
        return {f"{SEAM_LAYERS[layer]}.{kind}": tensor} if layer in SEAM_LAYERS else {}

    return by_tensor(state, source, "SEAM's network", own, convert_wide_resnet38)


CLASSIFIERS: dict[str, tuple[Callable, dict[str, Any]]] = {
    "cam": (convert_cam, {"backbone": "resnet50", "output_stride": 16, "detach_stages": True}),
    "seam": (
        convert_seam,
        {"backbone": "wide_resnet38", "output_stride": 8, "detach_stages": False},
    ),
}


def published_classifier(
    path: str | Path, architecture: str, class_names: Sequence[str]
) -> tuple[CamClassifier, dict[str, Any]]:
    """Build the classifier of a published checkpoint, with the metadata of `save_classifier`.

    Args:
        path: weights of IRN's, AdvCAM's or W-OoD's CAM network, or of SEAM's.
        architecture: one of `CLASSIFIERS`.
        class_names: the classes it was trained for, in their order.

    Raises:
        InputError: the file cannot be read without unpickling, or a tensor is missing, unknown, or
            of another shape.
    """
    if architecture not in CLASSIFIERS:
        raise InputError(f"{path}: there are no published weights of {architecture!r} to convert.")
    convert, network = CLASSIFIERS[architecture]
    metadata: dict[str, Any] = {
        "architecture": architecture,
        **network,
        "class_names": list(class_names),
    }
    model = build_classifier(**metadata, weights=None)
    load_into(model, convert(read_state(path), path), path)
    return model.eval(), metadata


def by_tensor(
    state: State,
    source: str | Path,
    network: str,
    own: Callable[[str, Tensor], dict[str, Tensor]],
    backbone: Callable[[State], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """Rename each tensor as one of the network's `own` layers, or else of its backbone."""
    converted, unknown = {}, []
    for name, tensor in state.items():
        renamed = own(name, tensor) or below("backbone", backbone({name: tensor}))
        converted |= renamed
        if not renamed:
            unknown.append(name)
    refuse(unknown, source, network)
    return converted


def refuse(unknown: Sequence[str], source: str | Path, network: str) -> None:
    """Raise an InputError that names the first of the tensors that `network` does not have."""
    if unknown:
        raise InputError(f"{source}: the tensor {unknown[0]!r} is not part of {network}.")


def below(part: str, state: State) -> dict[str, Tensor]:
    """Return the tensors under names that begin with `part`."""
    return {f"{part}.{name}": tensor for name, tensor in state.items()}
