"""One shard of localization maps, by any method."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from wood.data.labels import label_matrix, read_labels
from wood.data.lists import read_image_list, shard
from wood.data.photographs import batches_of_one_size, readable_images
from wood.maps import LocalizationMaps, grid_size, normalize_maps, write_maps
from wood.models.classifiers import load_to_predict
from wood.models.weights import check_classes
from wood.runtime.devices import find_device
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.seeds.methods import METHODS
from wood.seeds.pyramid import pyramids


def localize(
    images: str | Path,
    labels: str | Path,
    classifier: str | Path,
    output: str | Path,
    *,
    settings: Mapping[str, Any],
    shard_index: int,
    shard_count: int,
    class_names: Sequence[str],
    max_batch_pixels: int,
    max_failed_fraction: float,
    workers: int = 2,
) -> None:
    """Write one shard of localization maps, only for the classes that an image is labelled with.

    Args:
        images: image list.
        labels: their image-level labels.
        classifier: the weights.
        output: the shard.
        settings: `method` (one of `wood.seeds.methods.METHODS`), `scales`, and the method's own.
        shard_index, shard_count: which part of the list.
        class_names: C foreground classes.
        max_batch_pixels: pixels that go through the network at once.
        max_failed_fraction: share of unreadable images at which this fails.
        workers: threads that decode, and as many that resize.

    Raises:
        InputError: the classifier is for other classes, its maps are not finite, or too many
            images cannot be read.
    """
    listed = shard(read_image_list(images), shard_index, shard_count)
    present = classes_present(listed["image_id"], labels)
    found: dict[str, LocalizationMaps] = {}
    loaded = progress(
        readable_images(listed, max_failed_fraction, workers), len(listed), "localization maps"
    )
    for image in make_maps(
        _with_a_class(loaded, present, found),
        present,
        classifier,
        settings=settings,
        class_names=class_names,
        max_batch_pixels=max_batch_pixels,
        workers=workers,
    ):
        found[image.image_id] = image
    write_maps(
        output,
        [found[image_id] for image_id in listed["image_id"] if image_id in found],
        class_names=class_names,
        source=f"{classifier}: {METHODS[settings['method']].title}",
    )


def make_maps(
    images: Iterable[tuple[str, Image.Image]],
    present: Mapping[str, Tensor],
    classifier: str | Path,
    *,
    settings: Mapping[str, Any],
    class_names: Sequence[str],
    max_batch_pixels: int,
    workers: int = 2,
) -> Iterator[LocalizationMaps]:
    """Yield the localization maps of images, those of one size one after another.

    Args:
        images: image ids and RGB images.
        present: (n,) classes to make maps for, n > 0, by image id.
        classifier, settings, class_names, max_batch_pixels, workers: see `localize`.

    Raises:
        InputError: the classifier is for other classes, or its maps are not finite.
    """
    device = find_device()
    model, metadata = load_to_predict(classifier, device)
    check_classes(classifier, metadata, class_names)
    method = METHODS[settings["method"]].load()
    batches = batches_of_one_size(images, max_batch_pixels)
    for ids, batch in pyramids(batches, settings["scales"], workers):
        classes = [present[image_id] for image_id in ids]
        maps = method(
            *(model, batch, classes, device), settings=settings, max_batch_pixels=max_batch_pixels
        )
        finite = torch.stack([torch.isfinite(some).all() for some in maps]).tolist()
        for image_id, some, good in zip(ids, maps, finite, strict=True):
            if not good:
                raise InputError(f"{classifier}: its maps of the image {image_id} are not finite.")
            kept = normalize_maps(some, model.zero_is_minimum).to("cpu", torch.float16)
            yield LocalizationMaps(image_id, batch[0].size, present[image_id], kept)


def classes_present(image_ids: Iterable[str], labels: str | Path) -> dict[str, Tensor]:
    """Return the (n,) classes that each image is labelled with."""
    ids = list(image_ids)
    matrix = label_matrix(read_labels(labels), ids, labels)
    return {image_id: row.nonzero()[:, 0] for image_id, row in zip(ids, matrix, strict=True)}


def _with_a_class(
    loaded: Iterable[tuple[str, Image.Image]],
    present: Mapping[str, Tensor],
    found: dict[str, LocalizationMaps],
) -> Iterator[tuple[str, Image.Image]]:
    """Pass images on; those of no class are found at once, with no map."""
    for image_id, image in loaded:
        if len(present[image_id]):
            yield image_id, image
        else:
            size = (image.height, image.width)
            nothing = torch.zeros(0, *grid_size(size), dtype=torch.float16)
            found[image_id] = LocalizationMaps(image_id, size, present[image_id], nothing)
