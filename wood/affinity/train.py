"""Training IRNet on IR labels (IRN, Sec. 4.3)."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.data import Dataset

from wood.affinity.losses import irnet_loss
from wood.affinity.paths import training_sources
from wood.data.images import load_image
from wood.data.masked import MaskedPhotographs, find_masks
from wood.data.transforms import Normalization, normalize
from wood.models.backbones import create_backbone
from wood.models.irnet import STRIDE, IRNet, save_irnet
from wood.runtime.devices import autocast, find_device
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.training import Training
from wood.training.batches import load_batches

logger = logging.getLogger(__name__)

# IR labels are palette PNGs of any number of classes.
MOST_CLASSES = 254


def train_irnet(
    ir_labels: Sequence[str | Path],
    images: str | Path,
    output: str | Path,
    log: str | Path,
    *,
    backbone: str,
    weights: str | Path | None,
    radius: int,
    crop: int,
    scale_range: Sequence[float],
    settings: Mapping[str, Any],
    seed: int,
    checkpoint: str | Path,
    max_failed_fraction: float = 0.01,
) -> None:
    """Train IRNet and write its weights.

    Args:
        ir_labels: folders of IR labels `<image_id>.png`.
        images: image list.
        output: the weights, safetensors; see `wood.models.irnet.load_irnet`.
        log: the training curve, JSON lines.
        backbone, weights: see `wood.models.backbones.create_backbone`; the backbone stays as it is.
        radius: search radius of the pairs, in cells of stride 4.
        crop: side of the training crops in pixels, a multiple of 4.
        scale_range: lowest and highest random resize factor.
        settings: see `wood.training.Training`; the displacement branch learns at 10 times the rate.
        seed: of everything random.
        checkpoint: the state of an unfinished training.
        max_failed_fraction: share of images without an IR label, or unreadable, that are left out.

    Raises:
        InputError: bad images, labels or settings.
    """
    check_crop(crop, radius)
    torch.manual_seed(seed)
    model = IRNet(create_backbone(backbone, weights=weights))
    paths, labels = find_masks(images, ir_labels, MOST_CLASSES, max_failed_fraction)
    mean, std = model.backbone.mean, model.backbone.std
    normalization = Normalization(mean, std)
    training = Training(
        model=model,
        dataset=MaskedPhotographs(paths, labels, crop, tuple(scale_range), normalization),
        loss=IRNetLoss(radius),
        groups=model.parameter_groups(),
        settings=settings,
        seed=seed,
        checkpoint=checkpoint,
        log=log,
    )
    training.run()
    corners = TopLeftCrops(paths, crop, mean, std)
    model.mean_displacement.copy_(
        mean_displacement(model, corners, settings["batch_size"], settings.get("workers", 0))
    )
    save_irnet(output, model, {"backbone": backbone, "crop": crop, "radius": radius})
    training.remove_checkpoint()


def check_crop(crop: int, radius: int) -> None:
    """Raise InputError if crops of this side have no pairs within `radius`, or are not whole."""
    if crop % STRIDE:
        raise InputError(
            f"experiment.pseudo.irnet.crop is a multiple of {STRIDE} pixels, not {crop}."
        )
    try:
        training_sources(crop // STRIDE, crop // STRIDE, radius)
    except ValueError:
        raise InputError(
            f"experiment.pseudo.irnet.crop is too small: for radius {radius} it is at least "
            f"{(2 * radius - 1) * STRIDE} pixels, not {crop}."
        ) from None


class IRNetLoss:
    """`wood.affinity.losses.irnet_loss` of a batch of images and full-resolution IR labels."""

    def __init__(self, radius: int):
        self.radius = radius

    def __call__(
        self, model: nn.Module, batch: Mapping[str, Tensor], _progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        boundary, displacement = model(batch["image"])
        # The nearest pixel to each cell's middle, as when a picture is resized to a quarter.
        labels = batch["target"][:, STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
        return irnet_loss(boundary, displacement, labels, self.radius)


@dataclass(frozen=True)
class TopLeftCrops(Dataset):
    """The top left `crop` x `crop` pixels of photographs; smaller ones are padded."""

    paths: Sequence[str]
    crop: int
    mean: Sequence[float]
    std: Sequence[float]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        image = np.asarray(load_image(self.paths[index]))[: self.crop, : self.crop]
        height, width = image.shape[:2]
        room = (0, self.crop - width, 0, self.crop - height)
        return pad(normalize(image, self.mean, self.std), room)


@torch.inference_mode()
def mean_displacement(
    model: IRNet, crops: TopLeftCrops, batch_size: int, workers: int = 0
) -> Tensor:
    """Return the (2,) mean of the displacement field over the crops (IRN, Sec. 4.2).

    Raises:
        InputError: a photograph cannot be read.
    """
    device = find_device()
    model.to(device).eval()
    model.mean_displacement.zero_()
    total = torch.zeros(2, dtype=torch.float64)
    batches = load_batches(crops, batch_size=batch_size, num_workers=workers)
    for images in progress(batches, -(-len(crops) // batch_size), "mean displacement"):
        images = images.to(device, memory_format=torch.channels_last)
        with autocast(device):
            displacement = model(images)[1].float()
        total += displacement.mean(dim=(2, 3)).sum(dim=0).cpu()
    return (total / len(crops)).float()
