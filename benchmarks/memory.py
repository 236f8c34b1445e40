"""What a training step of the paper's settings keeps in a GPU's memory, worked out on a CPU.

python -m benchmarks.memory

The networks run forward on CUDA tensors without values (PyTorch's FakeTensorMode), at the crops and
batches of configs/voc12.yaml and under CUDA's own autocast. Counted is the most that autograd keeps
at one time for a backward pass, each storage once, and beside it weights, gradients and momentum.
What comes on top is not seen: the working space of convolutions, gradients of activations, the
allocator's gaps.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.cuda.amp.common
import yaml
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from wood.affinity.train import IRNetLoss
from wood.models.backbones import create_backbone
from wood.models.classifiers import build_classifier
from wood.models.deeplab import DeepLabV2
from wood.models.irnet import IRNet
from wood.runtime.devices import autocast, use_precision
from wood.seeds import advcam
from wood.seeds.seam import SeamLoss
from wood.seeds.wood_loss import WoodLoss
from wood.segmentation.train import DeepLabLoss
from wood.workflow import resolve as settings

ROOT = Path(__file__).parents[1]
CUDA = torch.device("cuda", 0)
GIB = 2**30
PHOTOGRAPH = (375, 500)


@contextmanager
def cuda_without_values() -> Iterator[None]:
    """Let tensors on `cuda` have shapes and no values; gradients of the input are not computed."""
    before = (
        torch.cuda.amp.common.amp_definitely_not_available,
        torch.cuda.is_bf16_supported,
        torch.autograd.grad,
    )
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    torch.cuda.is_bf16_supported = lambda including_emulation=True: True
    torch.autograd.grad = lambda _, inputs, *args, **kwargs: tuple(
        torch.empty_like(each) for each in ([inputs] if isinstance(inputs, Tensor) else inputs)
    )
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        (
            torch.cuda.amp.common.amp_definitely_not_available,
            torch.cuda.is_bf16_supported,
            torch.autograd.grad,
        ) = before


def moved(network: nn.Module) -> nn.Module:
    """Give a network weights and buffers on the device, without values."""

    def empty(tensor: Tensor) -> Tensor:
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=CUDA)

    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(empty(parameter), parameter.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = empty(buffer)
    return network


class Kept:
    """The most that autograd keeps at one time, beside a network; each storage counts once."""

    def __init__(self, network: nn.Module):
        self.own = {tensor.untyped_storage()._cdata for tensor in network.state_dict().values()}
        self.holders: Counter[int] = Counter()
        self.bytes = self.most = 0

    def hooks(self) -> AbstractContextManager:
        """Return the context that a forward pass runs in."""
        return torch.autograd.graph.saved_tensors_hooks(
            lambda tensor: _Held(self, tensor), lambda held: held.tensor
        )

    def change(self, storage: torch.UntypedStorage, holders: int) -> None:
        """Count one more or one less that holds a storage."""
        if storage._cdata in self.own:
            return
        before = self.holders[storage._cdata] > 0
        self.holders[storage._cdata] += holders
        after = self.holders[storage._cdata] > 0
        self.bytes += (after - before) * storage.nbytes()
        self.most = max(self.most, self.bytes)

    @property
    def gib(self) -> float:
        return self.most / GIB


class _Held:
    """A tensor of the graph, until the graph is gone."""

    def __init__(self, kept: Kept, tensor: Tensor):
        self.kept, self.tensor = kept, tensor
        self.storage = tensor.untyped_storage()
        kept.change(self.storage, 1)

    def __del__(self) -> None:
        self.kept.change(self.storage, -1)


def images(count: int, height: int, width: int | None = None) -> Tensor:
    """Images on the device."""
    shape = (count, 3, height, width or height)
    return torch.empty(shape, device=CUDA, memory_format=torch.channels_last)


def step(network: nn.Module, loss: Any, batch: Mapping[str, Any], momentum: bool) -> list[float]:
    """Return the GiB that a training step keeps, and those of the network and its optimiser."""
    network.train()
    kept = Kept(network)
    with kept.hooks(), autocast(CUDA):
        loss(network, batch, 0.0)
    weights = sum(tensor.nbytes for tensor in network.state_dict().values())
    learning = sum(p.nbytes for p in network.parameters() if p.requires_grad)
    return [kept.gib, (weights + learning * (2 if momentum else 1)) / GIB]


def of_classifier(config: Mapping[str, Any], name: str) -> list[float]:
    """A step of a classifier."""
    own, names = settings.classifier(config, name), config["classes"]
    kind = (own["backbone"], names, own["output_stride"], None, own["detach_stages"])
    model = moved(build_classifier(*kind, own["architecture"]))
    centers = None
    crop, count = own["crop"], own["training"]["batch_size"]
    batch = {"image": images(count, crop), "labels": torch.empty(count, len(names), device=CUDA)}
    if own["wood"]:
        width = model.backbone.num_features
        numbers = {"in": len(names), "ood": own["wood"]["clusters"]}
        centers = {key: torch.empty(number, width, device=CUDA) for key, number in numbers.items()}
        batch["ood"] = {"image": images(own["wood"]["batch_size"], crop)}
    loss = WoodLoss(own["wood"], centers, names)
    if own["architecture"] == "seam":
        loss = SeamLoss(loss, own["view_scale"])
    return step(model, loss, batch, own["training"]["momentum"] > 0)


def of_network(config: Mapping[str, Any], name: str, **changes: Any) -> list[float]:
    """A step of an experiment's segmentation network."""
    own = {**settings.experiment(config, name)["segmentation"], **changes}
    backbone = create_backbone(own["backbone"], output_stride=own["output_stride"], weights=None)
    labels = len(config["classes"]) + 1
    network = moved(DeepLabV2(backbone, labels, own["atrous_rates"], own["alignment"]))
    crop, count = own["crop"], own["training"]["batch_size"]
    target = torch.empty(count, crop, crop, dtype=torch.uint8, device=CUDA)
    loss = DeepLabLoss(own["multi_scale_training"], own["alignment"], own["loss"])
    return step(network, loss, {"image": images(count, crop), "target": target}, True)


