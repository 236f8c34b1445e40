"""Training of the classifiers: F_in, W-OoD (Sec. 3.2), and the control without OoD images."""

import copy
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from wood.data.labels import label_matrix, read_labels
from wood.data.lists import read_image_list, subset
from wood.data.photographs import Photographs
from wood.data.transforms import Augmentation
from wood.models.backbones import Backbone
from wood.models.cam import CamClassifier
from wood.models.classifiers import build_classifier, load_classifier, save_classifier
from wood.models.convert import published_classifier
from wood.models.seam import SeamClassifier
from wood.ood.centers import find_centers
from wood.ood.images import ood_images
from wood.ood.losses import classification_loss, distance_loss, ood_losses
from wood.ood.perturbation import climb
from wood.runtime.devices import find_device
from wood.runtime.errors import InputError
from wood.runtime.jobs import kept_epochs
from wood.runtime.store import atomic_directory, load_tensors, write_text
from wood.seeds.features import image_features
from wood.seeds.seam import SeamLoss
from wood.training import Batch, fit

logger = logging.getLogger(__name__)

# L_d has no lower bound. When its push outweighs the classification loss and the features are so
# many times farther from the nearest OoD clusters than when the training began, they run away.
RUNAWAY_GROWTH = 2


class WoodLoss:
    """Eq. 4: L = L_cls + lambda * L_d, with the terms that `ood["losses"]` names.

    Args:
        ood: settings, as `wood` in config.yaml; or None for F_in and the control.
        centers: "in" (C, D) and "ood" (K, D); needed for the dist terms, read anew at each batch.
        class_names: C foreground classes; needed for `leave_out`.
    """

    def __init__(
        self,
        ood: Mapping[str, Any] | None,
        centers: Mapping[str, Tensor] | None,
        class_names: Sequence[str] = (),
    ):
        self.ood = ood
        self.centers = centers
        self.distance_terms = [
            name for name in ("in", "ood") if ood and f"dist_{name}" in ood["losses"]
        ]
        self.classifies_ood = bool(ood) and "cls_ood" in ood["losses"]
        self.background_class = self.classifies_ood and ood["target"] == "background"
        self.classes = len(class_names) or None
        self.left_out = [
            number for number, name in enumerate(class_names) if ood and name in ood["leave_out"]
        ]

    def __call__(
        self, model: CamClassifier, batch: Batch, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        del progress
        images, labels = batch["image"], batch["labels"]
        count = len(labels)
        if self.classifies_ood:
            images = torch.cat([images, self.ood_images(model, batch)])
        logits, features = model(images)
        outside = logits[count:] if self.classifies_ood else None
        return self.combine(logits[:count], features[:count], labels, outside)

    def combine(
        self, logits: Tensor, features: Tensor, labels: Tensor, logits_ood: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of (B, C) logits, (B, D) features and OoD logits, and its terms."""
        logits, features = logits.float(), features.float()
        targets = pad(labels, (0, 1)) if self.background_class else labels
        loss = classification_loss(logits, targets)
        terms = {"cls_in": loss, "feature_norm": features.norm(dim=1).mean()}
        if logits_ood is not None:
            terms["cls_ood"] = self.ood_term(logits_ood.float(), len(labels))
            loss = loss + self.ood["ood_weight"] * terms["cls_ood"]
        for name in self.distance_terms:
            terms[f"dist_{name}"] = self.distance_term(features, labels, name)
            loss = loss + self.ood["distance_weight"] * terms[f"dist_{name}"]
        return loss, terms

    def ood_images(self, model: nn.Module, batch: Batch) -> Tensor:
        """The OoD images of a batch, made harder where `perturbation` says so."""
        images, step = batch["ood"]["image"], self.ood["perturbation"]
        return climb(model, images, step, self.classes) if step else images

    def ood_term(self, logits: Tensor, in_batch: int) -> Tensor:
        """The second term of Eq. 3: logits of OoD images, in a batch of `in_batch` of D_in."""
        losses = ood_losses(logits, self.ood["target"])
        if self.left_out:
            hardest_for = logits[:, : self.classes].argmax(dim=1)
            left_out = torch.tensor(self.left_out, device=logits.device)
            losses = losses * ~torch.isin(hardest_for, left_out)
        return losses.sum() / (in_batch if self.ood["ood_average"] == "in" else len(losses))

    def distance_term(self, features: Tensor, labels: Tensor, term: str) -> Tensor:
        """One of the two sums of Eq. 2, "in" or "ood"."""
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

    def watch(self, line: Mapping[str, float], first: Mapping[str, float]) -> None:
        """Stop a training whose features run away from the OoD clusters.

        Args:
            line, first: of the log, the present and the first line.

        Raises:
            InputError: the OoD term of L_d outweighs the classification loss, and the nearest OoD
                clusters are `RUNAWAY_GROWTH` times as far as in the first line.
        """
        if "ood" not in self.distance_terms:
            return
        outweighs = -self.ood["distance_weight"] * line["dist_ood"] > line["cls_in"]
        if outweighs and line["dist_ood"] < RUNAWAY_GROWTH * first["dist_ood"]:
            # The features of a broken F_in are all the same, at no distance from the clusters.
            growth = line["dist_ood"] / first["dist_ood"] if first["dist_ood"] else float("inf")
            raise InputError(
                f"L_d runs away: at iteration {line['iteration']} its OoD term outweighs the "
                "classification loss, and the nearest OoD clusters are "
                f"{growth:.1f} times as far as at the beginning ({line['dist_ood']:.3g}, "
                f"cls_in {line['cls_in']:.3g}, feature norm "
                f"{line['feature_norm']:.3g}, at first {first['feature_norm']:.3g}). L_d has no "
                "lower bound: lower ood.distance_weight, or set ood.normalize: clusters."
            )


def train_classifier(
    images: str | Path,
    labels: str | Path,
    output: str | Path,
    log: str | Path,
    epochs: str | Path,
    *,
    settings: Mapping[str, Any],
    class_names: Sequence[str],
    seed: int,
    checkpoint: str | Path,
    init: str | Path | None = None,
    ood_list: str | Path | None = None,
    centers: str | Path | None = None,
    whole_images: Mapping[str, Any] | None = None,
) -> None:
    """Train one classifier on image-level labels and write its weights.

    Args:
        images: image list of D_in.
        labels: image-level labels of D_in.
        output: the weights, safetensors.
        log: the training curve, JSON lines.
        epochs: folder for the weights after each epoch, `epoch-<n>.safetensors`; it stays empty
            unless the settings say `keep_epochs`.
        settings: the classifier's resolved configuration (`classifier` in config.yaml). With
            `published` weights nothing is trained.
        class_names: C foreground classes.
        seed: of everything random.
        checkpoint: where an unfinished training is kept.
        init: weights to start from, instead of the backbone's ImageNet weights.
        ood_list: image list of D_ood; needed for cls_ood, and to refresh the centres.
        centers: what `make_centers` wrote; needed for dist_in and dist_ood.
        whole_images: how `image_features` takes whole images (long_side, max_batch_pixels,
            max_failed_fraction); needed to refresh the centres.

    Raises:
        InputError: bad images, labels or settings, or a loss that runs away.
    """
    if settings["published"] is not None:
        published = published_classifier(
            settings["published"], settings["architecture"], class_names
        )
        save_classifier(output, *published)
        write_text(log, "")
        with atomic_directory(epochs):
            pass
        return
    torch.manual_seed(seed)
    model, metadata = _starting_point(settings, class_names, init)
    ood, data = settings["ood"], settings["data"]
    kept = _read_centers(centers)
    loss = WoodLoss(ood, kept, class_names)
    if loss.background_class:
        resize_head(model, len(class_names) + 1)
    if ood and ood["trained_stages"]:
        freeze_first_stages(model.backbone, ood["trained_stages"])
    augmentation = Augmentation(
        tuple(settings["long_side"]),
        settings["crop"],
        tuple(settings["resolution"]) if settings["resolution"] else None,
        tuple(settings["color_jitter"]) if settings["color_jitter"] else None,
    )
    mean, std = model.backbone.mean, model.backbone.std

    listed = subset(read_image_list(images), data["in"], data["subset_seed"], f"{images} (data.in)")
    known = read_labels(labels)
    if list(known.columns) != list(class_names):
        raise InputError(f"{labels}: the classes are not those of the configuration.")
    matrix = label_matrix(known, list(listed["image_id"]), labels)
    dataset = Photographs(list(listed["path"]), matrix, augmentation, mean, std)
    outside = ood_images(ood_list, ood, data) if ood else None
    extra = None
    if loss.classifies_ood:
        nothing = torch.zeros(len(outside), len(class_names))
        photographs = Photographs(list(outside["path"]), nothing, augmentation, mean, std)
        extra = {"ood": (photographs, ood["batch_size"])}

    unfinished = kept_epochs(checkpoint)

    def trained(weights: Mapping[str, Tensor]) -> CamClassifier:
        result = copy.deepcopy(model)
        result.load_state_dict(weights)
        resize_head(result, len(class_names))
        return result

    def refresh_centers() -> None:
        model.eval()
        found_in = image_features(model, listed, **whole_images)
        found_ood = image_features(model, outside, **whole_images)
        present = label_matrix(known, found_in[0], labels)
        scores = found_ood[2][:, : len(class_names)]
        fresh, _ = find_centers(found_in[1], present, found_ood[1], scores, ood, seed)
        kept.update({name: value.to(kept[name]) for name, value in fresh.items()})

    def after_epoch(epoch: int, weights: Mapping[str, Tensor]) -> None:
        if settings["keep_epochs"]:
            save_classifier(unfinished / f"epoch-{epoch}.safetensors", trained(weights), metadata)
        if loss.distance_terms and ood["refresh_epochs"] and epoch % ood["refresh_epochs"] == 0:
            refresh_centers()

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
        after_epoch=after_epoch,
        kept=kept,
    )
    with atomic_directory(epochs) as folder:
        for path in unfinished.glob("*.safetensors"):
            shutil.copy2(path, folder)
    save_classifier(output, trained(model.state_dict()), metadata)
    shutil.rmtree(unfinished, ignore_errors=True)
    _warn_of_guessing(Path(log), matrix)


def guessing_loss(labels: Tensor) -> float:
    """Return the least loss of a classifier that gives all images the same scores.

    Each class then has the probability with which it occurs in `labels`, (N, C), 0 or 1: the mean
    over classes of the entropy.
    """
    often = labels.float().mean(dim=0)
    return (torch.special.entr(often) + torch.special.entr(1 - often)).mean().item()


def _warn_of_guessing(log: Path, labels: Tensor) -> None:
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    last = lines[-max(1, len(lines) // 10) :]
    reached = sum(line["cls_in"] for line in last) / len(last)
    guessing = guessing_loss(labels)
    if reached >= guessing:
        logger.warning(
            "This classifier has learned nothing: in its last iterations the classification loss "
            "is %.3f, and %.3f if only told how often each class occurs. Lower training.lr, or "
            "train it longer.",
            reached,
            guessing,
        )


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


def freeze_first_stages(backbone: Backbone, trained: int) -> None:
    """Leave only the `trained` last stages of a backbone to learn, of any kind of network.

    What the map before these stages depends on is frozen.
    """
    frozen = len(backbone.stage_channels) - trained
    if frozen <= 0:
        return
    training = backbone.training
    backbone.eval()  # where no gradient is stopped on its way
    before = backbone.stages(torch.zeros(1, 3, 64, 64))[frozen - 1]
    parameters = backbone.parameters_to_train()
    gradients = torch.autograd.grad(before.sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.requires_grad_(gradient is None)
    backbone.train(training)


def resize_head(model: CamClassifier, classes: int) -> None:
    """Give the head `classes` outputs: the first keep their weights, new ones start from zero."""
    old = model.head
    if old.out_channels == classes:
        return
    model.head = nn.Conv2d(old.in_channels, classes, 1, bias=False)
    shared = min(classes, old.out_channels)
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.weight[:shared] = old.weight[:shared]


def _read_centers(path: str | Path | None) -> dict[str, Tensor] | None:
    if path is None:
        return None
    tensors, _ = load_tensors(path)
    device = find_device()
    return {name: tensors[name].to(device) for name in ("in", "ood")}
