"""Features z of whole, un-augmented images, the input of the head (Sec. 3.2)."""

from pathlib import Path

import torch

from wood.data.lists import read_image_list
from wood.data.photographs import batches_of_one_size, readable_images, stack
from wood.data.transforms import normalize, resize_long_side
from wood.devices import autocast, find_device
from wood.models.classifiers import load_classifier
from wood.progress import progress
from wood.store import save_tensors


@torch.inference_mode()
def extract_features(
    images: str | Path,
    classifier: str | Path,
    output: str | Path,
    *,
    long_side: int,
    max_batch_pixels: int,
    max_failed_fraction: float,
    workers: int = 2,
) -> None:
    """Write z (N, D) and the logits (N, C) of every readable image of a list, in its order.

    The ids stand in the metadata as `images`. Images are resized to one `long_side`.
    """
    device = find_device()
    model, metadata = load_classifier(classifier)
    model.to(device, memory_format=torch.channels_last)
    listed = read_image_list(images)
    resized = (
        (image_id, resize_long_side(image, long_side))
        for image_id, image in progress(
            readable_images(listed, max_failed_fraction, workers), len(listed), "features"
        )
    )
    found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
    backbone = model.backbone
    for ids, batch in batches_of_one_size(resized, max_batch_pixels):
        tensors = [normalize(image, backbone.mean, backbone.std) for image in batch]
        with autocast(device):
            logits, features = model(stack(tensors, device))
        found |= dict(
            zip(ids, zip(features.float().cpu(), logits.float().cpu(), strict=True), strict=True)
        )
    ids = [image_id for image_id in listed["image_id"] if image_id in found]
    save_tensors(
        output,
        {
            "features": torch.stack([found[image_id][0] for image_id in ids]),
            "logits": torch.stack([found[image_id][1] for image_id in ids]),
        },
        {"images": ids, "class_names": metadata["class_names"]},
    )
