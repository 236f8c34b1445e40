"""CAM and AdvCAM beside the published way of computing them, on the same network.

python -m benchmarks.localization                       # on the CPU: ratios
python -m benchmarks.localization --backbone resnet50
python -m benchmarks.localization --precision bfloat16  # ours; the published way in float32
python -m benchmarks.localization --gpu                 # images/s at the paper's settings

The published way takes one image with its mirror image at a time, one class at a time for AdvCAM,
in the default memory format, with a second backward pass for the weights of Grad-CAM and gradients
for all parameters (IRN's and AdvCAM's code).
"""

import argparse
import copy
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.timing import compare, idle_share, rate, seconds
from wood.data.labels import write_labels
from wood.data.lists import write_image_list
from wood.data.transforms import normalize, rescale
from wood.maps import normalize_maps, on_grid
from wood.models.cam import CamClassifier
from wood.models.classifiers import build_classifier, save_classifier
from wood.models.folding import folded
from wood.ood.clusters import kmeans
from wood.runtime.devices import autocast, find_device, use_precision
from wood.seeds.advcam import climb, multi_scale_advcam
from wood.seeds.cam import multi_scale_cam
from wood.seeds.localize import localize
from wood.seeds.pyramid import make_pyramid

CLASSES = [f"class-{number}" for number in range(20)]
SCALES = [0.5, 1.0, 1.5, 2.0]
# Of AdvCAM's published code.
ADVCAM = {
    "method": "advcam",
    "scales": SCALES,
    "iterations": 27,
    "half_scale_iterations": 13,
    "half_scale_weight": 1,
    "step_size": 0.08,
    "regularizer": 7,
    "mask_threshold": 0.5,
}
# Of CAM by precision; climbing is compared in double precision.
CAM_TOLERANCE = {"float32": 1e-4, "bfloat16": 1e-1}
ADVCAM_TOLERANCE = 1e-6
SIZES = [(375, 500), (500, 375), (333, 500)]


