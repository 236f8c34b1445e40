"""CAM: class activation maps (Zhou et al., 2016) over several scales and flips, as IRN has them."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from wood.data.labels import label_matrix, read_labels
from wood.data.lists import read_image_list, shard
from wood.data.photographs import batches_of_one_size, readable_images, stack
from wood.data.transforms import normalize, rescale
from wood.devices import autocast, find_device
from wood.errors import InputError
from wood.models.cam import CamClassifier, load_classifier
from wood.progress import progress
from wood.seeds.maps import STRIDE, LocalizationMaps, write_maps

PAD = 16


@torch.inference_mode()
def multi_scale_cam(
    model: CamClassifier,
    images: Sequence[Image.Image],
    scales: Sequence[float],
    device: torch.device,
) -> Tensor:
    """Return the CAMs (B, C, ceil(H/4), ceil(W/4)) of images of one size (H, W), not normalised.

    Each scale's map, the sum of the image's and its mirror image's, is brought to the grid of
    stride 4 of the image padded to a multiple of 16; the sum over the scales is cropped.
    """
    width, height = images[0].size
    padded = [ceil(side / PAD) * PAD // STRIDE for side in (height, width)]
    total: Tensor | None = None
    backbone = model.backbone
    for scale in scales:
        tensors = [
            normalize(rescale(image, scale), backbone.mean, backbone.std) for image in images
        ]
        batch = stack(tensors, device)
        with autocast(device):
            maps = model.activation_maps(torch.cat([batch, batch.flip(3)])).float()
        plain, mirrored = maps.chunk(2)
        maps = interpolate(
            plain + mirrored.flip(3), size=padded, mode="bilinear", align_corners=False
        )
        total = maps if total is None else total + maps
    return total[:, :, : ceil(height / STRIDE), : ceil(width / STRIDE)]


def normalize_maps(maps: Tensor) -> Tensor:
    """Divide each map of (n, h, w) by its maximum; an empty map stays zero."""
    highest = maps.amax(dim=(1, 2), keepdim=True)
    return torch.where(highest > 0, maps / highest, torch.zeros_like(maps))


def localize(
    images: str | Path,
    labels: str | Path,
    classifier: str | Path,
    output: str | Path,
    *,
    shard_index: int,
    shard_count: int,
    class_names: Sequence[str],
    scales: Sequence[float],
    max_batch_pixels: int,
    max_failed_fraction: float,
    workers: int = 2,
) -> None:
    """Write one shard of localization maps, only for the classes that an image is labelled with.

    Raises:
        InputError: the classifier is for other classes, its maps are not finite, or too many
            images cannot be read.
    """
    device = find_device()
    model, metadata = load_classifier(classifier)
    if metadata["class_names"] != list(class_names):
        raise InputError(
            f"{classifier}: trained for the classes {', '.join(metadata['class_names'])}, "
            f"not for {', '.join(class_names)}."
        )
    model.to(device, memory_format=torch.channels_last)
    listed = shard(read_image_list(images), shard_index, shard_count)
    matrix = label_matrix(read_labels(labels), list(listed["image_id"]), labels)
    present = {
        image_id: row.nonzero()[:, 0]
        for image_id, row in zip(listed["image_id"], matrix, strict=True)
    }
    found: dict[str, LocalizationMaps] = {}
    loaded = progress(
        readable_images(listed, max_failed_fraction, workers), len(listed), "localization maps"
    )
    for ids, batch in batches_of_one_size(loaded, max_batch_pixels):
        size = (batch[0].height, batch[0].width)
        for image_id, maps in zip(ids, multi_scale_cam(model, batch, scales, device), strict=True):
            if not torch.isfinite(maps).all():
                raise InputError(f"{classifier}: its maps of the image {image_id} are not finite.")
            classes = present[image_id]
            kept = normalize_maps(maps[classes.to(device)]).to("cpu", torch.float16)
            found[image_id] = LocalizationMaps(image_id, size, classes, kept)
    write_maps(
        output,
        [found[image_id] for image_id in listed["image_id"] if image_id in found],
        class_names=class_names,
        source=f"{classifier}: CAM",
    )
