"""Training of the classifiers: F_in, W-OoD (Sec. 3.2), and the control without OoD images."""

import copy
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from wood.data.labels import label_matrix, read_labels
from wood.data.photographs import Photographs, readable_rows
from wood.data.transforms import Augmentation, Normalization
from wood.models.backbone import freeze_first_stages
from wood.models.cam import CamClassifier, resize_head
from wood.models.classifiers import build_classifier, load_classifier, save_classifier
from wood.models.published import published_classifier
from wood.ood.centers import find_centers
from wood.ood.images import in_images, ood_images
from wood.runtime.devices import find_device
from wood.runtime.errors import InputError
from wood.runtime.jobs import kept_epochs
from wood.runtime.processes import rank
from wood.runtime.store import atomic_directory, content_of, load_tensors, write_text
from wood.seeds.features import image_features
from wood.seeds.seam import SeamLoss
from wood.seeds.wood_loss import WoodLoss
from wood.training import Training

logger = logging.getLogger(__name__)

# What an architecture adds to the loss of whole images: (loss, settings) -> loss. Those that are
# not here add nothing.
LOSSES = {"seam": lambda loss, settings: SeamLoss(loss, settings["view_scale"])}

KEPT_SETTINGS = ("architecture", "backbone", "output_stride", "detach_stages")


def train_classifier(**arguments: Any) -> None:
    """Train one classifier; the arguments are those of `ClassifierTraining`."""
    ClassifierTraining(**arguments).run()


def use_published(
    weights: str | Path,
    architecture: str,
    class_names: Sequence[str],
    *,
    output: str | Path,
    log: str | Path,
    epochs: str | Path,
) -> None:
    """Write published weights as what a training would have made, with nothing trained.

    Args:
        weights: a file of the published code of IRN, AdvCAM, W-OoD or SEAM.
        architecture: one of `wood.models.published.CLASSIFIERS`.
        class_names: C foreground classes.
        output, log, epochs: see `ClassifierTraining`; log and folder are empty.

    Raises:
        InputError: the weights do not fit.
    """
    save_classifier(output, *published_classifier(weights, architecture, class_names))
    write_text(log, "")
    with atomic_directory(epochs):
        pass


@dataclass(kw_only=True)
class ClassifierTraining:
    """The training of one classifier on image-level labels, from files to files.

    Attributes:
        images: image list of D_in.
        labels: image-level labels of D_in.
        output: the weights, safetensors.
        log: the training curve, JSON lines.
        epochs: folder for the weights after each epoch, `epoch-<n>.safetensors`; it stays empty
            unless the settings say `keep_epochs`.
        settings: the classifier's resolved configuration (`classifier` in config.yaml).
        class_names: C foreground classes.
        seed: of everything random.
        checkpoint: where an unfinished training is kept.
        init: weights to start from, instead of the backbone's ImageNet weights.
        ood_list: image list of D_ood; needed for cls_ood, and to refresh the centres.
        centers: what `make_centers` wrote; needed for dist_in and dist_ood.
        whole_images: how `image_features` takes whole images (long_side, max_batch_pixels,
            max_failed_fraction); needed to refresh the centres.
        max_failed_fraction: share of unreadable images, of D_in and of D_ood, that are left out.
    """

    images: str | Path
    labels: str | Path
    output: str | Path
    log: str | Path
    epochs: str | Path
    settings: Mapping[str, Any]
    class_names: Sequence[str]
    seed: int
    checkpoint: str | Path
    init: str | Path | None = None
    ood_list: str | Path | None = None
    centers: str | Path | None = None
    whole_images: Mapping[str, Any] | None = None
    max_failed_fraction: float = 0.0

    def run(self) -> None:
        """Train, and write the weights, the curve and what is kept of the epochs.

        Raises:
            InputError: bad images, labels or settings, or a loss that runs away.
        """
        torch.manual_seed(self.seed)
        self.model, self.metadata = starting_point(self.settings, self.class_names, self.init)
        self.wood = self.settings["wood"]
        self.kept_centers = _read_centers(self.centers)
        self.loss = WoodLoss(self.wood, self.kept_centers, self.class_names)
        if self.loss.background_class:
            resize_head(self.model, len(self.class_names) + 1)
        if self.wood and self.wood["trained_stages"]:
            freeze_first_stages(self.model.backbone, self.wood["trained_stages"])
        self._read_data()
        self.unfinished = kept_epochs(self.checkpoint)
        training = self._training()
        training.run()
        self._write()
        training.remove_checkpoint()  # before the epochs: who goes on from it needs them
        shutil.rmtree(self.unfinished, ignore_errors=True)
        _warn_of_guessing(training.curve.lines, self.matrix)

    def _read_data(self) -> None:
        """Read the lists and labels: D_in, its (N, C) labels, and D_ood, of what is readable."""
        data = self.settings["data"]
        self.known = read_labels(self.labels)
        if list(self.known.columns) != list(self.class_names):
            raise InputError(f"{self.labels}: the classes are not those of the configuration.")
        self.inside = readable_rows(in_images(self.images, data), self.max_failed_fraction)
        self.matrix = label_matrix(self.known, list(self.inside["image_id"]), self.labels)
        self.outside = None
        if self.wood:
            outside = ood_images(self.ood_list, self.wood, data)
            self.outside = readable_rows(outside, self.max_failed_fraction)

    def _training(self) -> Training:
        add = LOSSES.get(self.settings["architecture"])
        extra = None
        if self.loss.classifies_ood:
            nothing = torch.zeros(len(self.outside), len(self.class_names))
            extra = {"ood": (self._photographs(self.outside, nothing), self.wood["batch_size"])}
        return Training(
            model=self.model,
            dataset=self._photographs(self.inside, self.matrix),
            loss=add(self.loss, self.settings) if add else self.loss,
            groups=self.model.parameter_groups(self.settings["training"]["head_lr_scale"]),
            settings=self.settings["training"],
            seed=self.seed,
            checkpoint=self.checkpoint,
            log=self.log,
            extra=extra,
            watch=self.loss.watch,
            after_epoch=self._after_epoch,
            kept=self.kept_centers,
        )

    def _photographs(self, listed: pd.DataFrame, labels: Tensor) -> Photographs:
        augmentation = make_augmentation(self.settings)
        normalization = Normalization(self.model.backbone.mean, self.model.backbone.std)
        return Photographs(list(listed["path"]), labels, augmentation, normalization)

    def _after_epoch(self, epoch: int, weights: Mapping[str, Tensor]) -> None:
        if self.settings["keep_epochs"] and rank() == 0:
            path = self.unfinished / f"epoch-{epoch}.safetensors"
            save_classifier(path, self._trained(weights), self.metadata)
        every = self.wood["refresh_epochs"] if self.loss.distance_terms else None
        if every and epoch % every == 0:
            self._refresh_centers()

    def _refresh_centers(self) -> None:
        """Find the centres anew, by the features of the classifier as it is now."""
        self.model.eval()
        found_in = image_features(self.model, self.inside, **self.whole_images)
        found_ood = image_features(self.model, self.outside, **self.whole_images)
        present = label_matrix(self.known, found_in[0], self.labels)
        scores = found_ood[2][:, : len(self.class_names)]
        fresh, _ = find_centers(found_in[1], present, found_ood[1], scores, self.wood, self.seed)
        kept = self.kept_centers
        kept.update({name: value.to(kept[name]) for name, value in fresh.items()})

    def _trained(self, weights: Mapping[str, Tensor]) -> CamClassifier:
        """The classifier with these weights, with the foreground classes alone."""
        result = copy.deepcopy(self.model)
        result.load_state_dict(weights)
        resize_head(result, len(self.class_names))
        return result

    def _write(self) -> None:
        with atomic_directory(self.epochs) as folder:
            for path in self.unfinished.glob("*.safetensors"):
                shutil.copy2(path, folder)
        save_classifier(self.output, self._trained(self.model.state_dict()), self.metadata)


