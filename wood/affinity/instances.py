"""Instance masks from IRNet's displacement field (IRN, Sec. 5.1 and 5.3), in COCO's format."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import label, map_coordinates
from torch import Tensor
from torch.nn.functional import one_hot

from wood.affinity.inputs import Seed, check_size, read_seeds
from wood.affinity.pseudo_masks import check_finite, images_of, irnet_maps, relative_scores
from wood.affinity.random_walk import random_walk
from wood.data.coco import coco_image
from wood.models.irnet import load_irnet
from wood.runtime.devices import find_device
from wood.runtime.store import write_json

# Steps along the field until a centroid is taken to be reached. IRN's code
ITERATIONS = 300

# Cells; where displacements are shorter than this there is a centroid. IRN, supplement.
WEAK = 2.5

# Of the image's pixels; smaller fragments are left out (IRN's code gives them the score 0).
SMALLEST = 0.01


@dataclass(frozen=True)
class Instance:
    """One object: its mask value (1 to C), score in (0, 1], and (H, W) bool mask."""

    value: int
    score: float
    mask: np.ndarray


def make_instances(
    maps: str | Path,
    images: str | Path,
    irnet: str | Path,
    output: str | Path,
    *,
    class_names: Sequence[str],
    radius: int = 5,
    beta: float = 10.0,
    exp_times: int = 8,
    mask_threshold: float = 0.25,
    power: float = 1.0,
    max_failed_fraction: float = 0.01,
    workers: int = 2,
    classifier: str | None = None,
) -> None:
    """Write the instances of every image of a shard of localization maps as one COCO file.

    The arguments are those of `wood.affinity.pseudo_masks.make_pseudo_masks`, but for `output`, a
    JSON file as `wood.data.coco.merge_documents` takes it.

    Raises:
        InputError: as `make_pseudo_masks`.
    """
    device = find_device()
    model, metadata = load_irnet(irnet)
    model.to(device, memory_format=torch.channels_last)
    seeds = {seed.image_id: seed for seed in read_seeds(maps, images, class_names, classifier)}
    loaded = images_of(seeds, images, max_failed_fraction, workers, "instances")

    def documents() -> Iterator[dict[str, Any]]:
        for image_id, image in loaded:
            seed = seeds[image_id]
            check_size(seed, image.height, image.width)
            boundary, field = irnet_maps(model, [image], metadata["crop"], device)
            check_finite(irnet, "class boundary map", [image_id], boundary)
            check_finite(irnet, "displacement field", [image_id], field)
            found = find_instances(
                seed,
                boundary[0],
                field[0],
                walk={"radius": radius, "beta": beta, "exp_times": exp_times},
                threshold=mask_threshold,
                power=power,
            )
            objects = [(one.value, one.score, one.mask) for one in found]
            yield coco_image(Path(seed.path).name, seed.maps.size, objects)

    write_json(output, list(documents()))


def find_instances(
    seed: Seed,
    boundary: Tensor,
    displacement: Tensor,
    *,
    walk: Mapping[str, Any],
    threshold: float,
    power: float,
) -> list[Instance]:
    """Return the instances of one image.

    Each class's localization map is cut into the groups of cells that point to one centroid; the
    parts compete in the random walk as classes do in pseudo-masks. What comes apart into several
    fragments is as many instances.

    Args:
        seed: the localization maps, n classes on (h, w).
        boundary: (h, w) class boundary map.
        displacement: (2, h, w) in cells, (y, x), its mean subtracted.
        walk: `radius`, `beta`, `exp_times` of `wood.affinity.random_walk`.
        threshold: see `wood.affinity.pseudo_masks.pseudo_mask`.
        power: exponent of the localization maps, taken before the walk.
    """
    groups = centroid_groups(displacement.cpu().numpy())
    of_group = one_hot(torch.from_numpy(groups).to(boundary.device)).permute(2, 0, 1)
    maps = seed.maps.maps.to(boundary.device, torch.float32) ** power
    parts = maps[:, None] * of_group
    # Most groups have nothing of most classes.
    present = parts.amax(dim=(2, 3)) > 0 if len(maps) else torch.zeros(0, 0, dtype=torch.bool)
    if not present.any():
        return []
    values = seed.maps.mask_values[1 + present.nonzero()[:, 0].cpu().numpy()]
    scores = random_walk(parts[present], boundary, **walk)
    relative = relative_scores(scores, seed.maps.size, threshold)
    best = relative.argmax(dim=0).cpu().numpy()
    smallest = SMALLEST * best.size
    instances = []
    for number, value in enumerate(values.tolist(), start=1):
        fragments, count = label(best == number)
        for fragment in range(1, count + 1):
            mask = fragments == fragment
            if mask.sum() >= smallest:
                score = relative[number].cpu().numpy()[mask].max()
                instances.append(Instance(value, float(score), mask))
    return instances


def centroid_groups(displacement: np.ndarray) -> np.ndarray:
    """Return the group, 0 to k - 1, of every cell of a (2, h, w) displacement field: (h, w) int64.

    A cell belongs to the region of short displacements in which its path ends (IRN, Sec. 5.1);
    the paths that end in none are one group.
    """
    regions, _ = label(np.hypot(*displacement) < WEAK)
    ends = regions[tuple(path_ends(displacement))]
    return np.unique(ends, return_inverse=True)[1].reshape(ends.shape)


def path_ends(displacement: np.ndarray, iterations: int = ITERATIONS) -> np.ndarray:
    """Return where the paths that start in every cell and follow the field end: (2, h, w) int64.

    Args:
        displacement: (2, h, w), (y, x) in cells; between cells it is interpolated.
        iterations: number of steps.
    """
    last = np.array(displacement.shape[1:])[:, None, None] - 1
    places = np.indices(displacement.shape[1:], dtype=np.float64)
    for _ in range(iterations):
        steps = [map_coordinates(axis, places, order=1, mode="nearest") for axis in displacement]
        places = np.clip(places + np.stack(steps), 0, last)
    return np.rint(places).astype(np.int64)
