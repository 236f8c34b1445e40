"""mIoU, precision, recall and F1 of segmentation masks, from one confusion matrix."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class SegmentationScores:
    """Counts of pixels by true and predicted class, over any number of images.

    Attributes:
        class_names: the C classes, the background first.
        confusion: (C, C) int64, pixels by target (rows) and prediction (columns).
        images: how many images were counted.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        ignore_index: int = 255,
        confusion: np.ndarray | None = None,
        images: int = 0,
    ) -> None:
        """Start empty, or from a (C, C) `confusion` matrix of so many `images`."""
        self.class_names = list(class_names)
        self.ignore_index = ignore_index
        size = (len(self.class_names), len(self.class_names))
        self.confusion = np.zeros(size, np.int64) if confusion is None else confusion.copy()
        self.images = images
        if self.confusion.shape != size:
            raise ValueError(f"a {size} confusion matrix is needed, not {self.confusion.shape}")

    def update(self, target: np.ndarray, prediction: np.ndarray | None) -> None:
        """Count one image: integer (H, W) class indices, both of one shape.

        Pixels whose target is `ignore_index` are left out. A predicted `ignore_index` counts as
        background, and so does the whole image if `prediction` is None (skipped in inference).

        Raises ValueError if the shapes differ or a value is no class index.
        """
        target = _integers(target, "target")
        if prediction is None:
            prediction = np.zeros_like(target)
        prediction = _integers(prediction, "prediction")
        if target.shape != prediction.shape:
            raise ValueError(f"target is {target.shape}, prediction {prediction.shape}")
        classes = len(self.class_names)
        counted = target != self.ignore_index
        target, prediction = target[counted], prediction[counted]
        prediction = np.where(prediction == self.ignore_index, 0, prediction)
        for name, values in (("target", target), ("prediction", prediction)):
            if values.size and not 0 <= values.min() <= values.max() < classes:
                raise ValueError(
                    f"{name} has values {values.min()}..{values.max()} for {classes} classes"
                )
        pairs = target.astype(np.int64) * classes + prediction
        self.confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        self.images += 1

    def merge(self, other: "SegmentationScores") -> None:
        """Add the counts of `other`, which must be of the same classes."""
        if self.class_names != other.class_names or self.ignore_index != other.ignore_index:
            raise ValueError("scores of different classes cannot be merged")
        self.confusion += other.confusion
        self.images += other.images

    def counts(self) -> np.ndarray:
        """Return (3, C) int64: pixels of the intersection, the target and the prediction."""
        return np.stack(
            [np.diag(self.confusion), self.confusion.sum(axis=1), self.confusion.sum(axis=0)]
        )

    def summary(self) -> dict[str, Any]:
        """Return miou, precision, recall and f1 as fractions, and each class's under per_class.

        The means run over the classes, the background included, that occur in the target or in
        the prediction; among these an empty ratio (a class never predicted has no precision)
        counts as 0. f1 is the harmonic mean of the mean precision and the mean recall, as in the
        paper's tables. A value that does not exist is None.
        """
        hits, targets, predictions = self.counts().astype(float)
        ious = hits / np.maximum(targets + predictions - hits, 1)
        precisions, recalls = hits / np.maximum(predictions, 1), hits / np.maximum(targets, 1)
        present = targets + predictions > 0
        per_class = {
            name: {
                "iou": float(ious[index]) if present[index] else None,
                "precision": float(precisions[index]) if present[index] else None,
                "recall": float(recalls[index]) if present[index] else None,
            }
            for index, name in enumerate(self.class_names)
        }
        if not present.any():
            empty = dict.fromkeys(("miou", "precision", "recall", "f1"))
            return {**empty, "per_class": per_class}
        precision, recall = float(precisions[present].mean()), float(recalls[present].mean())
        return {
            "miou": float(ious[present].mean()),
            "precision": precision,
            "recall": recall,
            "f1": harmonic_mean(precision, recall),
            "per_class": per_class,
        }


def harmonic_mean(a: float, b: float) -> float:
    """The harmonic mean of two non-negative numbers, 0 if both are 0."""
    return 2 * a * b / (a + b) if a + b > 0 else 0.0


def _integers(mask: np.ndarray, name: str) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise ValueError(f"{name} is an integer (H, W) array, not {mask.dtype} {mask.shape}")
    return mask