def make_augmentation(settings: Mapping[str, Any]) -> Augmentation:
    """Return the augmentation that a classifier's settings describe."""
    return Augmentation(
        tuple(settings["long_side"]),
        settings["crop"],
        tuple(settings["resolution"]) if settings["resolution"] else None,
        tuple(settings["color_jitter"]) if settings["color_jitter"] else None,
    )


def guessing_loss(labels: Tensor) -> float:
    """Return the least loss of a classifier that gives all images the same scores.

    Each class then has the probability with which it occurs in `labels`, (N, C), 0 or 1: the mean
    over classes of the entropy.
    """
    often = labels.float().mean(dim=0)
    return (torch.special.entr(often) + torch.special.entr(1 - often)).mean().item()


def _warn_of_guessing(lines: Sequence[Mapping[str, float]], labels: Tensor) -> None:
    """Warn if the last tenth of the training curve is no better than guessing."""
    last = lines[-max(1, len(lines) // 10) :]
    reached = sum(line["cls_in"] for line in last) / len(last)
    guessing = guessing_loss(labels)
    if reached >= guessing:
        logger.warning(
            "This classifier has learned nothing: in its last iterations the classification loss "
            "is %.3f, and %.3f if only told how often each class occurs. Lower "
            "classifier.training.lr, or train it longer.",
            reached,
            guessing,
        )


def starting_point(
    settings: Mapping[str, Any], class_names: Sequence[str], init: str | Path | None
) -> tuple[CamClassifier, dict[str, Any]]:
    """Return the model before its training, and what `save_classifier` writes beside it."""
    if init is not None:
        model, metadata = load_classifier(init)
        if metadata["class_names"] != list(class_names):
            raise InputError(f"{init}: the classes are not those of the configuration.")
        return model, metadata
    metadata = {name: settings[name] for name in KEPT_SETTINGS} | {"class_names": list(class_names)}
    return build_classifier(**metadata, weights=settings["weights"]), metadata


def _read_centers(path: str | Path | None) -> dict[str, Tensor] | None:
    if path is None:
        return None
    tensors, _ = load_tensors(path)
    with content_of(path, "centres of clusters"):
        return {name: tensors[name].to(find_device()) for name in ("in", "ood")}
