"""The centres that the distance loss pulls to and pushes from (Sec. 3.2)."""

from pathlib import Path

import torch

from wood.data.labels import label_matrix, read_labels
from wood.errors import InputError
from wood.ood.clusters import class_centers, group_centers, kmeans
from wood.store import load_tensors, save_tensors


def make_centers(
    features_in: str | Path,
    labels: str | Path,
    features_ood: str | Path,
    output: str | Path,
    *,
    clusters: int,
    grouping: str,
    seed: int,
) -> None:
    """Write p^in (C, D), p^ood (K, D) and the cluster of each OoD image.

    Args:
        features_in, features_ood: what `extract_features` wrote for D_in and D_ood.
        labels: image-level labels of D_in.
        output: safetensors with `in`, `ood` and `assignment` (N,); the metadata names the images.
        clusters: K.
        grouping: "kmeans", or "predicted_class" (one cluster a class, Table 4).
        seed: of K-means.

    Raises:
        InputError: fewer different OoD images than clusters.
    """
    inside, inside_metadata = load_tensors(features_in)
    outside, outside_metadata = load_tensors(features_ood)
    matrix = label_matrix(read_labels(labels), inside_metadata["images"], labels)
    in_centers = class_centers(inside["features"], matrix)
    if grouping == "kmeans":
        try:
            ood_centers, assignment = kmeans(outside["features"], clusters, seed)
        except InputError as error:
            raise InputError(f"{features_ood}: {error}") from None
    else:
        predicted = outside["logits"].argmax(dim=1)
        ood_centers, assignment = group_centers(outside["features"], predicted, matrix.shape[1])
    save_tensors(
        output,
        {"in": in_centers, "ood": ood_centers, "assignment": assignment.to(torch.int64)},
        {"images": outside_metadata["images"], "grouping": grouping},
    )
