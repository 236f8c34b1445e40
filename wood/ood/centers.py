"""The centres that the distance loss pulls to and pushes from (Sec. 3.2)."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wood.data.labels import label_matrix, read_labels
from wood.ood.clusters import class_centers, group_centers, kmeans
from wood.ood.images import in_images, ood_images
from wood.runtime.devices import find_device
from wood.runtime.errors import InputError
from wood.runtime.store import content_of, load_tensors, save_tensors

# From so many OoD images on, K-means runs on the GPU where there is one.
MANY_IMAGES = 2000


def find_centers(
    features_in: Tensor,
    labels: Tensor,
    features_ood: Tensor,
    logits_ood: Tensor,
    wood: Mapping[str, Any],
    seed: int,
) -> tuple[dict[str, Tensor], Tensor]:
    """Return p^in and p^ood, and the cluster of each OoD image.

    Args:
        features_in: (N, D), z of the images of D_in.
        labels: (N, C), 0 or 1.
        features_ood: (M, D), z of the images of D_ood.
        logits_ood: (M, C), their scores.
        wood: `grouping`: "kmeans", with `clusters` (K) and `kmeans` (start, starts, iterations); or
            "predicted_class", one cluster a class (Table 4).
        seed: of K-means.

    Returns:
        {"in": (C, D), "ood": (K, D)} and the assignment (M,) int64, on the CPU.

    Raises:
        InputError: fewer different OoD images than clusters.
    """
    if wood["grouping"] == "kmeans":
        device = find_device() if len(features_ood) >= MANY_IMAGES else torch.device("cpu")
        centers, assignment = kmeans(
            features_ood.to(device), wood["clusters"], seed, **wood["kmeans"]
        )
    else:
        predicted = logits_ood.argmax(dim=1)
        centers, assignment = group_centers(features_ood, predicted, labels.shape[1])
    return {"in": class_centers(features_in, labels), "ood": centers.cpu()}, assignment.cpu()


def make_centers(
    images: str | Path,
    labels: str | Path,
    ood_list: str | Path,
    features_in: str | Path,
    features_ood: str | Path,
    output: str | Path,
    *,
    wood: Mapping[str, Any],
    data: Mapping[str, Any],
    seed: int,
) -> None:
    """Write p^in (C, D), p^ood (K, D) and the cluster of each OoD image of one classifier.

    Args:
        images, labels: image list and image-level labels of D_in.
        ood_list: image list of D_ood.
        features_in, features_ood: what `extract_features` wrote for the two lists.
        output: safetensors with `in`, `ood` and `assignment` (M,); the metadata names the M images.
        wood: settings of `find_centers` and `ood_images`.
        data: the part of the images that is used: `in`, `ood`, `subset_seed`.
        seed: of K-means.

    Raises:
        InputError: fewer different OoD images than clusters, or fewer images than `data` asks for.
    """
    inside, inside_ids = _rows(features_in, in_images(images, data)["image_id"])
    outside, outside_ids = _rows(features_ood, ood_images(ood_list, wood, data)["image_id"])
    matrix = label_matrix(read_labels(labels), inside_ids, labels)
    try:
        centers, assignment = find_centers(
            inside["features"], matrix, outside["features"], outside["logits"], wood, seed
        )
    except InputError as error:
        raise InputError(f"{features_ood}: {error}") from None
    save_tensors(
        output,
        {**centers, "assignment": assignment.to(torch.int64)},
        {"images": outside_ids, "grouping": wood["grouping"]},
    )


def _rows(path: str | Path, wanted: Iterable[str]) -> tuple[dict[str, Tensor], list[str]]:
    """Read the rows of a features file that belong to `wanted` images, and their ids."""
    tensors, metadata = load_tensors(path)
    wanted = set(wanted)
    with content_of(path, "features of images"):
        rows = [row for row, image_id in enumerate(metadata["images"]) if image_id in wanted]
        return (
            {name: tensors[name][rows] for name in ("features", "logits")},
            [metadata["images"][row] for row in rows],
        )
