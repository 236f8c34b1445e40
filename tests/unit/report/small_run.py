"""Six photographs of two classes, and everything a run makes of them but the networks."""

import json

import numpy as np
import pandas as pd
import torch
from PIL import Image

from wood.data.lists import write_image_list
from wood.data.masks import save_mask
from wood.maps import LocalizationMaps, write_maps
from wood.runtime.store import write_json
from wood.scoring.seeds import score_seeds

CLASSES = ["cat", "dog"]
SIZE = (40, 48)
REACH = {"irn": 24, "irn-more": 22, "irn-wood": 14}  # the true object reaches 12 columns


def object_mask(index, columns):
    mask = np.zeros(SIZE, np.uint8)
    mask[8:32, :columns] = index
    return mask


def make_maps(image_id, index, columns):
    heat = torch.full((1, *SIZE), 0.1)
    heat[0, 8:32, :columns] = 1
    return LocalizationMaps(image_id, SIZE, torch.tensor([index]), heat[:, ::4, ::4].half())


def write_run(root):
    """Write the files into `root`, and return what the page is made from."""
    rng = np.random.default_rng(0)
    images = {f"im{number}": number % 2 for number in range(6)}
    for image_id in images:
        pixels = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{image_id}.jpg")
    paths = [str(root / f"{image_id}.jpg") for image_id in images]
    write_image_list(root / "train.csv", pd.DataFrame({"image_id": list(images), "path": paths}))
    for image_id, index in images.items():
        save_mask(root / "truth" / f"{image_id}.png", object_mask(index + 1, 12))
    experiments = []
    for name, reach in REACH.items():
        # The last image of each class goes the other way, so that there is a loss to show.
        shift = {"im4": 24 - reach, "im5": 24 - reach}
        maps = [
            make_maps(i, index, 12 if name == "irn" and i in shift else reach + shift.get(i, 0))
            for i, index in images.items()
        ]
        shard = root / name / "maps.safetensors"
        write_maps(shard, maps, class_names=CLASSES, source=name)
        score = root / name / "seeds.json"
        score_seeds(
            [shard], root / "truth", root / "train.csv", class_names=CLASSES, threshold=0.3,
            split="train", output=score, all_classes=CLASSES,
        )  # fmt: skip
        for image_id, index in images.items():
            save_mask(root / name / "masks" / f"{image_id}.png", object_mask(index + 1, reach))
        role = {"irn": "baseline", "irn-more": "control"}.get(name, "wood")
        masks = str(root / name / "masks")
        run = {"seed": 0, "seeds": str(score), "maps": [str(shard)], "masks": masks}
        run["predictions"] = masks
        row = {"irn": "IRN", "irn-wood": "IRN + W-OoD"}
        experiments.append(
            {"name": name, "title": f"title of {name}", "role": role, "runs": [run],
             "paper": {"1": row[name]} if name in row else {}}
        )  # fmt: skip
    (root / "log.jsonl").write_text(
        "".join(json.dumps({"iteration": i, "lr": 0.1, "loss": 1 / i, "cls_in": 2 / i}) + "\n"
                for i in range(1, 20))
    )  # fmt: skip
    listed = pd.DataFrame({"image_id": ["a", "b", "c"], "class": ["cat", "cat", "dog"],
                           "license": ["CC BY 2.0"] * 3})  # fmt: skip
    listed.to_csv(root / "hard_ood.csv", index=False)
    counts = {"above_threshold": 6, "checked": 5, "accepted": 4, "rejected": 1}
    write_json(
        root / "review_stats.json",
        {"policy": "truth", "candidates": 1317, **counts, "positive_rate": 0.2, "minutes": None,
         "photographs": {"ok": 1315, "missing": 2, "failed": 0}, "seconds_per_decision": 3.0,
         "per_class": {"cat": {**counts, "positive_rate": 0.2}, "dog": {"positive_rate": None}},
         "formula": {"n": 4, "images_to_check": 5.0, "paper_n": 5190,
                     "paper_images_to_check": 6487.5},
         "disagreements": [{"image_id": "d", "accepted_by": "Ann", "rejected_by": "Bob"}]},
    )  # fmt: skip
    Image.new("RGB", (60, 40), "red").save(root / "sheet.jpg")
    return {
        "dataset": "tiny",
        "class_names": CLASSES,
        "mask_class_names": CLASSES,
        "train_images": str(root / "train.csv"),
        "val_images": str(root / "train.csv"),
        "truth": str(root / "truth"),
        "experiments": experiments,
        "logs": [{"stage": "classifier", "name": "cam", "path": str(root / "log.jsonl")}],
        "ood": {
            "hard_ood": str(root / "hard_ood.csv"),
            "review_stats": str(root / "review_stats.json"),
            "contact_sheet": str(root / "sheet.jpg"),
        },
        "config": {"ood": {"distance_weight": 0.007, "losses": ["cls_in", "dist_in"]}},
        "commands": {"this page": "snakemake --cores 2"},
    }
