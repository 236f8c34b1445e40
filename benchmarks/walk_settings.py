"""Settings of the random walk and the threshold of the pseudo-masks, chosen on half A.

    run=results/voc-mini-train
    python -m benchmarks.walk_settings $run/classifiers/cam-wood/seed-0/maps/cam \
      $run/experiments/irn-wood/seed-0/pseudo/boundaries \
      ../shared/voc-mini/VOCdevkit/VOC2012/SegmentationClass --power 1 1.5 2

A run that made the pseudo-masks has IRNet's boundaries, so only the walks are repeated. For each
setting this prints the `mask_threshold` that is best on half A with the mIoU of both halves, and
their mIoU at `--threshold`.
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
from wood.scoring.seeds import ThresholdCounts

RADIUS = 5  # pixels at stride 4, IRN's
THRESHOLDS = [step / 40 for step in range(2, 39)]

Halves = Mapping[str, ThresholdCounts]


def read_walks(
    maps: Path, boundaries: Path
) -> Iterator[tuple[LocalizationMaps, torch.Tensor, list[str]]]:
    """Return each image's localization maps, its boundary map (h, w) in [0, 1], and the classes.

    Raises:
        InputError: a broken shard, or an image without a boundary map.
    """
    for shard in sorted(maps.glob("*.safetensors")):
        class_names = load_tensors(shard)[1]["classes"]
        for image in read_maps(shard):
            path = file_of(boundaries / shard.stem, image.image_id, ".png")
            if not path.exists():
                raise InputError(f"{path}: no such file; the run has no boundary map of the image.")
            with Image.open(path) as boundary:
                values = torch.from_numpy(np.asarray(boundary, np.float32) / 255)
            yield image, values, class_names


def count(
    maps: Path,
    boundaries: Path,
    masks: Path,
    settings: Sequence[tuple[int, float, float]],
    all_classes: Sequence[str] = VOC_CLASSES,
) -> dict[tuple[int, float, float], Halves]:
    """Return the counts of both halves at `THRESHOLDS`, by (exp_times, beta, power)."""
    counts: dict[tuple[int, float, float], Halves] = {}
    for image, boundary, class_names in read_walks(maps, boundaries):
        path = file_of(masks, image.image_id, ".png")
        if not path.exists():
            continue
        target = load_target(path, class_names, size=image.size, all_classes=all_classes)
        for setting in settings:
            if setting not in counts:
                counts[setting] = {name: ThresholdCounts(class_names, THRESHOLDS) for name in "AB"}
            exp_times, beta, power = setting
            seed = Seed(image, "")
            walked = walk_seeds([seed], boundary[None], RADIUS, beta, exp_times, power)[0]
            scores = relative_scores(walked, image.size, threshold=0)[1:].numpy()
            part = counts[setting][half(image.image_id)]
            part.update_scores(target, image.classes.numpy(), scores)
    if not counts:
        raise InputError(f"{maps}: there is no image with a map and with a mask in {masks}.")
    return counts


def described(halves: Halves, threshold: float) -> str:
    """Return the best threshold of half A and the mIoU of both halves there and at `threshold`."""
    curves = {
        name: [100 * (scores.summary()["miou"] or 0.0) for scores in part.curve()]
        for name, part in halves.items()
    }
    best = int(np.argmax(curves["A"]))
    given = int(np.argmin(np.abs(np.array(THRESHOLDS) - threshold)))
    return (
        f"best {THRESHOLDS[best]:.3f}: half A {curves['A'][best]:.1f}, half B "
        f"{curves['B'][best]:.1f}; at {THRESHOLDS[given]:.3f}: {curves['A'][given]:.1f}, "
        f"{curves['B'][given]:.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("maps", type=Path)
    parser.add_argument("boundaries", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--exp-times", type=int, nargs="+", default=[8])
    parser.add_argument("--beta", type=float, nargs="+", default=[10.0])
    parser.add_argument("--power", type=float, nargs="+", default=[1.0])
    parser.add_argument("--threshold", type=float, default=0.35, help="mask_threshold of the run")
    parser.add_argument("--all-classes", nargs="+", default=VOC_CLASSES, help="data.all_classes")
    options = parser.parse_args()
    settings = list(product(options.exp_times, options.beta, options.power))
    try:
        counts = count(
            options.maps, options.boundaries, options.masks, settings, options.all_classes
        )
    except InputError as error:
        raise SystemExit(f"Error: {error}") from None
    for (exp_times, beta, power), halves in counts.items():
        line = described(halves, options.threshold)
        print(f"exp_times {exp_times}, beta {beta:g}, power {power:g}: {line}")


if __name__ == "__main__":
    main()
