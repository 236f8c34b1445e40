"""What the published networks call the tensors that ours hold under other names."""

from collections.abc import Mapping

from torch import Tensor

from wood.models.convert import IRNET_LAYERS


def seam_wide_resnet38(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Wide ResNet-38's tensors under SEAM's names, as `b4_1.conv_branch2a.weight`."""
    renamed = {}
    for name, tensor in own.items():
        *place, layer, kind = name.split(".")
        if place:
            block = place[0].replace("level", "b") + (f"_{place[1]}" if place[1] != "0" else "")
            what = "bn" if layer.startswith("bn") else "conv"
            name = f"{block}.{what}_branch{layer.removeprefix(what)}.{kind}"
        renamed[name] = tensor
    return renamed


def irn_resnet50(own: Mapping[str, Tensor], *, stem_alone: bool = False) -> dict[str, Tensor]:
    """ResNet-50's tensors as IRN's modules hold them a second time: by stages.

    `stem_alone`: in IRNet the first stage ends before the first layer.
    """
    parts = {"conv1": "stage1.0", "bn1": "stage1.1"}
    if stem_alone:
        parts |= {f"layer{number}": f"stage{number + 1}.0" for number in (1, 2, 3, 4)}
    else:
        parts |= {"layer1": "stage1.4"} | {f"layer{n}": f"stage{n}.0" for n in (2, 3, 4)}
    stages = {}
    for name, tensor in own.items():
        first, _, rest = name.partition(".")
        stages[f"{parts[first]}.{rest}"] = tensor
    return stages


def irn_heads(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of IRNet's two branches under IRN's names, as `fc_edge1.0.weight`."""
    theirs = {ours: name for name, ours in IRNET_LAYERS.items()}
    renamed = {}
    for name, tensor in own.items():
        for ours in sorted(theirs, key=len, reverse=True):
            if name.startswith(f"{ours}."):
                renamed[name.replace(ours, theirs[ours], 1)] = tensor
                break
    return renamed
