"""The entry point of the demo generator."""

import os
import shutil
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from demo.devkit import DevkitWriter
from demo.openimages import MirrorWriter, image_id, plan_pool, write_truth
from demo.scenes import CLASSES, Scene, background_scene, object_scene, random_object_scene
from wood.runtime.errors import InputError
from wood.runtime.progress import progress

VOC = "VOCdevkit/VOC2012"
PIECES = (f"{VOC}/JPEGImages", f"{VOC}/Annotations", f"{VOC}/SegmentationClass", f"{VOC}/ImageSets",
          "openimages", "review-truth.csv")

# The independent streams of random numbers below the seed.
TRAIN, VAL, POOL, POOL_PLAN, POOL_LABELS = range(5)

MASKED_SHARE = 2 / 3
"""Part of the training images that have a mask and make up the image set `train`."""


def generate_demo(
    output: str | Path,
    *,
    seed: int,
    train_images: int,
    val_images: int,
    pool_images: int,
    size: tuple[int, int] = (160, 120),
) -> None:
    """Draw the demo's scenes and write them as real data are laid out; same seed, same bytes.

    Below `output`: VOCdevkit/VOC2012 (`train_aug` has `train_images` images, `train` the two
    thirds of them that have masks, `val` has `val_images`), openimages (a mirror with
    `pool_images` candidates, 60% backgrounds of the classes, 25% unrelated scenes, 15% with an
    object), and review-truth.csv. What an earlier call wrote there is replaced, other files stay.

    Args:
        size: width and height in pixels around which the sizes of the images vary; some images
            are upright.

    Raises:
        InputError: a count is below the number of classes, or the size is too small to see
            anything.
    """
    output = Path(output)
    counts = {"train_images": train_images, "val_images": val_images, "pool_images": pool_images}
    for key, count in counts.items():
        if count < len(CLASSES):
            raise InputError(f"demo.{key}: at least {len(CLASSES)} are needed, not {count}.")
    if min(size) < 64:
        raise InputError(f"demo.size: at least 64 pixels are needed, not {size[0]}x{size[1]}.")
    # The pieces are renamed one by one out of this sibling: others may own what else is there.
    work = output.parent / f".{output.name}.part"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        drawn = _draw_everything(work, seed, train_images, val_images, pool_images, size)
        for _ in progress(drawn, sum(counts.values()), "drawing scenes"):
            pass
        for piece in PIECES:
            _replace(work / piece, output / piece)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _draw_everything(
    work: Path, seed: int, train_images: int, val_images: int, pool_images: int,
    size: tuple[int, int],
) -> Iterator[str]:
    """Yield the id of each image as soon as it is written."""
    devkit = DevkitWriter(work / VOC)
    train, masked, val = [], [], []
    for number, name in enumerate(islice(cycle(CLASSES), train_images)):
        rng = np.random.default_rng([seed, TRAIN, number])
        identity = f"2012_{number + 1:06d}"
        train.append(identity)
        turn = number // len(CLASSES)  # whole turns, so that each class has as many masks
        if round((turn + 1) * MASKED_SHARE) > round(turn * MASKED_SHARE):
            masked.append(identity)
        scene = random_object_scene(rng, _varied_size(rng, size), name)
        devkit.write_image(identity, scene, with_mask=identity in masked[-1:])
        yield identity
    for number, name in enumerate(islice(cycle(CLASSES), val_images)):
        rng = np.random.default_rng([seed, VAL, number])
        identity = f"2012_{train_images + number + 1:06d}"
        val.append(identity)
        scene = random_object_scene(rng, _varied_size(rng, size), name)
        devkit.write_image(identity, scene, with_mask=True)
        yield identity
    for name, identities in (("train_aug", train), ("train", masked), ("val", val)):
        devkit.write_image_set(name, identities)
    yield from _draw_pool(work, seed, pool_images, size)


def _draw_pool(work: Path, seed: int, count: int, size: tuple[int, int]) -> Iterator[str]:
    mirror = MirrorWriter(work / "openimages")
    answers = []
    plan = plan_pool(np.random.default_rng([seed, POOL_PLAN]), count)
    for number, planned in enumerate(plan):
        rng = np.random.default_rng([seed, POOL, number])
        dimensions = _varied_size(rng, size)
        if planned.foreground is None:
            scene: Scene = background_scene(rng, dimensions, planned.background)
        else:
            scene = object_scene(rng, dimensions, [planned.foreground], planned.background)
        identity = image_id(seed, number)
        labels_rng = np.random.default_rng([seed, POOL_LABELS, number])
        mirror.write_image(identity, planned, scene, labels_rng)
        answers.append((identity, planned.foreground or ""))
        yield identity
    mirror.write_metadata()
    write_truth(work / "review-truth.csv", answers)


def _varied_size(rng: np.random.Generator, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of one image: a little larger or smaller, sometimes upright."""
    scale = rng.uniform(0.9, 1.1)
    width, height = (round(side * scale * rng.uniform(0.95, 1.05)) for side in size)
    return (height, width) if rng.random() < 0.15 else (width, height)


def _replace(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(source, target)
