"""SEAM, alone and with W-OoD, through the pipeline's own steps on a handful of tiny photographs."""

import json
import os
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from tests.places import ROOT
from wood.data.images import load_image
from wood.data.labels import write_labels
from wood.data.lists import write_image_list
from wood.data.photographs import Photographs
from wood.data.transforms import normalize
from wood.maps import read_maps
from wood.models.classifiers import load_classifier, save_classifier
from wood.models.resnet import ResNet
from wood.models.seam import SeamClassifier
from wood.ood.centers import make_centers
from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors
from wood.seeds.classifier import train_classifier, use_published
from wood.seeds.features import extract_features
from wood.seeds.localize import localize
from wood.workflow import resolve as settings

CLASSES = ["red", "green"]
SEAM = {
    "architecture": "seam",
    "backbone": "test_efficientnet",
    "weights": None,
    "long_side": [48, 64],
    "crop": 48,
    "color_jitter": [0.3, 0.3, 0.3, 0.1],
    "view_scale": 0.5,
    "training": {"epochs": 2, "batch_size": 2, "momentum": 0, "workers": 0},
}
WOOD = {"clusters": 2, "top_fraction": 0.5, "batch_size": 2}


def resolved(**changes):
    """The settings of a classifier as the configuration resolves them."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["classifiers"]["x"] = {**SEAM, **changes}
    return settings.classifier(config, "x")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Eight photographs of a red or green square on grey noise, and four of noise alone."""
    folder = tmp_path_factory.mktemp("seam")
    rng = np.random.default_rng(0)
    rows, present = [], []
    for number in range(12):
        pixels = rng.integers(80, 160, (48, 64, 3), dtype=np.uint8)
        if number < 8:
            pixels[10:35, 15:45] = [(220, 20, 20), (20, 200, 20)][number % 2]
            present.append([number % 2 == 0, number % 2 == 1])
        path = folder / f"{number}.png"
        Image.fromarray(pixels).save(path)
        rows.append((str(number), str(path)))
    table = pd.DataFrame(rows, columns=["image_id", "path"])
    write_image_list(folder / "train.csv", table[:8])
    write_image_list(folder / "ood.csv", table[8:])
    index = pd.Index(table["image_id"][:8], name="image_id")
    write_labels(folder / "labels.parquet", pd.DataFrame(present, columns=CLASSES, index=index))
    return folder


def train(folder, name, chosen=None, class_names=CLASSES, **files):
    torch.set_num_threads(1)
    train_classifier(
        images=folder / "train.csv",
        labels=folder / "labels.parquet",
        output=folder / f"{name}.safetensors",
        log=folder / f"{name}.jsonl",
        epochs=folder / f"{name}.epochs",
        settings=chosen or resolved(),
        class_names=class_names,
        seed=0,
        checkpoint=folder / f"{name}.checkpoint",
        **files,
    )
    return folder / f"{name}.safetensors"


@pytest.fixture(scope="module")
def trained(folder):
    return train(folder, "seam")


def features(folder, classifier, images, output):
    extract_features(
        folder / images, classifier, folder / output,
        long_side=48, max_batch_pixels=10**5, max_failed_fraction=0,
    )  # fmt: skip
    return folder / output


def test_a_trained_file_says_what_it_is(folder, trained):
    model, metadata = load_classifier(trained)
    assert type(model) is SeamClassifier
    assert metadata["architecture"] == "seam"
    lines = [json.loads(line) for line in (folder / "seam.jsonl").read_text().splitlines()]
    assert len(lines) == 8
    assert {"loss", "cls_in", "cls_small", "min_pool", "er", "ecr"} <= lines[0].keys()
    line = lines[0]
    parts = (line["cls_in"] + line["cls_small"]) / 2 + line["min_pool"] + line["er"] + line["ecr"]
    assert line["loss"] == pytest.approx(parts, rel=1e-4)


def test_a_terminated_training_goes_on_to_the_same_bytes(folder, trained, monkeypatch):
    asked, example = [], Photographs.example

    def stopping(self, index, rng):
        asked.append(index)
        if len(asked) == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return example(self, index, rng)

    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr(Photographs, "example", stopping)
        train(folder, "stopped")
    assert (folder / "stopped.checkpoint").exists()
    assert train(folder, "stopped").read_bytes() == trained.read_bytes()
    assert (folder / "stopped.jsonl").read_bytes() == (folder / "seam.jsonl").read_bytes()


