"""Heatmaps of candidates, made when they are asked for: where F_in sees the predicted class."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from wood.maps import read_maps
from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors

LONG_SIDE = 320  # pixels that the classifier sees, and of the picture that is shown
THRESHOLD = 0.4  # of the map's maximum; below it the photograph stays as it is
COLOR = (255, 31, 107)
OPACITY = 150  # of 255


def read_cams(paths: Iterable[str | Path], predicted: dict[str, str]) -> dict[str, np.ndarray]:
    """Return each candidate's map of its predicted class, (h, w) uint8, from shards of maps."""
    cams = {}
    for path in paths:
        names = load_tensors(path)[1].get("classes", [])
        for image in read_maps(path):
            name = predicted.get(image.image_id)
            for index, localization in zip(image.classes.tolist(), image.maps, strict=True):
                if names[index] == name:
                    cams[image.image_id] = (localization.float() * 255).byte().numpy()
    return cams


class Heatmaps:
    """Maps of the candidates' predicted classes, from shards of maps or else by the classifier."""

    def __init__(
        self, maps: Sequence[str | Path], classifier: str | Path | None, predicted: dict[str, str]
    ):
        self.predicted = predicted
        self.classifier = classifier
        self.cams = read_cams(maps, predicted)
        self.model: Any = None

    def of(self, image_id: str, path: str | Path) -> np.ndarray | None:
        """Return the map (h, w) uint8, its maximum 255; None where nothing makes one.

        Raises:
            InputError: the photograph or the classifier cannot be read, or the classifier does not
                know the predicted class.
        """
        if image_id not in self.cams and self.classifier is not None:
            self.cams[image_id] = self._make(path, self.predicted[image_id])
        return self.cams.get(image_id)

    def _make(self, path: str | Path, name: str) -> np.ndarray:
        import torch

        from wood.models.classifiers import load_to_predict
        from wood.ood.scoring import load_resized

        if self.model is None:
            self.model, metadata = load_to_predict(self.classifier, torch.device("cpu"))
            self.names = metadata["class_names"]
        if name not in self.names:
            raise InputError(
                f"{self.classifier}: this classifier does not know the class {name!r}."
            )
        backbone = self.model.backbone
        mean, std = (
            torch.as_tensor(values).view(3, 1, 1) * 255 for values in (backbone.mean, backbone.std)
        )
        with torch.inference_mode():
            pixels = (load_resized(path, LONG_SIDE) - mean) / std
            cam = self.model.activation_maps(pixels[None])[0, self.names.index(name)].clamp(min=0)
            return (cam / cam.max().clamp(min=1e-6) * 255).byte().numpy()


def as_png(cam: np.ndarray) -> str:
    """Return a map as the address (`data:`) of a picture to lie over the photograph.

    It is clear below `THRESHOLD`.
    """
    side = LONG_SIDE / max(cam.shape)
    size = (round(cam.shape[1] * side), round(cam.shape[0] * side))
    values = np.asarray(Image.fromarray(cam).resize(size, Image.Resampling.BILINEAR))
    picture = np.zeros((*values.shape, 4), np.uint8)
    picture[..., :3] = COLOR
    picture[..., 3] = np.where(values >= THRESHOLD * 255, OPACITY, 0)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
