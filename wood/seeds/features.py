"""Features z of whole, un-augmented images, the input of the head (Sec. 3.2)."""

from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from wood.data.lists import read_image_list
from wood.data.photographs import batches_of_one_size, readable_images, stack
from wood.data.transforms import normalize, resize_long_side
from wood.models.cam import CamClassifier
from wood.models.classifiers import load_to_predict
from wood.runtime.devices import autocast, find_device
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.store import save_tensors


@torch.inference_mode()
def image_features(
    model: CamClassifier,
    images: pd.DataFrame,
    *,
    long_side: int,
    max_batch_pixels: int,
    max_failed_fraction: float,
    workers: int = 2,
) -> tuple[list[str], Tensor, Tensor]:
    """Return the ids, z (N, D) and logits (N, C) of a list's readable images, in its order.

    Images are resized to one `long_side`. The model is in evaluation mode, on its device.

    Raises:
        InputError: more than `max_failed_fraction` of the images cannot be read, or none can.
    """
    device = find_device()
    resized = (
        (image_id, resize_long_side(image, long_side))
        for image_id, image in progress(
            readable_images(images, max_failed_fraction, workers), len(images), "features"
        )
    )
    found: dict[str, tuple[Tensor, Tensor]] = {}
    backbone = model.backbone
    for ids, batch in batches_of_one_size(resized, max_batch_pixels):
        tensors = [normalize(image, backbone.mean, backbone.std) for image in batch]
        with autocast(device):
            logits, features = model(stack(tensors, device))
        found |= dict(
            zip(ids, zip(features.float().cpu(), logits.float().cpu(), strict=True), strict=True)
        )
    if not found:
        raise InputError(
            f"{images['path'].iloc[0]}: neither this image nor any other of the {len(images)} of "
            "its list can be read."
        )
    ids = [image_id for image_id in images["image_id"] if image_id in found]
    features, logits = zip(*(found[image_id] for image_id in ids), strict=True)
    return ids, torch.stack(features), torch.stack(logits)


def extract_features(
    images: str | Path,
    classifier: str | Path,
    output: str | Path,
    *,
    long_side: int,
    max_batch_pixels: int,
    max_failed_fraction: float,
) -> None:
    """Write z (N, D) and the logits (N, C) of every readable image of a list, in its order.

    The ids stand in the metadata as `images`. Images are resized to one `long_side`.

    Raises:
        InputError: the list is none (`read_image_list`), the weights are not a classifier's
            (`wood.models.weights.read_model`), more than `max_failed_fraction` of the images
            cannot be read, or none can.
    """
    model, metadata = load_to_predict(classifier, find_device())
    ids, features, logits = image_features(
        model,
        read_image_list(images),
        long_side=long_side,
        max_batch_pixels=max_batch_pixels,
        max_failed_fraction=max_failed_fraction,
    )
    save_tensors(
        output,
        {"features": features, "logits": logits},
        {"images": ids, "class_names": metadata["class_names"]},
    )
