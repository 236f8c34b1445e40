"""Every stage from files to files on CUDA, or on a device in name only (`tests.pretend_cuda`).

`make gpu` runs it on the GPU of the machine.
"""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from tests.places import ROOT
from tests.pretend_cuda import CUDA, pretend_cuda
from wood.affinity.instances import make_instances
from wood.affinity.ir_labels import make_ir_labels
from wood.affinity.pseudo_masks import make_pseudo_masks
from wood.affinity.train import train_irnet
from wood.crf import DEEPLAB_CRF
from wood.data.labels import write_labels
from wood.data.lists import read_image_list, write_image_list
from wood.maps import read_maps
from wood.ood import centers as ood_centers
from wood.ood.centers import make_centers
from wood.ood.scoring import score_images
from wood.runtime.devices import find_device
from wood.runtime.store import load_tensors
from wood.seeds.classifier import train_classifier
from wood.seeds.epochs import extract_epoch_features
from wood.seeds.features import extract_features
from wood.seeds.localize import localize
from wood.segmentation.inference import segment_images
from wood.segmentation.tiles import Tiling
from wood.segmentation.train import train_segmentation
from wood.training import state as training_state
from wood.workflow.resolve import merge

CLASSES = ["cat", "dog"]
BACKBONE = "test_resnet"
WHOLE = {"long_side": 40, "max_batch_pixels": 10_000, "max_failed_fraction": 0.0}
BASE = yaml.safe_load((ROOT / "config.yaml").read_text())
CLASSIFIER = merge(
    BASE["classifier"],
    {
        "wood": None,
        "backbone": BACKBONE,
        "weights": None,
        "long_side": [32, 48],
        "crop": 32,
        "keep_epochs": True,
        "training": {"epochs": 2, "batch_size": 4, "workers": 0, "lr": 0.001},
    },
)
SEAM = merge(CLASSIFIER, {"architecture": "seam", "output_stride": 16})
WOOD = merge(BASE["wood"], {"clusters": 3, "batch_size": 4, "distance_weight": 1e-4})
EVERY_OPTION = WOOD | {
    "refresh_epochs": 1,
    "perturbation": 0.07,
    "leave_out": ["dog"],
    "selection": "batch",
    "ood_average": "in",
    "target": "background",
    "trained_stages": 2,
}
CAM = {"method": "cam", "scales": [0.5, 1.0, 2.0]}
ADVCAM = BASE["localizations"]["advcam"] | {
    "scales": [0.5, 1.0],
    "iterations": 3,
    "half_scale_iterations": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cuda")
    rng = np.random.default_rng(0)
    for name, count in (("train", 8), ("ood", 6)):
        rows = []
        for number in range(count):
            pixels = rng.integers(0, 255, (6, 8, 3), np.uint8)
            size = (64, 48) if number % 2 else (50, 66)
            path = folder / f"{name}{number}.png"
            Image.fromarray(pixels).resize(size).save(path)
            rows.append((path.stem, str(path), CLASSES[number % 2]))
        table = pd.DataFrame(rows, columns=["image_id", "path", "class"])
        write_image_list(folder / f"{name}.csv", table)
    index = read_image_list(folder / "train.csv")["image_id"]
    shown = [(number % 2 == 0, number % 3 == 0) for number in range(8)]
    write_labels(folder / "labels.parquet", pd.DataFrame(shown, index=index, columns=CLASSES))
    return folder


@pytest.fixture(scope="module", autouse=True)
def device():
    """All of the module runs on the device."""
    torch.set_num_threads(1)
    if torch.cuda.is_available():
        yield
    else:
        with pretend_cuda():
            yield


def train(folder, name, settings, **files):
    (folder / name).mkdir(exist_ok=True)
    train_classifier(
        images=folder / "train.csv",
        labels=folder / "labels.parquet",
        output=folder / name / "model.safetensors",
        log=folder / name / "log.jsonl",
        epochs=folder / name / "epochs",
        settings=settings,
        class_names=CLASSES,
        seed=0,
        checkpoint=folder / name / "checkpoint",
        **files,
    )
    return folder / name / "model.safetensors"


def with_ood(folder, classifier, settings=WOOD):
    """The files of a training that goes on from a classifier with OoD images."""
    for domain in ("train", "ood"):
        extract_features(
            folder / f"{domain}.csv", classifier, folder / f"{domain}.features", **WHOLE
        )
    centers = folder / f"centers-{settings['grouping']}.safetensors"
    features = [folder / f"{domain}.features" for domain in ("train", "ood")]
    lists = (folder / "train.csv", folder / "labels.parquet", folder / "ood.csv")
    make_centers(*lists, *features, centers, wood=settings, data=CLASSIFIER["data"], seed=0)
    return {
        "init": classifier,
        "ood_list": folder / "ood.csv",
        "centers": centers,
        "whole_images": WHOLE,
    }


def finite(path):
    tensors, _ = load_tensors(path)
    return all(torch.isfinite(tensor).all() for tensor in tensors.values())


@pytest.fixture(scope="module")
def f_in(folder, device):
    return train(folder, "cam", CLASSIFIER)


@pytest.fixture(scope="module")
def wood(folder, f_in):
    return train(folder, "wood", merge(CLASSIFIER, {"wood": WOOD}), **with_ood(folder, f_in))


@pytest.fixture(scope="module")
def maps(folder, wood):
    return shard(folder, wood, CAM)


def shard(folder, classifier, settings):
    output = folder / f"{classifier.parent.name}-{settings['method']}.safetensors"
    localize(
        folder / "train.csv",
        folder / "labels.parquet",
        classifier,
        output,
        settings=settings,
        shard_index=0,
        shard_count=1,
        class_names=CLASSES,
        max_batch_pixels=20_000,
        max_failed_fraction=0,
    )
    return output


def test_the_device_is_found_and_refuses_the_cpu():
    assert find_device() == CUDA
    there = torch.ones(2, device=CUDA)
    with pytest.raises(RuntimeError, match="on the CPU"):
        there + torch.ones(2)
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert (there.cpu() + torch.ones(2)).tolist() == [2, 2]


def test_classifiers_with_and_without_ood_images(f_in, wood):
    assert finite(f_in)
    assert finite(wood)


def test_features_of_epochs(folder, f_in, wood):
    extract_epoch_features(
        *(folder / "train.csv", folder / "labels.parquet", folder / "ood.csv"),
        *(f_in, folder / "wood" / "epochs", folder / "epochs.safetensors"),
        classes=None,
        count=2,
        wood=WOOD,
        data=CLASSIFIER["data"],
        seed=0,
        **WHOLE,
    )
    assert finite(folder / "epochs.safetensors")


def test_every_option_of_w_ood_with_checkpoints(folder, f_in, monkeypatch):
    """K-means on the device too, centres found anew, and a training that is stopped and goes on."""
    monkeypatch.setattr(ood_centers, "MANY_IMAGES", 1)
    files = with_ood(folder, f_in, WOOD | {"grouping": "predicted_class"})
    changes = {"accumulate": 2, "ema": 0.9, "clip_norm": 1.0, "checkpoint_seconds": 0}
    settings = merge(CLASSIFIER, {"wood": EVERY_OPTION, "training": changes})
    real, saved = training_state.State.save, []

    def stop_at_the_second(self, *arguments):
        real(self, *arguments)
        saved.append(self)
        if len(saved) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(training_state.State, "save", stop_at_the_second)
        train(folder, "stopped", settings, **files)
    assert (folder / "stopped" / "checkpoint").exists()
    assert finite(train(folder, "stopped", settings, **files))


def test_seam_with_and_without_ood_images(folder):
    seam = train(folder, "seam", SEAM)
    files = with_ood(folder, seam)
    settings = merge(SEAM, {"wood": WOOD | {"perturbation": 0.07}})
    assert finite(train(folder, "seam-wood", settings, **files))
    assert len(list(read_maps(shard(folder, seam, CAM)))) == 8


def test_cam_and_advcam(folder, wood, maps):
    climbed = read_maps(shard(folder, wood, ADVCAM))
    for plain, adversarial in zip(read_maps(maps), climbed, strict=True):
        assert torch.isfinite(adversarial.maps).all()
        assert plain.maps.shape == adversarial.maps.shape


def test_pseudo_masks_and_a_segmentation_network(folder, maps, monkeypatch):
    images, names = folder / "train.csv", CLASSES
    make_ir_labels(
        *(maps, images, folder / "ir"),
        class_names=names,
        foreground_threshold=0.5,
        background_threshold=0.3,
        gt_prob=0.7,
        workers=1,
    )
    settings = BASE["experiment"]["pseudo"]["irnet"]["training"]
    train_irnet(
        *([folder / "ir"], images, folder / "irnet.safetensors", folder / "irnet.jsonl"),
        backbone=BACKBONE,
        weights=None,
        radius=4,
        crop=64,
        scale_range=(0.5, 1.5),
        settings=settings | {"epochs": 1, "batch_size": 4, "workers": 0, "lr": 0.001},
        seed=0,
        checkpoint=folder / "irnet-checkpoint",
    )
    walked = (maps, images, folder / "irnet.safetensors")
    make_pseudo_masks(*walked, folder / "masks", class_names=names, exp_times=4)
    make_instances(
        *walked, folder / "instances.json", class_names=names, exp_times=4, mask_threshold=0.1
    )
    section = BASE["experiment"]["segmentation"]
    quick = {"iterations": 2, "batch_size": 4, "workers": 0, "lr": 0.001}
    train_segmentation(
        *(images, [folder / "masks"], folder / "net.safetensors", folder / "net.jsonl"),
        class_names=names,
        settings=section
        | {"backbone": BACKBONE, "weights": None, "atrous_rates": [1, 2], "crop": 48}
        | {"multi_scale_training": True, "training": section["training"] | quick},
        seed=0,
        checkpoint=folder / "net-checkpoint",
    )
    monkeypatch.setattr("wood.segmentation.inference.TILING", Tiling(64, 16))
    for merging in ("max", "mean"):
        segment_images(
            *(images, folder / "net.safetensors", folder / merging),
            scales=[1.0, 0.75],
            flip=merging == "mean",
            merge=merging,
            crf=DEEPLAB_CRF,
            crf_output=folder / f"{merging}-crf",
            workers=1,
        )
        assert len(list((folder / f"{merging}-crf").glob("*.png"))) == 8


def test_scores_of_candidates(folder, f_in):
    images = pd.read_csv(folder / "ood.csv").assign(split="train", status="ok")
    images.to_parquet(folder / "images.parquet")
    score_images(folder / "images.parquet", f_in, folder / "scores.parquet", long_side=40)
    scores = pd.read_parquet(folder / "scores.parquet")
    assert len(scores) == 6
    assert scores[CLASSES].to_numpy().min() >= 0
