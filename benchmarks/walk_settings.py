"""Settings of the random walk and the threshold of the pseudo-masks, chosen on half A.

    run=results/voc-mini-train
    python -m benchmarks.walk_settings $run/classifiers/cam-wood/seed-0/maps/cam \
      $run/experiments/irn-wood/seed-0/pseudo/boundaries \
      ../shared/voc-mini/VOCdevkit/VOC2012/SegmentationClass --power 1 1.5 2

A run that made the pseudo-masks has IRNet's boundaries, so only the walks are repeated. For each
setting this prints the `mask_threshold` that is best on half A with the mIoU of both halves, and
their mIoU at `--threshold`. The boundaries are kept with 8 bits, so a score can differ from the
pipeline's by 0.1.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from wood.affinity.inputs import Seed
from wood.affinity.pseudo_masks import relative_scores, walk_seeds
from wood.data.image_ids import file_of
from wood.data.lists import half
from wood.data.masks import VOC_CLASSES, load_target
from wood.maps import LocalizationMaps, read_maps
from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors
from wood.scoring.evaluation import HALVES
from wood.scoring.seeds import ThresholdCounts, best_of

THRESHOLDS = [step / 40 for step in range(2, 39)]

Halves = Mapping[str, ThresholdCounts]


def read_walks(
    shards: Sequence[Path], boundaries: Path, class_names: Sequence[str]
) -> Iterator[tuple[LocalizationMaps, torch.Tensor]]:
    """Return each image's localization maps and its boundary map (h, w) in [0, 1].

    Raises:
        InputError: a broken shard or one of other classes, or an image without a boundary map.
    """
    for shard in shards:
        for image in read_maps(shard, class_names):
            path = file_of(boundaries / shard.stem, image.image_id, ".png")
            if not path.exists():
                raise InputError(f"{path}: no such file; the run has no boundary map of the image.")
            with Image.open(path) as boundary:
                values = torch.from_numpy(np.asarray(boundary, np.float32) / 255)
            yield image, values


def count(
    maps: Path,
    boundaries: Path,
    masks: Path,
    settings: Sequence[tuple[int, float, float]],
    all_classes: Sequence[str] = VOC_CLASSES,
    radius: int = 5,
) -> dict[tuple[int, float, float], Halves]:
    """Return the counts of both halves at `THRESHOLDS`, by (exp_times, beta, power).

    Raises:
        InputError: as `read_walks`, or no image has a map and a mask.
    """
    shards = sorted(maps.glob("*.safetensors"))
    class_names = load_tensors(shards[0])[1].get("classes", []) if shards else []
    counts = {
        setting: {name: ThresholdCounts(class_names, THRESHOLDS) for name in HALVES}
        for setting in settings
    }
    images = 0
    for image, boundary in read_walks(shards, boundaries, class_names):
        path = file_of(masks, image.image_id, ".png")
        if not path.exists():
            continue
        target = load_target(path, class_names, size=image.size, all_classes=all_classes)
        images += 1
        seed = Seed(image, "")
        for (exp_times, beta, power), halves in counts.items():
            walked = walk_seeds([seed], boundary[None], radius, beta, exp_times, power)[0]
            scores = relative_scores(walked, image.size, threshold=0)[1:].numpy()
            part = halves[half(image.image_id)]
            part.update_scores(target, image.classes.numpy(), scores)
    if not images:
        raise InputError(f"{maps}: there is no image with a map and with a mask in {masks}.")
    return counts


def described(halves: Halves, threshold: float) -> str:
    """Return the best threshold of half A and the mIoU of both halves there and at `threshold`."""
    curves = {name: part.curve() for name, part in halves.items()}
    best = best_of(curves["A"])
    given = int(np.argmin(np.abs(np.array(THRESHOLDS) - threshold)))
    (a, b), (a_given, b_given) = (
        [100 * (curves[name][place].summary()["miou"] or 0.0) for name in HALVES]
        for place in (best, given)
    )
    return (
        f"best {THRESHOLDS[best]:.3f}: half A {a:.1f}, half B {b:.1f}; "
        f"at {THRESHOLDS[given]:.3f}: {a_given:.1f}, {b_given:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("maps", type=Path, help="folder of the localization maps of a classifier")
    parser.add_argument("boundaries", type=Path, help="folder of IRNet's boundaries")
    parser.add_argument("masks", type=Path, help="folder of the true masks")
    parser.add_argument("--exp-times", type=int, nargs="+", default=[8])
    parser.add_argument("--beta", type=float, nargs="+", default=[10.0])
    parser.add_argument("--power", type=float, nargs="+", default=[1.0])
    parser.add_argument("--radius", type=int, default=5, help="of the walk and of IRNet")
    parser.add_argument("--threshold", type=float, default=0.35, help="mask_threshold of the run")
    parser.add_argument("--all-classes", nargs="+", default=VOC_CLASSES, help="data.all_classes")
    options = parser.parse_args()
    settings = list(product(options.exp_times, options.beta, options.power))
    try:
        counts = count(
            options.maps,
            options.boundaries,
            options.masks,
            settings,
            options.all_classes,
            options.radius,
        )
    except InputError as error:
        raise SystemExit(f"Error: {error}") from None
    for (exp_times, beta, power), halves in counts.items():
        line = described(halves, options.threshold)
        print(f"exp_times {exp_times}, beta {beta:g}, power {power:g}: {line}")


if __name__ == "__main__":
    main()
