"""What `snakemake browse` shows, with a real MongoDB and FiftyOne, the App left out."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import torch
from PIL import Image

from wood.data.lists import write_image_list
from wood.data.masks import save_mask
from wood.maps import LocalizationMaps, write_maps

SCRIPT = """
import json, sys
from wood.review.browse import browse
arguments = json.load(open("arguments.json"))
browse(**arguments)
browse(**arguments)  # once more, over what is there
from wood.review.database import disconnect
import fiftyone as fo
dataset = fo.load_dataset("mini-irn")
shown = []
for sample in dataset:
    masks = {
        name: sample[name] and sorted({int(value) for value in sample[name].mask.flat})
        for name in ("seed", "ir_label", "mask", "truth")
    }
    boundary = sample.boundary and list(sample.boundary.map.shape)
    labels = [one.label for one in sample.labels.classifications]
    shown.append([sample.image_id, labels, boundary, masks])
print(json.dumps({"targets": dataset.default_mask_targets, "shown": shown}))
disconnect()
"""


def test_every_layer_of_every_image_is_shown(tmp_path):
    size = (24, 40)
    rows, maps = [], []
    for image_id, classes in (("a", (1,)), ("b", ())):
        Image.new("RGB", size[::-1]).save(tmp_path / f"{image_id}.png")
        rows.append((image_id, str(tmp_path / f"{image_id}.png")))
        grid = torch.zeros(len(classes), 6, 10)
        grid[:, 2:4, 2:6] = 1
        maps.append(LocalizationMaps(image_id, size, torch.tensor(classes).long(), grid.half()))
    write_image_list(tmp_path / "train.csv", pd.DataFrame(rows, columns=["image_id", "path"]))
    write_maps(tmp_path / "0.safetensors", maps, class_names=("cat", "dog"), source="test")
    values = np.zeros(size, np.uint8)
    values[:, 20:] = 2
    save_mask(tmp_path / "masks" / "a.png", values)
    save_mask(tmp_path / "labels" / "a.png", np.where(values, values, 255).astype(np.uint8))
    # True masks have the values of VOC's list: dog is 12 there, person 15.
    save_mask(tmp_path / "truth" / "a.png", np.where(values, 12, 15).astype(np.uint8))
    (tmp_path / "edges").mkdir()
    Image.fromarray(np.zeros((6, 10), np.uint8)).save(tmp_path / "edges" / "a.png")
    arguments = {
        "experiments": {
            "irn": {
                "maps": [str(tmp_path / "0.safetensors")],
                "ir_labels": [str(tmp_path / "labels")],
                "boundaries": [str(tmp_path / "edges")],
                "masks": str(tmp_path / "masks"),
                "threshold": 0.5,
            }
        },
        "images": str(tmp_path / "train.csv"),
        "truth": str(tmp_path / "truth"),
        "class_names": ["cat", "dog"],
        "dataset": "mini",
        "database": str(tmp_path / "database"),
        "wait": False,
    }
    (tmp_path / "arguments.json").write_text(json.dumps(arguments))
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "FIFTYONE_DO_NOT_TRACK": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True,
        text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    names = {"0": "background", "1": "cat", "2": "dog", "255": "uncertain"}
    assert found["targets"] == names
    assert found["shown"] == [
        ["a", ["dog"], [6, 10], {"seed": [0, 2], "ir_label": [2, 255], "mask": [0, 2],
                                 "truth": [0, 2]}],
        ["b", [], None, {"seed": [0], "ir_label": None, "mask": None, "truth": None}],
    ]  # fmt: skip
