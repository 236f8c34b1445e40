"""Features of the candidates by F_in, kept while scoring; read without PyTorch."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from wood.runtime.errors import InputError
from wood.runtime.store import content_of, load_tensors


def read_features(paths: Iterable[str | Path], image_ids: Sequence[str]) -> np.ndarray:
    """Return the features (N, D) float32 of these images, from what `score_images` wrote.

    Raises:
        InputError: an image has none, or a file holds no features.
    """
    found: dict[str, np.ndarray] = {}
    wanted = set(image_ids)
    for path in paths:
        tensors, metadata = load_tensors(path, "np")
        with content_of(path, "features of images"):
            pairs = zip(metadata["image_ids"], tensors["features"], strict=True)
            found |= {image_id: row for image_id, row in pairs if image_id in wanted}
    if missing := wanted - found.keys():
        raise InputError(f"{min(missing)}: no features of this image are in the score files.")
    return np.stack([found[image_id] for image_id in image_ids]).astype(np.float32)
