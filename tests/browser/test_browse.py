"""What `snakemake browse` shows, with a real MongoDB and FiftyOne, and its page in Chromium."""

import json
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.browser.review_page import ReviewPage, chromium, free_port, until
from wood.data.lists import write_image_list
from wood.data.masks import save_mask
from wood.maps import LocalizationMaps, write_maps
from wood.review.browse import image_iou

SCRIPT = """
import json, sys
from wood.review.browse import browse
arguments = json.load(open("arguments.json"))
browse(**arguments)
import fiftyone as fo
from fiftyone.core.odm import get_db_conn
dataset = fo.load_dataset("mini")
shown = []
for sample in dataset:
    masks = {
        name: sample[name] and sorted({int(value) for value in sample[name].mask.flat})
        for name in ("seed_irn", "ir_label_irn", "mask_irn", "mask_irn_2_0", "truth")
    }
    boundary = sample.boundary_irn and list(sample.boundary_irn.map.shape)
    labels = [one.label for one in sample.labels.classifications]
    shown.append([sample.image_id, labels, boundary, masks, sample.iou_irn, sample.iou_irn_2_0])
print(json.dumps({
    "targets": dataset.default_mask_targets,
    "colors": [c["color"] for c in dataset.app_config.color_scheme.default_mask_targets_colors],
    "views": dataset.list_saved_views(),
    "gains": dataset.load_saved_view("irn-2.0 gains on irn").values("image_id"),
    "evaluations": dataset.list_evaluations(),
    "shown": shown,
}))
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
            },
        },
        "images": str(tmp_path / "train.csv"),
        "truth": str(tmp_path / "truth"),
        "class_names": ["cat", "dog"],
        "dataset": "mini",
        "database": str(tmp_path / "database"),
        "wait": False,
    }
    worse = np.where(np.arange(40) < 30, 0, 2).astype(np.uint8)
    save_mask(tmp_path / "worse" / "a.png", np.broadcast_to(worse, size).copy())
    first = arguments["experiments"]["irn"]
    arguments["experiments"]["irn-2.0"] = first | {"masks": str(tmp_path / "worse")}
    (tmp_path / "arguments.json").write_text(json.dumps(arguments))
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "FIFTYONE_DO_NOT_TRACK": "1"}
    for _ in range(2):  # the second time over what is there
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    names = {"0": "background", "1": "cat", "2": "dog", "255": "uncertain"}
    assert found["targets"] == names
    assert len(set(found["colors"])) == 4
    assert found["shown"][0] == [
        *["a", ["dog"], [6, 10]],
        {
            "seed_irn": [0, 2],
            "ir_label_irn": [2, 255],
            "mask_irn": [0, 2],
            "mask_irn_2_0": [0, 2],
            "truth": [0, 2],
        },
        *[1.0, pytest.approx((20 / 30 + 10 / 20) / 2)],
    ]
    nothing = dict.fromkeys(found["shown"][0][3])
    assert found["shown"][1] == ["b", [], None, nothing | {"seed_irn": [0]}, None, None]
    assert set(found["views"]) == {
        *["worst irn", "worst irn-2.0", "irn-2.0 gains on irn", "irn-2.0 loses to irn"]
    }
    assert found["gains"] == ["a"]
    assert found["evaluations"] == ["evaluation_irn", "evaluation_irn_2_0"]
    open_page(tmp_path, arguments | {"wait": True, "port": free_port()}, environment)


def open_page(folder, arguments, environment):
    """The page shows the photographs, and Ctrl-C ends the command in order."""
    (folder / "arguments.json").write_text(json.dumps(arguments))
    log = folder / "browse.log"
    command = [sys.executable, "-c", SCRIPT[: SCRIPT.index("import fiftyone")]]
    with log.open("w") as output:
        shown = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        address = until(lambda: re.search(r"The App is at ([^;]+);", log.read_text()), "the App")
        with chromium() as driver:
            driver.get(address.group(1))
            until(lambda: len(ReviewPage(driver).thumbnails()) == 2, "both photographs")
        shown.send_signal(signal.SIGINT)
        assert shown.wait(timeout=60) == 0, log.read_text()
    finally:
        shown.kill()


def test_uncertain_pixels_of_a_mask_are_wrong_and_those_of_the_truth_do_not_count():
    truth = np.array([[0, 1, 1, 255]])
    assert image_iou(truth, np.array([[0, 1, 255, 2]])) == pytest.approx((1 + 1 / 2) / 2)
    assert image_iou(np.array([[255]]), np.array([[1]])) == 0