def of_irnet(config: Mapping[str, Any]) -> list[float]:
    """A step of IRNet."""
    own = config["experiment"]["pseudo"]["irnet"]
    crop, count = own["crop"], own["training"]["batch_size"]
    target = torch.empty(count, crop, crop, dtype=torch.uint8, device=CUDA)
    model = moved(IRNet(create_backbone(own["backbone"], weights=None)))
    batch = {"image": images(count, crop), "target": target}
    return step(model, IRNetLoss(own["radius"]), batch, own["training"]["momentum"] > 0)


def of_advcam(config: Mapping[str, Any], scale: float) -> list[float]:
    """A climbing step of as many pairs of a photograph as `max_batch_pixels` allows."""
    own, way = settings.classifier(config, "cam"), config["localizations"]["advcam"]
    kind = (own["backbone"], config["classes"], own["output_stride"], None, own["detach_stages"])
    model = moved(build_classifier(*kind)).requires_grad_(False).eval()
    height, width = (int(side * scale) for side in PHOTOGRAPH)
    pairs = max(1, config["max_batch_pixels"] // (2 * height * width))
    kept = Kept(model)
    with torch.no_grad(), kept.hooks():
        advcam.climb(
            model,
            images(2 * pairs, height, width),
            torch.zeros(pairs, dtype=torch.int64, device=CUDA),
            iterations=2,
            step_size=way["step_size"],
            regularizer=way["regularizer"],
            mask_threshold=way["mask_threshold"],
        )
    return [kept.gib, sum(tensor.nbytes for tensor in model.state_dict().values()) / GIB]


def rows(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the steps by what the table calls them."""
    return {
        "F_in: ResNet-50, 16 crops of 512": lambda: of_classifier(config, "cam"),
        "W-OoD: 16 OoD images beside, perturbed": lambda: of_classifier(config, "cam-wood"),
        "SEAM: Wide ResNet-38, 8 of 448": lambda: of_classifier(config, "seam"),
        "SEAM + W-OoD: 8 OoD images beside, perturbed": lambda: of_classifier(config, "seam-wood"),
        "AdvCAM: a step of `max_batch_pixels`": lambda: of_advcam(config, 1.0),
        "IRNet: 32 of 512": lambda: of_irnet(config),
        "DeepLab-v2: ResNet-101, 10 of 321, three scales": lambda: of_network(config, "advcam"),
        "the published network, the same": lambda: of_network(
            config, "advcam", backbone="resnet101_caffe"
        ),
        "Wide ResNet-38, 10 of 448": lambda: of_network(config, "advcam-wood-wide"),
    }


def main() -> None:
    texts = [(ROOT / name).read_text() for name in ("config.yaml", "configs/voc12.yaml")]
    config = settings.merge(*(yaml.safe_load(text) for text in texts))
    print("| step | kept, bfloat16 | kept, float32 | weights, gradients, momentum |")
    print("| --- | ---: | ---: | ---: |")
    with cuda_without_values():
        for name, row in rows(config).items():
            use_precision("auto")
            half, state = row()
            use_precision("float32")
            single, _ = row()
            print(f"| {name} | {half:.1f} GiB | {single:.1f} GiB | {state:.1f} GiB |", flush=True)


if __name__ == "__main__":
    main()
