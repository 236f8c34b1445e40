"""Dense conditional random field (Krähenbühl and Koltun, 2011), by pydensecrf."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# IRN, cam_to_ir_label: one Gaussian and one bilateral kernel; positions in pixels, colours 0..255.
IR_LABEL_CRF = {
    "iterations": 10,
    "gt_prob": 0.7,
    "gaussian": {"sxy": 3, "compat": 3},
    "bilateral": {"sxy": 50, "srgb": 5, "compat": 10},
}

# DeepLab-v2, as in kazuto1011/deeplab-pytorch.
DEEPLAB_CRF = {
    "iterations": 10,
    "gaussian": {"sxy": 1, "compat": 3},
    "bilateral": {"sxy": 67, "srgb": 3, "compat": 4},
}

# Below this probability a label has the same, finite energy.
LOWEST_PROBABILITY = 1e-5


def refine(
    image: np.ndarray,
    scores: np.ndarray,
    *,
    parameters: Mapping[str, Any],
) -> np.ndarray:
    """Refine label scores to agree with the edges of an image.

    Args:
        image: (H, W, 3) uint8 RGB.
        scores: (L, H, W) probabilities that sum to 1 over the labels; or (H, W) integer labels
            0..L-1, L the largest + 1, each of which is taken to be right with probability
            `gt_prob`, the others sharing the rest.
        parameters: `iterations`; `gaussian` with `sxy` (pixels) and `compat`; `bilateral` with
            `sxy`, `srgb` and `compat`; for integer labels `gt_prob` in (0, 1).

    Returns:
        (L, H, W) float32 probabilities. Where there is but one label nothing is computed: it has
        probability 1 everywhere.

    Raises:
        ValueError: shapes that do not belong together, or scores that are not finite.
    """
    [refined] = refine_each(image, [scores], parameters=parameters)
    return refined


def refine_each(
    image: np.ndarray,
    several: Sequence[np.ndarray],
    *,
    parameters: Mapping[str, Any],
    num_labels: int | None = None,
) -> list[np.ndarray]:
    """Refine several scores of one image, each as `refine` does; its kernels are computed once.

    `num_labels`: L for integer labels, if labels without a pixel are to count.

    Raises:
        ValueError: as `refine`, or scores that are not all of one number of labels.
    """
    energies = [_energy(image, np.asarray(scores), parameters, num_labels) for scores in several]
    labels = len(energies[0])
    if any(len(energy) != labels for energy in energies):
        raise ValueError("scores of different numbers of labels have no field in common")
    height, width = image.shape[:2]
    if labels == 1:
        return [np.ones((1, height, width), np.float32) for _ in energies]
    from pydensecrf.densecrf import DenseCRF2D

    field = DenseCRF2D(width, height, labels)
    field.addPairwiseGaussian(**parameters["gaussian"])
    # A copy: pydensecrf takes no read-only arrays, such as Pillow's.
    pixels = np.array(image, dtype=np.uint8, order="C")
    field.addPairwiseBilateral(rgbim=pixels, **parameters["bilateral"])
    refined = []
    for energy in energies:
        flat = np.ascontiguousarray(energy.reshape(labels, -1), dtype=np.float32)
        field.setUnaryEnergy(flat)
        probabilities = np.array(field.inference(parameters["iterations"]), dtype=np.float32)
        refined.append(probabilities.reshape(labels, height, width))
    return refined


def _energy(
    image: np.ndarray, scores: np.ndarray, parameters: Mapping[str, Any], num_labels: int | None
) -> np.ndarray:
    """Return the (L, H, W) energies of the scores that `refine` takes; (1, H, W) for one label."""
    height, width = scores.shape[-2:]
    if image.shape != (height, width, 3) or scores.ndim not in (2, 3):
        raise ValueError(
            f"an image {image.shape} and scores {scores.shape} do not belong together: "
            "(H, W, 3) and (L, H, W) or (H, W) are expected"
        )
    if scores.ndim == 3:
        if not np.isfinite(scores).all():
            raise ValueError("the scores hold a value that is not finite")
        return -np.log(np.clip(scores, LOWEST_PROBABILITY, 1))
    labels = int(scores.max()) + 1 if num_labels is None else num_labels
    if scores.min() < 0 or scores.max() >= labels:
        raise ValueError(f"labels {scores.min()}..{scores.max()} are outside 0..{labels - 1}")
    if labels == 1:
        return np.zeros((1, height, width))
    return energy_of_labels(scores, labels, parameters["gt_prob"])


def energy_of_labels(labels: np.ndarray, num_labels: int, gt_prob: float) -> np.ndarray:
    """Return the (L, H, W) energies, minus log probability, of (H, W) integer labels."""
    energy = np.full((num_labels, *labels.shape), -np.log((1 - gt_prob) / (num_labels - 1)))
    np.put_along_axis(energy, labels[None].astype(np.int64), -np.log(gt_prob), axis=0)
    return energy
