"""What keeping localization maps at stride 4 in float16 changes in the seeds' mIoU.

python -m benchmarks.map_storage                                   # the demo's scenes
python -m benchmarks.map_storage --voc ../shared/voc-mini/VOCdevkit/VOC2012 \
    --classes cat cow dog horse person sheep --scales 0.5 1 1.5 --images 100

Without --classifier, EfficientNet-Lite0 gets a head by least squares on the labels of the images.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from demo.generate import generate_demo
from demo.scenes import CLASSES as DEMO_CLASSES
from wood.data.images import load_image
from wood.data.masks import load_target
from wood.data.transforms import normalize, resize_long_side
from wood.data.voc import annotated_classes, annotation_path, read_image_set
from wood.maps import LocalizationMaps, normalize_maps
from wood.models.cam import CamClassifier
from wood.models.classifiers import build_classifier, load_classifier
from wood.models.folding import folded
from wood.runtime.devices import find_device
from wood.runtime.progress import progress
from wood.scoring.seeds import THRESHOLDS, ThresholdCounts
from wood.seeds.cam import multi_scale_cam
from wood.seeds.pyramid import make_pyramid

LONG_SIDE = 224
RIDGE = 1e-2


@dataclass
class Example:
    """One photograph: where it is, its true mask, and the (n,) classes present."""

    path: Path
    mask: Path
    classes: Tensor


@dataclass
class FullMaps:
    """Maps as the reference code keeps them: (n, H, W) float32. Counted like LocalizationMaps."""

    classes: Tensor
    maps: Tensor

    def upsampled(self) -> Tensor:
        return self.maps


def read_examples(voc: Path, image_set: str, class_names: Sequence[str]) -> list[Example]:
    """Return the images of a devkit's set that have a mask and one of the classes."""
    examples = []
    for image_id in read_image_set(voc, image_set):
        names = annotated_classes(annotation_path(voc, image_id))
        present = [number for number, name in enumerate(class_names) if name in names]
        mask = voc / "SegmentationClass" / f"{image_id}.png"
        if present and mask.exists():
            path = voc / "JPEGImages" / f"{image_id}.jpg"
            examples.append(Example(path, mask, torch.tensor(present)))
    return examples


@torch.no_grad()
def fitted_classifier(examples: Sequence[Example], class_names: Sequence[str]) -> CamClassifier:
    """Return EfficientNet-Lite0 with a head fitted to the labels by ridge regression."""
    model = build_classifier("tf_efficientnet_lite0", class_names, 16, "package").eval()
    features, labels = [], torch.zeros(len(examples), len(class_names))
    for number, example in enumerate(examples):
        image = resize_long_side(load_image(example.path), LONG_SIDE)
        tensor = normalize(image, model.backbone.mean, model.backbone.std)
        features.append(model(tensor[None])[1][0])
        labels[number, example.classes] = 1
    z = torch.stack(features)
    gram = z @ z.T + RIDGE * z.square().sum(dim=1).mean() * torch.eye(len(z))
    # Centred labels: the head has no bias.
    weight = torch.linalg.solve(gram, labels - labels.mean(dim=0)).T @ z
    model.head.weight.copy_(weight[:, :, None, None])
    return model


def curves(
    model: CamClassifier,
    examples: Sequence[Example],
    class_names: Sequence[str],
    scales: Sequence[float],
    all_classes: Sequence[str] | None = None,
) -> tuple[list[float], list[float]]:
    """Return the seeds' mIoU over `THRESHOLDS`, of the maps as kept and of full float32 maps."""
    device = find_device()
    model.backbone = folded(model.backbone)
    model.requires_grad_(False).to(device, memory_format=torch.channels_last)
    kept, full = (ThresholdCounts(class_names, THRESHOLDS) for _ in range(2))
    named = {"all_classes": all_classes} if all_classes else {}
    for example in progress(examples, len(examples), "both kinds of maps"):
        image: Image.Image = load_image(example.path)
        pyramid, present = make_pyramid(image, scales), example.classes
        target = load_target(example.mask, class_names, size=pyramid.size, **named)
        coarse, fine = (
            normalize_maps(
                multi_scale_cam(
                    model, [pyramid], [present], device, max_batch_pixels=1, stride=stride
                )[0]
            ).cpu()
            for stride in (4, 1)
        )
        kept.update(target, LocalizationMaps("", pyramid.size, present, coarse.half()))
        full.update(target, FullMaps(present, fine))
    return tuple(
        [counts.scores(number).summary()["miou"] for number in range(len(THRESHOLDS))]
        for counts in (kept, full)
    )


def demo_examples(folder: Path, train_images: int) -> list[Example]:
    """Draw the demo's scenes below `folder`, and return those with masks."""
    generate_demo(folder, seed=0, train_images=train_images, val_images=5, pool_images=5)
    return read_examples(folder / "VOCdevkit" / "VOC2012", "train", DEMO_CLASSES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voc", type=Path, help="a devkit's VOC2012 folder; else the demo's")
    parser.add_argument("--set", default="train", help="image set of the devkit")
    parser.add_argument("--classes", nargs="+", default=list(DEMO_CLASSES))
    parser.add_argument("--classifier", type=Path, help="weights of a trained classifier")
    parser.add_argument("--scales", nargs="+", type=float, default=[0.5, 1.0, 1.5, 2.0])
    parser.add_argument("--images", type=int, default=150)
    arguments = parser.parse_args()
    class_names = arguments.classes
    with tempfile.TemporaryDirectory() as name:
        if arguments.voc:
            examples = read_examples(arguments.voc, arguments.set, class_names)
        else:
            examples = demo_examples(Path(name), arguments.images * 3 // 2)
        examples = examples[: arguments.images]
        if arguments.classifier:
            model, metadata = load_classifier(arguments.classifier)
            class_names = metadata["class_names"]
        else:
            model = fitted_classifier(examples, class_names)
        kept, full = curves(model, examples, class_names, arguments.scales)
    best = max(range(len(full)), key=full.__getitem__)
    apart = [abs(one - other) for one, other in zip(kept, full, strict=True)]
    print(f"Seeds of {len(examples)} images, scales {arguments.scales}")
    print(
        f"  best threshold {THRESHOLDS[best]:.2f}: mIoU {100 * full[best]:.3f} of full float32 "
        f"maps, {100 * kept[best]:.3f} of stride 4 in float16"
    )
    print(
        f"  apart: {100 * apart[best]:.3f} points there; over all thresholds "
        f"{100 * max(apart):.3f} at most"
    )


if __name__ == "__main__":
    main()
