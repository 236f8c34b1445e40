"""Training DeepLab-v2 on pseudo ground-truth masks (or, marked as such, on true ones)."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wood.data.lists import read_image_list
from wood.data.masked import MaskedPhotographs, find_masks
from wood.data.photographs import readable_rows
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
    settings: Mapping[str, Any],
    seed: int,
    checkpoint: str | Path,
    max_failed_fraction: float = 0.0,
    ood_list: str | Path | None = None,
) -> None:
    """Train DeepLab-v2 and write its weights.

    Args:
        images: image list.
        mask_dirs: folders of palette PNGs `<image_id>.png`: 0 background, 1 to C, 255 ignored.
        output: the weights, safetensors; see `wood.models.deeplab.load_network`.
        log: the training curve, JSON lines.
        class_names: C foreground classes.
        settings: an experiment's section `segmentation` but for `inference`. The head learns at 10
            times (its biases at 20 times, without weight decay) the rate.
        seed: of everything random.
        checkpoint: the state of an unfinished training.
        max_failed_fraction: share of images without a mask, or unreadable, that may be left out;
            of D_ood too.
        ood_list: image list of D_ood, which is background everywhere; None = without.

    Raises:
        InputError: bad images, masks or settings.
    """
    torch.manual_seed(seed)
    network = build_network(settings, class_names)
    image_paths, masks = find_masks(images, mask_dirs, len(class_names), max_failed_fraction)
    normalization = Normalization(network.backbone.mean, network.backbone.std)
    window = (
        *(settings["crop"], tuple(settings["scale"]), normalization),
        *(settings["scale_step"], settings["loader"]),
    )
    extra = None
    if ood_list is not None:
        listed = readable_rows(read_image_list(ood_list), max_failed_fraction)
        outside = MaskedPhotographs(list(listed["path"]), None, *window)
        extra = {"ood": (outside, settings["ood"]["batch_size"])}
    training = Training(
        model=network,
        dataset=MaskedPhotographs(image_paths, masks, *window),
        loss=DeepLabLoss(*(settings[key] for key in ("multi_scale_training", "alignment", "loss"))),
        groups=network.parameter_groups(),
        settings=settings["training"],
        seed=seed,
        checkpoint=checkpoint,
        log=log,
        extra=extra,
    )
    training.run()
    kept = {key: settings[key] for key in ("backbone", "output_stride", "atrous_rates")}
    save_network(output, network, {**kept, "class_names": list(class_names)})
    training.remove_checkpoint()


def build_network(settings: Mapping[str, Any], class_names: Sequence[str]) -> DeepLabV2:
    """Build the network of an experiment's section `segmentation`, on its ImageNet weights."""
    backbone = create_backbone(
        settings["backbone"],
        output_stride=settings["output_stride"],
        weights=settings["weights"],
    )
    return DeepLabV2(
        backbone, len(class_names) + 1, settings["atrous_rates"], settings["alignment"]
    )
