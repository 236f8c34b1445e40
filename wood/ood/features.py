"""Features of the candidates by F_in, kept while scoring; read without PyTorch."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors


def read_features(paths: Iterable[str | Path], image_ids: Sequence[str]) -> np.ndarray:
    """Return the features (N, D) float32 of these images, from what `score_images` wrote.

    Raises:
        InputError: an image has none, or a file holds no features.
    """
    found: dict[str, np.ndarray] = {}
    wanted = set(image_ids)
    for path in paths:
        tensors, metadata = load_tensors(path, "np")
        if "features" not in tensors or len(metadata.get("image_ids", [])) != len(
            tensors["features"]
        ):
            raise InputError(f"{path}: this file holds no features of images.")
        rows = tensors["features"]
        ids = enumerate(metadata["image_ids"])
        found |= {image_id: rows[row] for row, image_id in ids if image_id in wanted}
    if missing := wanted - found.keys():
        raise InputError(f"{min(missing)}: no features of this image are in the score files.")
    return np.stack([found[image_id] for image_id in image_ids]).astype(np.float32)
