"""The names that published networks have for our tensors, and the form of their files."""

import struct
from collections.abc import Mapping
from pathlib import Path

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


def imagenet_wide_resnet38(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Wide ResNet-38's tensors as its ImageNet file has them: `arg:res4b1_branch2a_weight`."""
    kinds = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
             "running_var": "moving_var"}  # fmt: skip
    renamed = {}
    for name, tensor in own.items():
        *place, layer, kind = name.split(".")
        if kind == "num_batches_tracked":
            continue
        norm = layer.startswith("bn")
        kind = kinds[kind] if norm else kind
        if place:
            level, block = place[0].removeprefix("level"), place[1]
            what = "bn" if norm else "res"
            part = "a" if block == "0" else f"b{block}"
            layer = f"{what}{level}{part}_branch{layer.removeprefix('bn').removeprefix('conv')}"
        renamed[f"{'aux' if kind.startswith('moving') else 'arg'}:{layer}_{kind}"] = tensor
    return renamed


def caffe_deeplab(own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DeepLab-v2's tensors under deeplab-pytorch's names, as `layer2.block1.reduce.conv.weight`."""
    places = {"1": "reduce", "2": "conv3x3", "3": "increase"}
    renamed = {}
    for name, tensor in own.items():
        part, *place, layer, kind = name.split(".")
        if part == "aspp":
            renamed[f"aspp.c{layer}.{kind}"] = tensor
        elif not place:
            flipped = tensor.flip(1) if layer == "conv1" else tensor  # BGR
            renamed[f"layer1.conv1.{layer.removesuffix('1')}.{kind}"] = flipped
        else:
            block = f"layer{int(place[0][-1]) + 1}.block{int(place[1]) + 1}"
            if place[2:] == ["downsample"]:
                renamed[f"{block}.shortcut.{('conv', 'bn')[int(layer)]}.{kind}"] = tensor
            else:
                renamed[f"{block}.{places[layer[-1]]}.{layer[:-1]}.{kind}"] = tensor
    return renamed


def write_mxnet_params(path: Path, arrays: Mapping[str, Tensor]) -> None:
    """Write float32 tensors as an MXNet `.params` file, with 64-bit shapes."""
    with path.open("wb") as file:
        file.write(struct.pack("<QQQ", 0x112, 0, len(arrays)))
        for tensor in arrays.values():
            file.write(struct.pack("<Ii", 0xF993FAC9, 0))
            file.write(struct.pack(f"<I{tensor.ndim}q", tensor.ndim, *tensor.shape))
            file.write(struct.pack("<iii", 1, 0, 0))
            file.write(tensor.numpy().tobytes())
        file.write(struct.pack("<Q", len(arrays)))
        for name in arrays:
            file.write(struct.pack("<Q", len(name)) + name.encode())
