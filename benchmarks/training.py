"""Training of the classifier: beside the published loop, and with the reading of files.

python -m benchmarks.training                           # on the CPU: ratios
python -m benchmarks.training --backbone resnet50
python -m benchmarks.training --gpu                     # images/s at 512 px, batch 16 + 16

The published loop is IRN's and W-OoD's: default memory format, the loss read after every step, and
gradients for all parameters but the stem's, of which ResNet-50's first two layers are not used.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor, nn
from torch.utils.data import default_collate

from benchmarks.localization import CLASSES, network, photographs
from benchmarks.timing import compare, idle_share, rate
from wood.data.photographs import Photographs, stack
from wood.data.transforms import Augmentation, Normalization
from wood.models.cam import CamClassifier
from wood.models.resnet import ResNet
from wood.ood.losses import classification_loss
from wood.runtime.devices import autocast, find_device, use_precision
from wood.seeds.wood_loss import WoodLoss
from wood.training import Batch, Training

SETTINGS = {"lr": 0.01, "momentum": 0.0, "weight_decay": 1e-4, "power": 0.9}
HEAD_LR_SCALE = 10
TOLERANCE = 1e-5
CONFIG = Path(__file__).parents[1] / "config.yaml"


class InMemory:
    """Examples that are ready: what is left of the loop is the model."""

    def __init__(self, examples: list[dict[str, Tensor]]):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def example(self, index: int, rng: np.random.Generator) -> dict[str, Tensor]:
        del rng
        return self.examples[index]

    def on_device(self, batch: Batch) -> Batch:
        return batch


def prepared(files: Photographs, count: int) -> list[dict[str, Tensor]]:
    """The first examples of a data set, as a loss takes them."""
    batch = default_collate([files.example(n, np.random.default_rng(n)) for n in range(count)])
    images = files.on_device(batch)["image"]
    pairs = zip(images, batch["labels"], strict=True)
    return [{"image": image, "labels": labels} for image, labels in pairs]


class Nothing(nn.Module):
    """A model that takes no time: what is left of the loop is the reading of files."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))


def nothing_to_learn(model: Nothing, batch: Batch, progress: float) -> tuple[Tensor, dict]:
    del batch, progress
    return model.weight.square(), {}


def wood_loss(model: CamClassifier) -> WoodLoss:
    """Return Eq. 4 with random centres."""
    features = model.backbone.num_features
    generator = torch.Generator().manual_seed(0)
    centers = {
        name: torch.rand(count, features, generator=generator).to(find_device())
        for name, count in (("in", len(CLASSES)), ("ood", 50))
    }
    return WoodLoss(yaml.safe_load(CONFIG.read_text())["wood"], centers, CLASSES)