def test_w_ood_joins_with_centres_of_seams_own_features(folder, trained):
    inside = features(folder, trained, "train.csv", "in.safetensors")
    outside = features(folder, trained, "ood.csv", "out.safetensors")
    chosen = resolved(wood=WOOD)
    centers = folder / "centers.safetensors"
    make_centers(
        folder / "train.csv", folder / "labels.parquet", folder / "ood.csv", inside, outside,
        centers, wood=chosen["wood"], data=chosen["data"], seed=0,
    )  # fmt: skip
    path = train(
        folder, "seam-wood", chosen, init=trained, ood_list=folder / "ood.csv", centers=centers
    )
    lines = [json.loads(line) for line in (folder / "seam-wood.jsonl").read_text().splitlines()]
    line = lines[0]
    assert line["dist_in"] > 0 > line["dist_ood"]
    parts = (line["cls_in"] + line["cls_small"]) / 2 + line["min_pool"] + line["er"] + line["ecr"]
    added = line["cls_ood"] + 0.007 * (line["dist_in"] + line["dist_ood"])
    assert line["loss"] == pytest.approx(parts + added, rel=1e-4)
    model, metadata = load_classifier(path)
    assert metadata["architecture"] == "seam"
    start, _ = load_classifier(trained)
    assert not torch.equal(model.embed.weight, start.embed.weight)
    features_in, found = load_tensors(inside)
    assert found["class_names"] == CLASSES
    assert features_in["features"].shape == (8, model.backbone.num_features)


@torch.no_grad()
def test_localization_maps_are_the_refined_ones_from_their_minimum(folder, trained):
    model, metadata = load_classifier(trained)
    image = normalize(load_image(folder / "3.png"), model.backbone.mean, model.backbone.std)[None]
    # A head that finds both classes in the image, each where the other one is not.
    usual = model.backbone(image).mean(dim=(2, 3))[0]
    direction = torch.randn(len(usual), generator=torch.Generator().manual_seed(0))
    direction -= usual * (usual @ direction) / (usual @ usual)
    model.head.weight[:, :, 0, 0] = torch.stack([direction, -direction])
    classifier, output = folder / "both.safetensors", folder / "maps.safetensors"
    save_classifier(classifier, model, metadata)
    localize(
        folder / "train.csv", folder / "labels.parquet", classifier, output,
        settings={"method": "cam", "scales": [1.0]},
        shard_index=0, shard_count=1, class_names=CLASSES,
        max_batch_pixels=10**5, max_failed_fraction=0,
    )  # fmt: skip
    shards = read_maps(output, CLASSES)
    assert [maps.image_id for maps in shards] == list("01234567")
    refined = model.view(image).refined + model.view(image.flip(3)).refined.flip(3)
    expected = model.on_grid(refined[0, 2:3], (48, 64), (48, 64))
    assert expected.min() > 0.01 * expected.max()
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    assert shards[3].classes.tolist() == [1]
    torch.testing.assert_close(shards[3].maps.float(), expected, rtol=0, atol=2e-3)


def test_published_weights_take_the_place_of_a_training(folder, tmp_path):
    torch.manual_seed(0)
    state = {f"resnet50.{n}": t for n, t in ResNet(50, 16).state_dict().items()}
    torch.save(state | {"classifier.weight": torch.randn(2, 2048, 1, 1)}, tmp_path / "cam.pth")
    use_published(
        tmp_path / "cam.pth",
        "cam",
        CLASSES,
        output=tmp_path / "published.safetensors",
        log=tmp_path / "published.jsonl",
        epochs=tmp_path / "published.epochs",
    )
    model, metadata = load_classifier(tmp_path / "published.safetensors")
    assert metadata["backbone"] == "resnet50"
    assert torch.equal(model.backbone.conv1.weight, state["resnet50.conv1.weight"])
    assert (tmp_path / "published.jsonl").read_text() == ""


def test_a_start_for_other_classes_is_refused(folder, trained):
    shutil.copy(trained, folder / "copy.safetensors")
    with pytest.raises(InputError, match=r"copy\.safetensors: the classes are not"):
        train(folder, "x", init=folder / "copy.safetensors", class_names=["red", "blue"])
