"""Trainings with OoD images on a network of a few kilobytes."""

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from tests.places import ROOT
from wood.data.labels import write_labels
from wood.data.lists import write_image_list
from wood.ood.centers import make_centers
from wood.seeds.classifier import train_classifier
from wood.seeds.features import extract_features
from wood.workflow import resolve as settings

CLASSES = ["cat", "dog"]
WHOLE = {"long_side": 40, "max_batch_pixels": 10_000, "max_failed_fraction": 0.0}
SMALL = {
    "backbone": "test_resnet",
    "weights": None,
    "long_side": [32, 48],
    "crop": 32,
    "training": {"epochs": 2, "batch_size": 4, "workers": 0, "lr": 0.01},
}
OOD = {"clusters": 3, "batch_size": 2, "distance_weight": 0.001, "normalize": "sum"}


def write_data(folder):
    """Write eight images of two classes, six OoD images, and F_in trained on the former."""
    rng = np.random.default_rng(0)
    for name, count in (("train", 8), ("ood", 6)):
        ids = [f"{name}{number}" for number in range(count)]
        paths = [str(folder / f"{image_id}.png") for image_id in ids]
        for number, path in enumerate(paths):
            side = 30 if number else 20
            pixels = rng.integers(0, 255, (side, 40 if number else 20, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        table = pd.DataFrame({"image_id": ids, "path": paths, "class": "cat"})
        write_image_list(folder / f"{name}.csv", table)
    labels = [(number % 2 == 0, number % 3 == 0) for number in range(8)]
    index = [f"train{number}" for number in range(8)]
    write_labels(folder / "labels.parquet", pd.DataFrame(labels, index=index, columns=CLASSES))
    train(folder, folder / "cam")
    for domain, listed in (("in", "train"), ("ood", "ood")):
        weights = folder / "cam" / "model.safetensors"
        extract_features(folder / f"{listed}.csv", weights, folder / f"{domain}.features", **WHOLE)


def resolved(ood=None, **changes):
    """The settings of a classifier as the configuration resolves them."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    own = "none" if ood is None else {**OOD, **ood}
    config["classifiers"]["x"] = settings.merge({**SMALL, "wood": own}, changes)
    return settings.classifier(config, "x")


def train(folder, output, ood=None, max_failed_fraction=0.0, **changes):
    """Train one classifier, W-OoD from F_in; returns its settings."""
    chosen = resolved(ood, **changes)
    started = {}
    if ood is not None:
        started = {"init": folder / "cam" / "model.safetensors", "ood_list": folder / "ood.csv"}
        if settings.uses_distance(chosen):
            started["centers"] = output / "centers.safetensors"
            centers(folder, started["centers"], chosen)
    train_classifier(
        images=folder / "train.csv",
        labels=folder / "labels.parquet",
        output=output / "model.safetensors",
        log=output / "log.jsonl",
        epochs=output / "epochs",
        settings=chosen,
        class_names=CLASSES,
        seed=1,
        checkpoint=output / ".model.checkpoint",
        whole_images=WHOLE,
        max_failed_fraction=max_failed_fraction,
        **started,
    )
    return chosen


def centers(folder, output, chosen):
    make_centers(
        folder / "train.csv", folder / "labels.parquet", folder / "ood.csv",
        folder / "in.features", folder / "ood.features", output,
        wood=chosen["wood"], data=chosen["data"], seed=1,
    )  # fmt: skip