def examples(folder: Path, count: int, crop: int, size: tuple[int, int]) -> Photographs:
    """Write JPEG files, and return them as a training reads them."""
    paths = []
    for number, image in enumerate(photographs(count, size)):
        paths.append(str(folder / f"{number}.jpg"))
        image.save(paths[-1], quality=95)
    labels = torch.nn.functional.one_hot(torch.arange(count) % 20, 20).float()
    augmentation = Augmentation((crop * 5 // 8, crop * 5 // 4), crop)
    mean = std = (0.5, 0.5, 0.5)
    return Photographs(paths, labels, augmentation, Normalization(mean, std))


def run(
    folder: Path,
    model: nn.Module,
    dataset: InMemory | Photographs,
    loss: Callable,
    iterations: int,
    batch_size: int,
    workers: int,
    extra: dict | None = None,
) -> nn.Module:
    """Train with the project's loop."""
    groups = (
        model.parameter_groups(HEAD_LR_SCALE)
        if isinstance(model, CamClassifier)
        else [{"params": list(model.parameters()), "lr_scale": 1.0}]
    )
    training = Training(
        model=model,
        dataset=dataset,
        loss=loss,
        groups=groups,
        settings=SETTINGS
        | {"iterations": iterations, "batch_size": batch_size, "workers": workers},
        seed=0,
        checkpoint=folder / "checkpoint",
        log=folder / "log.jsonl",
        extra=extra,
    )
    trained = training.run()
    training.remove_checkpoint()
    return trained


def cls_in(model: CamClassifier, batch: Batch, progress: float) -> tuple[Tensor, dict]:
    """L_cls of D_in alone: F_in."""
    del progress
    return classification_loss(model(batch["image"])[0].float(), batch["labels"]), {}


def published(model: CamClassifier, batch: list[dict[str, Tensor]], iterations: int) -> nn.Module:
    """Train with the published loop on one batch."""
    model.train()
    head = list(model.head.parameters())
    used = model.backbone
    trained = [used.layer3, used.layer4] if isinstance(used, ResNet) else [used]
    parameters = [p for part in trained for p in part.parameters() if p.requires_grad]
    lr = SETTINGS["lr"]
    optimizer = torch.optim.SGD(
        [{"params": parameters, "lr": lr}, {"params": head, "lr": HEAD_LR_SCALE * lr}],
        weight_decay=SETTINGS["weight_decay"],
    )
    start = [group["lr"] for group in optimizer.param_groups]
    total = 0.0
    for iteration in range(iterations):
        images = torch.stack([example["image"] for example in batch])
        labels = torch.stack([example["labels"] for example in batch])
        for group, first in zip(optimizer.param_groups, start, strict=True):
            group["lr"] = first * (1 - iteration / iterations) ** SETTINGS["power"]
        model.zero_grad()
        logits, _ = model(images)
        loss = nn.functional.multilabel_soft_margin_loss(logits, labels)
        loss.backward()
        total += loss.item()
        optimizer.step()
    return model.eval()


def model_alone(
    model: CamClassifier, loss: Callable, ready: list[dict[str, Tensor]], steps: int
) -> None:
    """Train as `fit` does on one batch that is on the device already, for W-OoD as OoD images too.

    Nothing is read, moved or logged.
    """
    device = find_device()
    model.train().to(device, memory_format=torch.channels_last)
    images = stack([example["image"] for example in ready], device)
    batch = {
        "image": images,
        "labels": torch.stack([example["labels"] for example in ready]).to(device),
        "ood": {"image": images.flip(3)},
    }
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        with autocast(device):
            value, _ = loss(model, batch, 0.0)
        value.backward()
        optimizer.step()


def change(before: nn.Module, after: nn.Module) -> Tensor:
    """Return what a training changed, as one vector."""
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    return torch.cat([(new.detach() - old.detach()).flatten() for old, new in pairs])


def trainings_apart(
    folder: Path, backbone: str, detach: bool, ready: list[dict[str, Tensor]], steps: int
) -> float:
    """Return how far what both trainings change is apart, both in double precision.

    In single precision the memory formats round differently, and a training carries that on.
    """
    double = [{name: value.double() for name, value in example.items()} for example in ready]
    start = network(backbone, detach).double()
    ours, theirs = (network(backbone, stops).double() for stops in (detach, False))
    ours = run(folder, ours, InMemory(double), cls_in, steps, len(ready), 0)
    moved, wanted = (change(start, model) for model in (ours, published(theirs, double, steps)))
    return ((moved - wanted).norm() / wanted.norm()).item()


def cpu(arguments: argparse.Namespace) -> None:
    """Print the ratio to the published loop, and what reading files costs."""
    use_precision(arguments.precision)
    backbone, batch, steps = arguments.backbone, arguments.batch, arguments.iterations
    detach = backbone.startswith("resnet")
    print(
        f"{backbone}, batch {batch} of {arguments.crop} px, {torch.get_num_threads()} threads, "
        f"{arguments.precision} beside float32"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = batch * 4
        files = examples(folder, count, arguments.crop, (256, 384))
        ready = prepared(files, batch)
        fresh = {
            key: [network(backbone, stops) for _ in range(arguments.repeats + 1)]
            for key, stops in (("ours", detach), ("theirs", False))
        }

        def ours() -> None:
            model = fresh["ours"].pop()
            run(folder, model, InMemory(ready), cls_in, steps, batch, 0)

        def reference() -> None:
            published(fresh["theirs"].pop(), ready, steps)

        mine, theirs = compare(ours, reference, arguments.repeats)
        apart = trainings_apart(folder, backbone, detach, ready, steps)
        images = batch * steps
        print(
            f"  training: {images / mine:.1f} images/s, published loop {images / theirs:.1f}: "
            f"{theirs / mine:.2f} times as fast (goal 1.2); change of the weights apart by "
            f"{apart:.1e} of itself (allowed {TOLERANCE:.0e})",
            flush=True,
        )
        if not apart <= TOLERANCE:
            raise SystemExit("The two trainings do not give the same weights.")
        _together(folder, lambda: network(backbone, detach), files, ready, cls_in, arguments)


def gpu(arguments: argparse.Namespace) -> None:
    """Print the rate of W-OoD's training at the paper's settings, and the share of idle time."""
    if find_device().type != "cuda":
        raise SystemExit("There is no CUDA device.")
    print(torch.cuda.get_device_name())
    loss = wood_loss(network("resnet50", True))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = examples(folder, arguments.batch * 8, arguments.crop, (375, 500))
        ready = prepared(files, arguments.batch)
        _together(folder, lambda: network("resnet50", True), files, ready, loss, arguments)


def _together(
    folder: Path,
    model: Callable[[], CamClassifier],
    files: Photographs,
    ready: list[dict[str, Tensor]],
    loss: Callable,
    arguments: argparse.Namespace,
) -> None:
    """Print the rates of reading alone, of the model alone, and of both together."""
    steps, batch, workers = arguments.iterations, arguments.batch, arguments.workers
    extra = {"ood": (files, batch)} if isinstance(loss, WoodLoss) else None
    images = batch * (2 if extra else 1)

    def read(count: int) -> None:
        run(folder, Nothing(), files, nothing_to_learn, count, batch, workers, extra)

    def train(count: int) -> None:
        run(folder, model(), files, loss, count, batch, workers, extra)

    reading, alone, both = (
        images * rate(work, steps, 4 * steps)
        for work in (read, lambda count: model_alone(model(), loss, ready, count), train)
    )
    print(
        f"  reading alone {reading:.1f} images/s, model alone {alone:.1f}, both {both:.1f}: "
        f"{both / min(reading, alone):.0%} of the slower (goal 85 %)",
        flush=True,
    )
    if find_device().type == "cuda":
        idle = idle_share(train, steps, 2 * steps)
        print(f"  the GPU is idle {idle:.0%} of the time in training", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crop", type=int)
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int)
    arguments = parser.parse_args()
    arguments.crop = arguments.crop or (512 if arguments.gpu else 224)
    arguments.iterations = arguments.iterations or (30 if arguments.gpu else 5)
    arguments.workers = arguments.workers or (8 if arguments.gpu else 1)
    (gpu if arguments.gpu else cpu)(arguments)


if __name__ == "__main__":
    main()
