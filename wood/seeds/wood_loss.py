"""The loss of a classifier: Eq. 3 and 4, with what watches over it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from wood.models.cam import CamClassifier
from wood.ood.losses import classification_loss, distance_loss, ood_losses, position_losses
from wood.ood.perturbation import climb
from wood.runtime.errors import InputError
from wood.training import Batch

# L_d has no lower bound. When its push outweighs the classification loss and the features are so
# many times farther from the nearest OoD clusters than when the training began, they run away.
RUNAWAY_GROWTH = 2


class WoodLoss:
    """Eq. 4: L = L_cls + lambda * L_d, with the terms that `wood["losses"]` names.

    Args:
        wood: settings, as `wood` in config.yaml; or None for F_in and the control.
        centers: "in" (C, D) and "ood" (K, D); needed for the dist terms, read anew at each batch.
        class_names: C foreground classes; needed for `leave_out`.
    """

    def __init__(
        self,
        wood: Mapping[str, Any] | None,
        centers: Mapping[str, Tensor] | None,
        class_names: Sequence[str] = (),
    ):
        self.wood = wood
        self.centers = centers
        self.distance_terms = [
            name for name in ("in", "ood") if wood and f"dist_{name}" in wood["losses"]
        ]
        self.classifies_ood = bool(wood) and "cls_ood" in wood["losses"]
        self.background_class = self.classifies_ood and wood["target"] == "background"
        self.tells_positions = self.classifies_ood and wood["position_weight"] > 0
        self.classes = len(class_names) or None
        self.left_out = [
            number for number, name in enumerate(class_names) if wood and name in wood["leave_out"]
        ]

    def __call__(
        self, model: CamClassifier, batch: Batch, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        del progress
        images, labels = batch["image"], batch["labels"]
        count = len(labels)
        together = self.classifies_ood and not self.tells_positions
        if together:
            images = torch.cat([images, self.ood_images(model, batch)])
        logits, features = model(images)
        outside = (logits[count:], None) if together else self.ood_scores(model, batch)
        return self.combine(logits[:count], features[:count], labels, *outside)

    def ood_scores(self, model: CamClassifier, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """Return the logits (B', C) of OoD images, and the head at every position of them."""
        if not self.classifies_ood:
            return None, None
        images = self.ood_images(model, batch)
        return model.scores_and_maps(images) if self.tells_positions else (model(images)[0], None)

    def combine(
        self,
        logits: Tensor,
        features: Tensor,
        labels: Tensor,
        logits_ood: Tensor | None = None,
        maps_ood: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and its terms.

        Args:
            logits, features, labels: of D_in, (B, C), (B, D) and (B, C).
            logits_ood: (B', C), with `cls_ood`.
            maps_ood: (B', C, h, w), with `position_weight`.
        """
        logits, features = logits.float(), features.float()
        targets = pad(labels, (0, 1)) if self.background_class else labels
        loss = classification_loss(logits, targets)
        terms = {"cls_in": loss, "feature_norm": features.norm(dim=1).mean()}
        if logits_ood is not None:
            logits_ood = logits_ood.float()
            losses = ood_losses(logits_ood, self.wood["target"])
            terms["cls_ood"] = self.ood_average(losses, logits_ood, len(labels))
            loss = loss + self.wood["ood_weight"] * terms["cls_ood"]
        if maps_ood is not None:
            losses = position_losses(maps_ood.float())
            terms["positions_ood"] = self.ood_average(losses, logits_ood, len(labels))
            loss = loss + self.wood["position_weight"] * terms["positions_ood"]
        for name in self.distance_terms:
            terms[f"dist_{name}"] = self.distance_term(features, labels, name)
            loss = loss + self.wood["distance_weight"] * terms[f"dist_{name}"]
        return loss, terms

    def ood_images(self, model: nn.Module, batch: Batch) -> Tensor:
        """The OoD images of a batch, made harder where `perturbation` says so."""
        images, step = batch["ood"]["image"], self.wood["perturbation"]
        return climb(model, images, step, self.classes) if step else images

    def ood_average(self, losses: Tensor, logits: Tensor, in_batch: int) -> Tensor:
        """Average the losses (B',) of OoD images with logits (B', C), beside `in_batch` of D_in."""
        if self.left_out:
            hardest_for = logits[:, : self.classes].argmax(dim=1)
            left_out = torch.tensor(self.left_out, device=logits.device)
            losses = losses * ~torch.isin(hardest_for, left_out)
        return losses.sum() / (in_batch if self.wood["ood_average"] == "in" else len(losses))

    def distance_term(self, features: Tensor, labels: Tensor, term: str) -> Tensor:
        """One of the two sums of Eq. 2, "in" or "ood"."""
        return distance_loss(
            features,
            labels,
            self.centers["in"],
            self.centers["ood"],
            self.wood["top_fraction"],
            terms=(term,),
            normalize=self.wood["normalize"],
            selection=self.wood["selection"],
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
        outweighs = -self.wood["distance_weight"] * line["dist_ood"] > line["cls_in"]
        if outweighs and line["dist_ood"] < RUNAWAY_GROWTH * first["dist_ood"]:
            # The features of a broken F_in are all the same, at no distance from the clusters.
            growth = line["dist_ood"] / first["dist_ood"] if first["dist_ood"] else float("inf")
            raise InputError(
                f"L_d runs away: at iteration {line['iteration']} its OoD term outweighs the "
                "classification loss, and the nearest OoD clusters are "
                f"{growth:.1f} times as far as at the beginning ({line['dist_ood']:.3g}, "
                f"cls_in {line['cls_in']:.3g}, feature norm "
                f"{line['feature_norm']:.3g}, at first {first['feature_norm']:.3g}). L_d has no "
                "lower bound: lower wood.distance_weight, or set wood.normalize: clusters."
            )
