"""Training of the classifiers: F_in, W-OoD (Sec. 3.2), and the control without OoD images."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wood.data.labels import label_matrix, read_labels
from wood.data.lists import read_image_list
from wood.data.photographs import Photographs
from wood.data.transforms import Augmentation
from wood.devices import find_device
from wood.errors import InputError
from wood.models.cam import CamClassifier
from wood.models.classifiers import build_classifier, load_classifier, save_classifier
from wood.models.convert import published_classifier
from wood.models.seam import SeamClassifier
from wood.ood.losses import classification_loss, distance_loss
from wood.seeds.seam import SeamLoss
from wood.store import load_tensors, write_text
from wood.training import Batch, fit

logger = logging.getLogger(__name__)

# L_d has no lower bound: features whose mean norm grows this many times beyond that of the class
# centres are running away from the OoD clusters, and no longer describe anything.
RUNAWAY_FACTOR = 10


class WoodLoss:
    """Eq. 3 and 4: L = L_cls + lambda * L_d, with the terms that `ood["losses"]` names.

    Args:
        ood: losses (of cls_in, cls_ood, dist_in, dist_ood), distance_weight (lambda),
            top_fraction (tau), normalize, selection; or None for F_in and the control.
        centers: "in" (C, D) and "ood" (K, D); needed for the dist terms.
    """

    def __init__(self, ood: Mapping[str, Any] | None, centers: Mapping[str, Tensor] | None):
        self.ood = ood
        self.distance_terms = [
            name for name in ("in", "ood") if ood and f"dist_{name}" in ood["losses"]
        ]
        self.classifies_ood = bool(ood) and "cls_ood" in ood["losses"]
        self.centers = centers

    def __call__(
        self, model: CamClassifier, batch: Batch, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        del progress
        labels = batch["labels"]
        images = batch["image"]
        if self.classifies_ood:
            images = torch.cat([images, batch["ood"]["image"]])
        logits, features = model(images)
        count = len(labels)
        outside = logits[count:] if self.classifies_ood else None
        return self.combine(logits[:count], features[:count], labels, outside)

    def combine(
        self, logits: Tensor, features: Tensor, labels: Tensor, logits_ood: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of (B, C) logits, (B, D) features and OoD logits, and its terms."""
        logits, features = logits.float(), features.float()
        loss = classification_loss(logits, labels)
        terms = {"cls_in": loss, "feature_norm": features.norm(dim=1).mean()}
        if logits_ood is not None:
            total = classification_loss(logits, labels, logits_ood.float())
            terms["cls_ood"] = total - loss
            loss = total
        for name in self.distance_terms:
            terms[f"dist_{name}"] = self._distance(features, labels, name)
            loss = loss + self.ood["distance_weight"] * terms[f"dist_{name}"]
        return loss, terms

    def _distance(self, features: Tensor, labels: Tensor, term: str) -> Tensor:
        return distance_loss(
            features,
            labels,
            self.centers["in"],
            self.centers["ood"],
            self.ood["top_fraction"],
            terms=(term,),
            normalize=self.ood["normalize"],
            selection=self.ood["selection"],
        )

    def watch(self, line: Mapping[str, float]) -> None:
        """Stop a training whose features run away.

        Raises:
            InputError: the mean feature norm is far beyond that of the class centres.
        """
        if not self.distance_terms:
            return
        usual = self.centers["in"].norm(dim=1).nanmean().item()
        if line["feature_norm"] > RUNAWAY_FACTOR * usual:
            raise InputError(
                f"L_d runs away: at iteration {line['iteration']} the mean feature norm is "
                f"{line['feature_norm']:.1f}, where the class centres have {usual:.1f}; lower "
                "ood.distance_weight (L_d has no lower bound), or set ood.normalize: clusters."
            )


def train_classifier(
    images: str | Path,
    labels: str | Path,
    output: str | Path,
    log: str | Path,
    *,
    settings: Mapping[str, Any],
    class_names: Sequence[str],
    seed: int,
    checkpoint: str | Path,
    init: str | Path | None = None,
    hard_ood: str | Path | None = None,
    centers: str | Path | None = None,
) -> None:
    """Train one classifier on image-level labels and write its weights.

    Args:
        images: image list of D_in.
        labels: image-level labels of D_in.
        output: the weights, safetensors.
        log: the training curve, JSON lines.
        settings: the classifier's resolved configuration (`classifier` in config.yaml). With
            `published` weights nothing is trained.
        class_names: C foreground classes.
        seed: of everything random.
        checkpoint: the state of an unfinished training.
        init: weights to start from (F_in), else the backbone's ImageNet weights.
        hard_ood: list of the hard OoD images, where `settings["ood"]` is set.
        centers: p^in and p^ood, where a distance term is among the losses.

    Raises:
        InputError: bad images, labels or settings, or a loss that runs away.
    """
    if settings["published"] is not None:
        published = published_classifier(
            settings["published"], settings["architecture"], class_names
        )
        save_classifier(output, *published)
        write_text(log, "")
        return
    torch.manual_seed(seed)
    model, metadata = _starting_point(settings, class_names, init)
    ood = settings["ood"]
    loss = WoodLoss(ood, _read_centers(centers))
    augmentation = Augmentation(
        tuple(settings["long_side"]),
        settings["crop"],
        tuple(settings["resolution"]) if settings["resolution"] else None,
        tuple(settings["color_jitter"]) if settings["color_jitter"] else None,
    )
    backbone = model.backbone

    listed = read_image_list(images)
    known = read_labels(labels)
    if list(known.columns) != list(class_names):
        raise InputError(f"{labels}: the classes are not those of the configuration.")
    dataset = Photographs(
        list(listed["path"]),
        label_matrix(known, list(listed["image_id"]), labels),
        augmentation,
        backbone.mean,
        backbone.std,
    )
    extra = None
    if loss.classifies_ood:
        paths = list(read_image_list(hard_ood)["path"])
        nothing = torch.zeros(len(paths), len(class_names))
        extra = {
            "ood": (
                Photographs(paths, nothing, augmentation, backbone.mean, backbone.std),
                ood["batch_size"],
            )
        }
    fit(
        model,
        dataset,
        SeamLoss(loss, settings["view_scale"]) if isinstance(model, SeamClassifier) else loss,
        groups=model.parameter_groups(settings["training"]["head_lr_scale"]),
        settings=settings["training"],
        seed=seed,
        checkpoint=checkpoint,
        log=log,
        extra=extra,
        watch=loss.watch,
    )
    save_classifier(output, model, metadata)


def _starting_point(
    settings: Mapping[str, Any], class_names: Sequence[str], init: str | Path | None
) -> tuple[CamClassifier, dict[str, Any]]:
    """Return the model before its training, and what `save_classifier` writes beside it."""
    if init is not None:
        model, metadata = load_classifier(init)
        if metadata["class_names"] != list(class_names):
            raise InputError(f"{init}: the classes are not those of the configuration.")
        return model, metadata
    kept = ("architecture", "backbone", "output_stride", "detach_stages")
    metadata = {name: settings[name] for name in kept} | {"class_names": list(class_names)}
    return build_classifier(**metadata, weights=settings["weights"]), metadata


def _read_centers(path: str | Path | None) -> dict[str, Tensor] | None:
    if path is None:
        return None
    tensors, _ = load_tensors(path)
    device = find_device()
    return {name: tensors[name].to(device) for name in ("in", "ood")}