def photographs(count: int, size: tuple[int, int]) -> list[Image.Image]:
    """Return smooth random pictures of `size` (H, W)."""
    rng = np.random.default_rng(0)
    height, width = size
    coarse = rng.integers(0, 256, (count, height // 16, width // 16, 3), np.uint8)
    return [Image.fromarray(one).resize((width, height), Image.BICUBIC) for one in coarse]


def reference_cam(
    model: CamClassifier, image: Image.Image, present: Tensor, scales: Sequence[float]
) -> list[Tensor]:
    """IRN's maps of one image: its maps at each scale, on which the comparison is made.

    As published they are also brought to stride 4 and to full resolution, for all classes.
    """
    height, width = image.height, image.width
    full = [-(-side // 16) * 16 for side in (height, width)]
    strided = [-(-side // 4) for side in (height, width)]
    maps = []
    with torch.no_grad():
        for scale in scales:
            x = normalize(rescale(image, scale), model.backbone.mean, model.backbone.std)
            found = model.activation_maps(torch.stack([x, x.flip(2)]))
            maps.append((found[0] + found[1].flip(2))[None])
        for size in (strided, full):
            large = sum(
                interpolate(found, size, mode="bilinear", align_corners=False)[0] for found in maps
            )
            large = large[present, :height, :width]
            large / (large.amax(dim=(1, 2), keepdim=True) + 1e-5)
    return [found[0, present] for found in maps]


def reference_advcam(
    model: CamClassifier, image: Image.Image, present: Tensor, settings: dict
) -> list[Tensor]:
    """AdvCAM's maps of one image at each scale: two backward passes, one class after another."""
    maps = []
    for scale in settings["scales"]:
        x = normalize(rescale(image, scale), model.backbone.mean, model.backbone.std)
        pair = torch.stack([x, x.flip(2)])
        count = settings["half_scale_iterations" if scale == 0.5 else "iterations"]
        maps.append(
            torch.stack(
                [_reference_climb(model, pair, label, count, settings) for label in present]
            )
        )
    return maps


def _reference_climb(
    model: CamClassifier, x: Tensor, label: Tensor, count: int, settings: dict
) -> Tensor:
    total, first = 0.0, None
    for _ in range(count):
        x = x.detach().requires_grad_()
        features = model.backbone(x)
        features.retain_grad()
        class_maps = model.head(features)
        model.zero_grad()
        class_maps.relu()[:, label].sum().backward(retain_graph=True)
        weights = features.grad.sum(dim=(2, 3), keepdim=True) / ((features.grad > 0).sum() + 1e-12)
        cams = (features * weights).sum(dim=1).relu()
        found = cams[0] + cams[1].flip(1)
        first = found.detach() if first is None else first
        total = total + found.detach()
        scores = class_maps.relu().mean(dim=(2, 3))
        mask = (found / found.max() > settings["mask_threshold"]).float()
        lost = ((found - first).abs() * mask).sum()
        model.zero_grad()
        x.grad.zero_()
        objective = 2 * scores[:, label].sum() - scores.sum() - settings["regularizer"] * lost
        objective.backward()
        step = settings["step_size"] * x.grad / (x.grad.abs().max() + 1e-12)
        x = (x + step).clamp(x.min().item(), x.max().item())
    return total


def distance(ours: Sequence[Tensor], theirs: Sequence[list[Tensor]], size: tuple) -> float:
    """Return how far normalised maps are apart, relative to theirs (Euclidean).

    Theirs are given at each scale, and are summed on the same grid first.
    """
    mine = torch.cat([normalize_maps(maps) for maps in ours])
    published = torch.cat(
        [normalize_maps(sum(on_grid(some, size) for some in maps)) for maps in theirs]
    )
    return ((mine - published).norm() / published.norm()).item()


def climbing_apart(
    model: CamClassifier, image: Image.Image, present: Tensor, settings: dict
) -> float:
    """Return how far the sums of the climbs of one image are apart, both ways in double precision.

    In single precision rounding moves rectified values to the other side of zero, and climbing
    carries that on: it would hide a difference.
    """
    double = copy.deepcopy(model).double()
    quick = ready(double, torch.device("cpu"))
    x = normalize(image, model.backbone.mean, model.backbone.std).double()
    pair = torch.stack([x, x.flip(2)])
    published = torch.stack(
        [
            _reference_climb(double, pair, label, settings["iterations"], settings)
            for label in present
        ]
    )
    ours = climb(
        quick,
        pair.repeat(len(present), 1, 1, 1).contiguous(memory_format=torch.channels_last),
        present,
        iterations=settings["iterations"],
        **{name: settings[name] for name in ("step_size", "regularizer", "mask_threshold")},
    )
    return ((ours - published).norm() / published.norm()).item()


def report(name: str, ours: float, theirs: float, apart: float, tolerance: float, goal: float):
    """Print one ratio.

    Raises:
        SystemExit: the maps differ by more than the tolerance: the ratio would say nothing.
    """
    print(
        f"  {name}: {ours:.3f} s/image, published way {theirs:.3f} s/image: "
        f"{theirs / ours:.2f} times as fast (goal {goal}); maps apart {apart:.1e} "
        f"(allowed {tolerance:.0e})",
        flush=True,
    )
    if not apart <= tolerance:
        raise SystemExit(f"{name}: the maps differ by {apart:.1e}, more than {tolerance:.0e}.")


def network(backbone: str, detach_stages: bool = False) -> CamClassifier:
    """Return the same classifier at each call, with ImageNet weights where a package has them."""
    torch.manual_seed(0)
    weights = "package" if backbone == "tf_efficientnet_lite0" else None
    model = build_classifier(backbone, CLASSES, 16, weights, detach_stages).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bn3.weight") and weights is None:
            # Residual branches that add little, so that random weights train without overflow.
            torch.nn.init.constant_(parameter, 0.1)
    return model


def ready(model: CamClassifier, device: torch.device) -> CamClassifier:
    """Return a copy as `localize` makes it."""
    changed = CamClassifier(folded(model.backbone), len(CLASSES)).eval()
    changed.to(model.head.weight.dtype)
    changed.head.load_state_dict(model.head.state_dict())
    return changed.requires_grad_(False).to(device, memory_format=torch.channels_last)


def cpu(arguments: argparse.Namespace) -> None:
    """Print the ratios at equal settings."""
    use_precision(arguments.precision)
    device, size = torch.device("cpu"), tuple(arguments.size)
    model = network(arguments.backbone)
    quick = ready(model, device)
    images = photographs(arguments.images, size)
    classes = [torch.tensor([number % 20, (number + 7) % 20]) for number in range(len(images))]
    settings = ADVCAM | {
        "scales": arguments.advcam_scales,
        "iterations": arguments.iterations,
        "half_scale_iterations": max(1, arguments.iterations // 2),
    }
    print(
        f"{arguments.backbone}, {len(images)} images of {size[1]} x {size[0]}, "
        f"{torch.get_num_threads()} threads, {arguments.precision} beside float32"
    )
    outputs: dict[str, list] = {}

    def cam() -> None:
        made = [make_pyramid(image, SCALES) for image in images]
        outputs["ours"] = multi_scale_cam(
            quick, made, classes, device, max_batch_pixels=arguments.max_batch_pixels
        )

    def cam_reference() -> None:
        outputs["theirs"] = [
            reference_cam(model, image, present, SCALES)
            for image, present in zip(images, classes, strict=True)
        ]

    def advcam() -> None:
        made = [make_pyramid(image, settings["scales"]) for image in some]
        multi_scale_advcam(
            quick,
            made,
            classes[: len(some)],
            device,
            settings=settings,
            max_batch_pixels=arguments.max_batch_pixels,
        )

    def advcam_reference() -> None:
        for image, present in zip(some, classes, strict=False):
            reference_advcam(model, image, present, settings)

    some = images[: arguments.advcam_images]
    for name, ours, theirs, count, tolerance, goal in (
        ("CAM, 4 scales", cam, cam_reference, len(images), CAM_TOLERANCE[arguments.precision], 1.5),
        ("AdvCAM, 2 classes", advcam, advcam_reference, len(some), ADVCAM_TOLERANCE, 3),
    ):
        mine, published = compare(ours, theirs, arguments.repeats)
        if ours is advcam:
            apart = climbing_apart(model, images[0], classes[0], settings)
        else:
            apart = distance(outputs["ours"], outputs["theirs"], size)
        report(name, mine / count, published / count, apart, tolerance, goal)
    share = bare_share(quick, device, size, pairs=2, iterations=arguments.iterations)
    print(f"  AdvCAM: {share:.0%} of the rate of bare forward and input-gradient passes")


def bare_share(
    model: CamClassifier, device: torch.device, size: tuple, pairs: int, iterations: int
) -> float:
    """Return AdvCAM's rate over that of nothing but forward passes and gradients to the pixels."""
    images = torch.randn(2 * pairs, 3, *size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    classes = torch.arange(pairs, device=device)
    settings = {name: ADVCAM[name] for name in ("step_size", "regularizer", "mask_threshold")}

    def passes() -> None:
        for _ in range(iterations):
            x = images.detach().requires_grad_()
            with autocast(device):
                maps = model.activation_maps(x)
            torch.autograd.grad(maps.float().sum(), x)

    def climbing() -> None:
        with torch.no_grad():
            climb(model, images, classes, iterations=iterations, **settings)

    ours, bare = compare(climbing, passes, repeats=3)
    return bare / ours


def gpu(arguments: argparse.Namespace) -> None:
    """Print rates at the paper's settings, files to shards, and the share of idle time."""
    device = find_device()
    if device.type != "cuda":
        raise SystemExit("There is no CUDA device.")
    print(torch.cuda.get_device_name())
    model = network("resnet50")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        metadata = {"backbone": "resnet50", "output_stride": 16, "class_names": CLASSES}
        save_classifier(folder / "model.safetensors", model, metadata)
        _write_photographs(folder, max(arguments.cam_images, arguments.advcam_images))
        cam_settings = {"method": "cam", "scales": SCALES}
        for title, settings, count, goal in (
            ("CAM, 4 scales", cam_settings, arguments.cam_images, 150),
            ("AdvCAM, 1.5 classes an image", ADVCAM, arguments.advcam_images, 2),
        ):
            run = partial(_localize, folder, settings, arguments)
            few = count // 4
            print(
                f"{title}: {rate(run, few, count):.2f} images/s, files to shard (goal {goal} on an "
                f"H200); the GPU is idle {idle_share(run, few, count):.0%} of the time",
                flush=True,
            )
    pairs = max(1, arguments.max_batch_pixels // (2 * 375 * 500))
    share = bare_share(ready(model, device), device, SIZES[0], pairs, iterations=27)
    print(f"AdvCAM's batches: {share:.0%} of bare forward and input-gradient passes (goal 80 %)")
    features = torch.rand(5190, 2048, device=device)
    kmeans(features[:200], 5, seed=0, starts=1)
    clustering = seconds(lambda: kmeans(features, 50, seed=0))
    print(f"K-means of 5,190 x 2,048, K = 50, 10 starts: {clustering:.2f} s")


def _write_photographs(folder: Path, count: int) -> None:
    """Write `count` JPEG files of VOC's usual sizes in turn."""
    by_size = [photographs(-(-count // len(SIZES)), size) for size in SIZES]
    for number in range(count):
        image = by_size[number % len(SIZES)][number // len(SIZES)]
        image.save(folder / f"{number}.jpg", quality=95)


def _localize(folder: Path, settings: dict, arguments: argparse.Namespace, count: int) -> None:
    """Localize the first `count` files; every other one has two classes."""
    ids = [str(number) for number in range(count)]
    present = np.zeros((count, len(CLASSES)), bool)
    present[np.arange(count), np.arange(count) % 20] = True
    present[np.arange(1, count, 2), (np.arange(1, count, 2) + 7) % 20] = True
    listed, labels = folder / f"list-{count}.csv", folder / f"labels-{count}.parquet"
    paths = [str(folder / f"{image_id}.jpg") for image_id in ids]
    write_image_list(listed, pd.DataFrame({"image_id": ids, "path": paths}))
    write_labels(labels, pd.DataFrame(present, pd.Index(ids, name="image_id"), CLASSES))
    localize(
        listed,
        labels,
        folder / "model.safetensors",
        folder / "maps.safetensors",
        settings=settings,
        shard_index=0,
        shard_count=1,
        class_names=CLASSES,
        max_batch_pixels=arguments.max_batch_pixels,
        max_failed_fraction=0,
        workers=arguments.workers,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--precision", choices=CAM_TOLERANCE, default="float32")
    parser.add_argument("--size", nargs=2, type=int, default=[256, 384], metavar=("H", "W"))
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--advcam-images", type=int)
    parser.add_argument("--cam-images", type=int, default=512, help="with --gpu")
    parser.add_argument("--advcam-scales", nargs="+", type=float, default=[0.5, 1.0])
    parser.add_argument("--iterations", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--max-batch-pixels", type=int)
    parser.add_argument("--workers", type=int, default=8, help="threads that decode, with --gpu")
    arguments = parser.parse_args()
    arguments.advcam_images = arguments.advcam_images or (24 if arguments.gpu else 2)
    arguments.max_batch_pixels = arguments.max_batch_pixels or (
        8_000_000 if arguments.gpu else 200_000
    )
    (gpu if arguments.gpu else cpu)(arguments)


if __name__ == "__main__":
    main()
