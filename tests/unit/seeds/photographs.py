"""Five photographs of two sizes, their labels, and a classifier of the light network."""

import numpy as np
import pandas as pd
import torch
from PIL import Image

from wood.data.labels import write_labels
from wood.data.lists import write_image_list
from wood.models.classifiers import build_classifier, save_classifier

CLASSES = ["cat", "dog", "person"]
SIZES = {"a": (64, 48), "b": (64, 48), "c": (50, 67), "d": (64, 48), "e": (50, 67)}  # width, height
LABELS = {"a": [1, 0, 1], "b": [0, 1, 0], "c": [0, 0, 0], "d": [1, 1, 1], "e": [0, 0, 1]}


def write_photographs(folder):
    """Write the photographs with their labels, and an untrained classifier."""
    rng = np.random.default_rng(0)
    for image_id, (width, height) in SIZES.items():
        pixels = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        pixels.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{image_id}.png")
    paths = [str(folder / f"{image_id}.png") for image_id in SIZES]
    images = pd.DataFrame({"image_id": list(SIZES), "path": paths})
    write_image_list(folder / "images.csv", images)
    table = pd.DataFrame.from_dict(LABELS, "index", bool, CLASSES).rename_axis("image_id")
    write_labels(folder / "labels.parquet", table)
    torch.manual_seed(0)
    model = build_classifier("tf_efficientnet_lite0", CLASSES, 16, "package")
    metadata = {
        "backbone": "tf_efficientnet_lite0",
        "output_stride": 16,
        "class_names": CLASSES,
    }
    save_classifier(folder / "model.safetensors", model, metadata)
