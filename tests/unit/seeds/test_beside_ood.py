"""A threshold without masks: what is active of OoD images beside photographs."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from wood.data.labels import write_labels
from wood.data.lists import write_image_list
from wood.data.transforms import normalize
from wood.maps import LocalizationMaps, normalize_maps
from wood.models.classifiers import build_classifier, load_classifier, save_classifier
from wood.runtime.errors import InputError
from wood.seeds import beside_ood
from wood.seeds.beside_ood import active_share, choose_threshold, side_by_side

CLASSES = ["cat", "dog"]
BACKBONE = {"backbone": "test_resnet", "output_stride": 16, "class_names": CLASSES}


def list_images(files, name, ids):
    table = pd.DataFrame({"image_id": ids, "path": [str(files / f"{i}.png") for i in ids]})
    write_image_list(files / f"{name}.csv", table)


@pytest.fixture
def files(tmp_path):
    """Four photographs, one of no class, three OoD images, and a classifier."""
    rng = np.random.default_rng(0)
    for name, (width, height) in {"a": (64, 48), "b": (48, 64), "c": (64, 48), "d": (61, 50),
                                  "x": (30, 50), "y": (90, 40), "z": (64, 48)}.items():  # fmt: skip
        pixels = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        pixels.resize((width, height), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    list_images(tmp_path, "images", list("abcd"))
    list_images(tmp_path, "ood", list("xyz"))
    labels = {"a": [1, 0], "b": [0, 1], "c": [0, 0], "d": [1, 1]}
    table = pd.DataFrame.from_dict(labels, "index", bool, CLASSES).rename_axis("image_id")
    write_labels(tmp_path / "labels.parquet", table)
    torch.manual_seed(0)
    model = build_classifier("test_resnet", CLASSES, 16, None)
    save_classifier(tmp_path / "model.safetensors", model, BACKBONE)
    return tmp_path


def choose(files, share=0.1, **changed):
    choose_threshold(
        files / "images.csv",
        files / "labels.parquet",
        files / "model.safetensors",
        files / "ood.csv",
        files / "threshold.json",
        settings={"method": "cam", "scales": [1.0]},
        share=share,
        class_names=CLASSES,
        experiment="irn",
        max_batch_pixels=100_000,
        **{"max_failed_fraction": 0, **changed},
    )
    return json.loads((files / "threshold.json").read_text())


def test_the_lowest_threshold_keeps_ood_images_quiet(files, monkeypatch):
    """Against maps made here, one picture after the other."""
    pictures = {}
    paste = beside_ood.side_by_side

    def remembered(photograph, ood):
        made = paste(photograph, ood)
        pictures[photograph.tobytes()] = (made, photograph.width)
        return made

    monkeypatch.setattr(beside_ood, "side_by_side", remembered)
    choices = {share: choose(files, share) for share in (0.02, 0.1, 0.4)}
    assert len(pictures) == 3  # the photograph of no class is in none
    model, _ = load_classifier(files / "model.safetensors")
    present = {"a": [0], "b": [1], "d": [0, 1]}
    active = []
    for name, classes in present.items():
        picture, width = pictures[Image.open(files / f"{name}.png").tobytes()]
        x = normalize(picture, model.backbone.mean, model.backbone.std)[None]
        with torch.no_grad():
            maps = sum(
                model.on_grid(found[0, classes], picture.size[::-1], picture.size[::-1])
                for found in (
                    model.activation_maps(x),
                    model.activation_maps(x.flip(3)).flip(3),
                )
            )
        maps = normalize_maps(maps).half().float()
        right = maps[:, :, -(-width // 4) :].amax(dim=0)
        active.append([(right > t / 100).float().mean().item() for t in range(100)])
    mean = np.mean(active, axis=0)
    for share, choice in choices.items():
        lowest = next(t / 100 for t in range(100) if mean[t] <= share)
        assert choice["threshold"] == pytest.approx(lowest, abs=0.011)
        assert (choice["pictures"], choice["reads_masks"]) == (3, False)
    assert choices[0.02]["threshold"] > choices[0.4]["threshold"]


def test_the_share_is_that_of_the_right_part_alone():
    maps = torch.zeros(2, 2, 5)
    maps[0, :, :2] = 1.0
    maps[1, 0, 2] = 0.5
    maps[0, 1, 4] = 0.25
    image = LocalizationMaps("a", (8, 20), torch.tensor([0, 1]), maps.half())
    share = active_share(image, 8)
    assert share[0] == pytest.approx(2 / 6)
    assert share[24] == pytest.approx(2 / 6)
    assert share[25] == pytest.approx(1 / 6)  # a score equal to the threshold is background
    assert share[50] == 0


def test_an_ood_image_of_no_cell_does_not_count(files):
    """At the side of d, 61 pixels wide, a pixel more is in the same 16 cells."""
    Image.new("RGB", (10, 2000), "green").save(files / "narrow.png")
    list_images(files, "ood", ["narrow"])
    list_images(files, "images", ["a", "b"])
    others = choose(files)
    list_images(files, "images", ["a", "b", "d"])
    assert choose(files) == others
    assert others["threshold"] > 0
    assert others["pictures"] == 2

    (files / "threshold.json").unlink()
    list_images(files, "images", ["d"])
    message = r"ood\.csv: at a photograph's height no image is wide enough .*\(4 pixels\)"
    with pytest.raises(InputError, match=message):
        choose(files)
    assert not (files / "threshold.json").exists()


def test_both_images_stand_side_by_side_at_one_height():
    both = side_by_side(Image.new("RGB", (40, 30), "red"), Image.new("RGB", (20, 60), "blue"))
    assert both.size == (50, 30)
    assert (both.getpixel((39, 29)), both.getpixel((40, 0))) == ((255, 0, 0), (0, 0, 255))


def test_without_a_labelled_photograph_there_is_no_threshold(files):
    table = pd.DataFrame.from_dict({"c": [0, 0]}, "index", bool, CLASSES).rename_axis("image_id")
    write_labels(files / "labels.parquet", table)
    list_images(files, "images", ["c"])
    with pytest.raises(InputError, match=r"labels\.parquet: no image of .*images\.csv has a class"):
        choose(files)
    assert not (files / "threshold.json").exists()


@pytest.mark.parametrize("names", ["abd", "xyz"])
def test_without_a_readable_image_there_is_no_threshold(files, names):
    """Where failures are allowed: neither zero, nor a search without an end."""
    for name in names:
        (files / f"{name}.png").write_text("no image")
    with pytest.raises(InputError, match="no image of one of them can be read"):
        choose(files, max_failed_fraction=1.0)


def test_maps_that_are_high_everywhere_have_a_threshold_too(files, monkeypatch):
    """Above all thresholds of the curve of scores, which ends at 0.8."""

    def high(images, present, classifier, **settings):
        for image_id, image in images:
            grid = (len(present[image_id]), -(-image.height // 4), -(-image.width // 4))
            size = (image.height, image.width)
            maps = torch.full(grid, 0.9, dtype=torch.float16)
            yield LocalizationMaps(image_id, size, present[image_id], maps)

    monkeypatch.setattr(beside_ood, "make_maps", high)
    assert choose(files, 0.015)["threshold"] == 0.9  # 0.8999 in half precision
