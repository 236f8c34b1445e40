"""Training DeepLab-v2 on pseudo ground-truth masks (or, marked as such, on true ones)."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wood.data.lists import read_image_list
from wood.data.masked import MaskedPhotographs, find_masks
from wood.data.transforms import Normalization
from wood.models.backbones import create_backbone
from wood.models.deeplab import LOSSES, DeepLabV2, multi_scale_logits, save_network
from wood.runtime.errors import InputError
from wood.training import Training

logger = logging.getLogger(__name__)


class DeepLabLoss:
    """A loss at scale 1, or its sum over MSC's scales and their maximum.

    `kind`: one of `wood.models.deeplab.LOSSES`.

    The OoD images of a batch, if it has some, are images of the batch like the others.
    """

    def __init__(self, multi_scale: bool, alignment: str = "cells", kind: str = "cross-entropy"):
        if kind not in LOSSES:
            raise InputError(f"loss is {' or '.join(LOSSES)}, not {kind!r}.")
        self.loss = LOSSES[kind]
        self.multi_scale = multi_scale
        self.alignment = alignment

    def __call__(
        self, network: nn.Module, batch: Mapping[str, Tensor], _progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        images, target = batch["image"], batch["target"]
        if "ood" in batch:
            images = torch.cat([images, batch["ood"]["image"]])
            target = torch.cat([target, batch["ood"]["target"]])
        if not self.multi_scale:
            return self.loss(network(images), target), {}
        every = multi_scale_logits(network, images, alignment=self.alignment)
        losses = [self.loss(logits, target) for logits in every]
        return sum(losses), {"loss_max": losses[-1]}


def train_segmentation(
    images: str | Path,
    mask_dirs: Sequence[str | Path],
    output: str | Path,
    log: str | Path,
    *,
    class_names: Sequence[str],
    backbone: str,
    weights: str | Path | None,
    output_stride: int,
    atrous_rates: Sequence[int],
    alignment: str = "cells",
    crop: int,
    scale_range: Sequence[float],
    scale_step: float | None = None,
    loader: str = "irn",
    loss: str = "cross-entropy",
    multi_scale_training: bool,
    settings: Mapping[str, Any],
    seed: int,
    checkpoint: str | Path,
    max_failed_fraction: float = 0.0,
    ood_list: str | Path | None = None,
    ood_batch_size: int = 0,
) -> None:
    """Train DeepLab-v2 and write its weights.

    Args:
        images: image list.
        mask_dirs: folders of palette PNGs `<image_id>.png`: 0 background, 1 to C, 255 ignored.
        output: the weights, safetensors; see `wood.models.deeplab.load_network`.
        log: the training curve, JSON lines.
        class_names: C foreground classes.
        backbone, weights, output_stride: see `wood.models.backbones.create_backbone`.
        atrous_rates: of ASPP.
        alignment: how logits lie over an image; one of `wood.models.deeplab.ALIGNMENTS`.
        crop: side of the training crops, pixels.
        scale_range: lowest and highest random resize factor.
        scale_step, loader: see `wood.data.masked.MaskedPhotographs`.
        loss: see `DeepLabLoss`.
        multi_scale_training: losses at scales 1, 0.75 and 0.5 and at their maximum.
        settings: see `wood.training.Training`; the head learns at 10 times (its biases at 20 times,
            without weight decay) the rate.
        seed: of everything random.
        checkpoint: the state of an unfinished training.
        max_failed_fraction: share of images without a mask, or unreadable, that may be left out.
        ood_list: image list of D_ood, which is background everywhere; None = without.
        ood_batch_size: OoD images beside each batch.

    Raises:
        InputError: bad images, masks or settings.
    """
    torch.manual_seed(seed)
    network = DeepLabV2(
        create_backbone(backbone, output_stride=output_stride, weights=weights),
        len(class_names) + 1,
        atrous_rates,
        alignment,
    )
    image_paths, masks = find_masks(images, mask_dirs, len(class_names), max_failed_fraction)
    normalization = Normalization(network.backbone.mean, network.backbone.std)
    window = (crop, tuple(scale_range), normalization, scale_step, loader)
    extra = None
    if ood_list is not None:
        outside = list(read_image_list(ood_list)["path"])
        extra = {"ood": (MaskedPhotographs(outside, None, *window), ood_batch_size)}
    Training(
        model=network,
        dataset=MaskedPhotographs(image_paths, masks, *window),
        loss=DeepLabLoss(multi_scale_training, alignment, loss),
        groups=network.parameter_groups(),
        settings=settings,
        seed=seed,
        checkpoint=checkpoint,
        log=log,
        extra=extra,
    ).run()
    save_network(
        output,
        network,
        {
            "backbone": backbone,
            "output_stride": output_stride,
            "atrous_rates": list(atrous_rates),
            "class_names": list(class_names),
        },
    )
