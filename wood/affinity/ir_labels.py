"""Inter-pixel-relation labels (IRN, Sec. 4.1): confident foreground and background of each image.

What neither the foreground nor the background threshold is sure of, after dense CRF, is 255, and
no pair of pixels with such an end is trained on.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from wood.affinity.inputs import Seed, check_size, read_seeds
from wood.crf import IR_LABEL_CRF, refine_each
from wood.data.images import load_image
from wood.data.lists import read_image_list
from wood.data.masks import IGNORE, save_mask
from wood.maps import LocalizationMaps
from wood.runtime.errors import InputError
from wood.runtime.pool import parallel_map, successes
from wood.runtime.progress import progress
from wood.runtime.store import atomic_directory


def make_ir_labels(
    maps: str | Path,
    images: str | Path,
    output: str | Path,
    *,
    class_names: Sequence[str],
    foreground_threshold: float,
    background_threshold: float,
    gt_prob: float,
    workers: int,
    max_failed_fraction: float = 0.01,
    classifier: str | None = None,
) -> None:
    """Write the IR label `<image_id>.png` of every image of a shard of localization maps.

    The PNGs have VOC's palette: 0 background, 1 to C the classes, 255 uncertain.

    Args:
        maps: shard of localization maps.
        images: image list with (at least) the shard's images.
        output: folder, written whole or not at all.
        class_names: C foreground classes that the maps must be for.
        foreground_threshold, background_threshold: of confident foreground and background.
        gt_prob: probability of the thresholded labels in the CRF.
        workers: number of processes.
        max_failed_fraction: share of images that may fail; they are logged and have no label.
        classifier: weights file that must have made the maps; None means any.

    Raises:
        InputError: thresholds in the wrong order, a shard that is truncated, has NaN, is for
            other classes or of another classifier, or too many images that fail.
    """
    if background_threshold > foreground_threshold:
        raise InputError(
            f"background_threshold ({background_threshold}) is above "
            f"foreground_threshold ({foreground_threshold})."
        )
    label = partial(
        ir_label,
        foreground_threshold=foreground_threshold,
        background_threshold=background_threshold,
        gt_prob=gt_prob,
    )
    seeds = read_seeds(maps, images, class_names, classifier)
    _write_all(seeds, label, output, workers, max_failed_fraction, "IR labels")


def seeds_with_crf(
    maps: str | Path,
    images: str | Path,
    output: str | Path,
    *,
    class_names: Sequence[str],
    threshold: float,
    gt_prob: float,
    workers: int,
    max_failed_fraction: float = 0.01,
    classifier: str | None = None,
    scored: str | Path | None = None,
) -> None:
    """Write the seeds at `threshold`, refined by dense CRF: the column "+CRF" of Table 2.

    Args:
        maps, images, output, class_names, gt_prob, workers, max_failed_fraction, classifier: as
            in `make_ir_labels`.
        threshold: of the seeds.
        scored: image list; of the shard's images only those in it are worked on. None means all.

    Raises:
        InputError: as `make_ir_labels`.
    """
    seeds = read_seeds(maps, images, class_names, classifier)
    if scored is not None:
        wanted = set(read_image_list(scored)["image_id"])
        seeds = [seed for seed in seeds if seed.image_id in wanted]
    label = partial(refined_seed, threshold=threshold, gt_prob=gt_prob)
    _write_all(seeds, label, output, workers, max_failed_fraction, "seeds with CRF")


def ir_label(
    image: np.ndarray,
    maps: LocalizationMaps,
    *,
    foreground_threshold: float,
    background_threshold: float,
    gt_prob: float,
) -> np.ndarray:
    """Return the IR label of an (H, W, 3) uint8 image, (H, W) uint8.

    A pixel is a class where the refined seed at the foreground threshold says so, background where
    that at the background threshold says so too, and 255 elsewhere.
    """
    thresholds = [foreground_threshold, background_threshold]
    foreground, background = _refined_seeds(image, maps, thresholds, gt_prob)
    uncertain = np.where(background == 0, 0, IGNORE)
    return np.where(foreground > 0, foreground, uncertain).astype(np.uint8)


def refined_seed(
    image: np.ndarray, maps: LocalizationMaps, *, threshold: float, gt_prob: float
) -> np.ndarray:
    """Return the seed at `threshold` after dense CRF, (H, W) uint8 mask values.

    Seeds of one label only skip the CRF, which would change nothing.
    """
    [refined] = _refined_seeds(image, maps, [threshold], gt_prob)
    return refined


def _refined_seeds(
    image: np.ndarray, maps: LocalizationMaps, thresholds: Sequence[float], gt_prob: float
) -> list[np.ndarray]:
    seeds = [maps.seed_labels(threshold) for threshold in thresholds]
    values = maps.mask_values
    mixed = [number for number, seed in enumerate(seeds) if (seed != seed.flat[0]).any()]
    if mixed:
        refined = refine_each(
            image,
            [seeds[number] for number in mixed],
            parameters=IR_LABEL_CRF | {"gt_prob": gt_prob},
            num_labels=len(values),
        )
        for number, probabilities in zip(mixed, refined, strict=True):
            seeds[number] = probabilities.argmax(axis=0)
    return [values[seed] for seed in seeds]


def _write_all(
    seeds: Sequence[Seed],
    label: Callable[[np.ndarray, LocalizationMaps], np.ndarray],
    output: str | Path,
    workers: int,
    max_failed_fraction: float,
    description: str,
) -> None:
    with atomic_directory(output) as folder:
        outcomes = parallel_map(
            partial(_write_one, label=label, folder=folder),
            seeds,
            workers=workers,
            name=lambda seed: f"{seed.path} (image {seed.image_id})",
        )
        outcomes = progress(outcomes, len(seeds), description)
        for _ in successes(outcomes, len(seeds), max_failed_fraction):
            pass


def _write_one(
    seed: Seed, label: Callable[[np.ndarray, LocalizationMaps], np.ndarray], folder: Path
) -> None:
    image = np.asarray(load_image(seed.path))
    check_size(seed, *image.shape[:2])
    save_mask(folder / f"{seed.image_id}.png", label(image, seed.maps))
