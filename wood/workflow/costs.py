"""What a configuration costs, projected: images, bytes, work and time of each stage.

The work is counted as in docs/scaling.md, whose section on Pascal VOC says where each number is
from. Nothing here is a measurement of the machine at hand.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from wood.models.architectures import ARCHITECTURES
from wood.seeds.methods import METHODS
from wood.workflow import resolve as settings
from wood.workflow.downloads import downloads
from wood.workflow.files import image_set_file
from wood.workflow.paths import Paths
from wood.workflow.resolve import Tree

# Images of an image set that is not there yet: Pascal VOC 2012, train_aug with SBD.
VOC_IMAGES = {"train": 1464, "val": 1449, "trainval": 2913, "train_aug": 10_582, "test": 1456}
# Photographs listed by Open Images, and gigabytes of all its labels and lists.
OPEN_IMAGES = {"train": 9_011_219, "validation": 41_620, "test": 125_436}
METADATA_GB = 10.0
# Share of the candidates that score 0.5 or more; docs/scaling.md.
HARD_SHARE = 0.1
PHOTOGRAPH = 300_000  # bytes
SCORE_AND_FEATURE = 2_800  # bytes of a candidate
# Bytes of a pixel, measured on the demo: localization maps; IR label, boundary, masks.
MAP_OF_PIXEL, MASKS_OF_PIXEL = 0.3, 0.25
# Pixels of an image of VOC, and of the demo's scenes.
PIXELS, DEMO_PIXELS = 375 * 500, 160 * 120
# Multiply-adds of a pixel, and megabytes of the weights; others are reckoned as ResNet-50.
WORK = {
    "resnet50": (127e3, 100),
    "resnet101": (700e3, 180),
    "resnet101_caffe": (700e3, 180),
    "wide_resnet38": (1900e3, 430),
    "tf_efficientnet_lite0": (12e3, 15),
}
TFLOP = 1e12
# Sustained TFLOP/s of a CPU core and of an H200 in bfloat16; core seconds of the dense CRFs of an
# image, and of its random walk.
CORE_RATE, GPU_RATE = 0.045, 150.0
CRF_SECONDS, WALK_SECONDS = 2.0, 0.4
DOWNLOAD_RATE = 12.5e6  # bytes a second: 100 Mbit/s


@dataclass
class Stage:
    """A stage's cost.

    Attributes:
        name: as people know it.
        gigabytes: that it leaves on the disk.
        tflop: work of networks, 10^12 floating-point operations.
        core_seconds: work of the CPU alone.
        waiting: seconds for other machines.
    """

    name: str
    gigabytes: float = 0.0
    tflop: float = 0.0
    core_seconds: float = 0.0
    waiting: float = 0.0

    def seconds(self, cores: int, gpus: int) -> float:
        """Return the time that it takes on a machine."""
        rate = GPU_RATE * gpus if gpus else CORE_RATE * cores
        return self.tflop / rate + self.core_seconds / cores + self.waiting


def images(config: Tree, role: str) -> int:
    """Return how many images `data.<role>` has; those of a devkit that is to come by their name."""
    data = config["data"]
    if data["source"] == "demo":
        return config["demo"]["train_images" if role in ("train", "evaluation") else "val_images"]
    if data["source"] == "csv" and role == "train":
        path = Path(data["labels_csv"])
        return len(path.read_bytes().splitlines()) - 1 if path.is_file() else 0
    name = data[role]
    if name is None or (data["source"] == "csv" and data["image_sets"] is None):
        return 0
    path = Path(image_set_file(data, name))
    return len(path.read_text().split()) if path.is_file() else VOC_IMAGES.get(name, 0)


def has_remote_photographs(config: Tree) -> bool:
    """Return whether the candidates' photographs come over the network."""
    ood = config["ood"]
    place = ood["openimages"]["image_base"] or ood["openimages"]["base"] or ""
    return ood["source"] == "openimages" and "://" in place and not place.startswith("file:")


def candidates(config: Tree) -> int:
    """Return how many candidates there are at most."""
    chosen = config["ood"]["openimages"]
    if config["ood"]["source"] != "openimages":
        return 0
    if has_remote_photographs(config):
        found = sum(OPEN_IMAGES[split] for split in chosen["splits"])
    elif chosen["base"]:
        found = _files(Path(chosen["image_base"] or f"{chosen['base']}/images"), chosen["splits"])
    else:
        found = config["demo"]["pool_images"]
    return min(found, chosen["max_candidates"] or found)


def photographs_to_come(config: Tree) -> int:
    """Return how many photographs are still to be downloaded, at most."""
    if not has_remote_photographs(config):
        return 0
    there = _files(Path(Paths.of(config).ood("images")), config["ood"]["openimages"]["splits"])
    return max(0, candidates(config) - there)


def metadata_gigabytes(config: Tree) -> float:
    """Return the size of the labels and lists that are still to be downloaded."""
    chosen, base = config["ood"]["openimages"], config["ood"]["openimages"]["base"] or ""
    there = Path(Paths.of(config).ood("metadata/metadata.json")).exists()
    if config["ood"]["source"] != "openimages" or "://" not in base or there:
        return 0.0
    share = sum(OPEN_IMAGES[split] for split in chosen["splits"]) / sum(OPEN_IMAGES.values())
    return METADATA_GB * share


def stages(config: Tree) -> list[Stage]:
    """Return what a run costs from an empty results folder, in the order of its stages."""
    found = [_data(config), _collection(config), _classifiers(config)]
    if settings.experiments(config, "seeds"):
        found.append(_maps(config))
    if settings.experiments(config, "pseudo_masks"):
        found.append(_masks(config))
    if settings.experiments(config, "segmentation"):
        found.append(_networks(config))
    return found


def _data(config: Tree) -> Stage:
    coming = [download.gigabytes or 0.0 for download in downloads(config).all()]
    drawn = (
        images(config, "train") + candidates(config) if config["data"]["source"] == "demo" else 0
    )
    return Stage(
        "data sets, weights",
        # An archive and what is unpacked of it stand side by side for a while.
        gigabytes=2 * sum(coming) + drawn * 15_000 / 1e9,
        waiting=sum(coming) * 1e9 / DOWNLOAD_RATE,
        core_seconds=drawn * 0.05,
    )


def _collection(config: Tree) -> Stage:
    ood, number, coming = config["ood"], candidates(config), photographs_to_come(config)
    chosen = settings.classifier(config, ood["classifier"]) if number else config["classifier"]
    metadata = metadata_gigabytes(config)
    return Stage(
        "OoD candidates",
        gigabytes=metadata
        + (number * PHOTOGRAPH * has_remote_photographs(config) + number * SCORE_AND_FEATURE) / 1e9,
        tflop=number * 2 * 0.75 * ood["long_side"] ** 2 * _work(chosen) / TFLOP,
        waiting=coming / ood["openimages"]["rate_limit"] + metadata * 1e9 / DOWNLOAD_RATE,
    )


def _classifiers(config: Tree) -> Stage:
    stage = Stage("classifiers")
    for name, seed_count in settings.trained(config).items():
        chosen = settings.classifier(config, name)
        if chosen["published"]:
            continue
        training, wood = chosen["training"], chosen["wood"]
        number = chosen["data"]["in"] or images(config, "train")
        share = 1 + (wood["batch_size"] / training["batch_size"] if wood else 0)
        steps = training["epochs"] * number * share * seed_count
        passes = ARCHITECTURES[chosen["architecture"]].passes
        # Forward, and backward for weights and for maps: three times the forward pass.
        stage.tflop += passes * steps * 6 * chosen["crop"] ** 2 * _work(chosen) / TFLOP
        kept = training["epochs"] if chosen["keep_epochs"] else 1
        stage.gigabytes += seed_count * kept * _megabytes(chosen) / 1e3
    return stage


def _maps(config: Tree) -> Stage:
    stage, pixels, number = Stage("localization maps"), _pixels(config), images(config, "train")
    made: dict[tuple[str, str], int] = {}
    for name in settings.experiments(config, "seeds"):
        chosen = settings.experiment(config, name)
        key = (chosen["classifier"], chosen["localization"])
        made[key] = max(made.get(key, 0), settings.repeats(config, chosen))
    for (classifier, localization), seed_count in made.items():
        way = config["localizations"][localization]
        of_scale = METHODS[way["method"]].passes
        passes = sum(scale**2 * of_scale(way, scale) for scale in way["scales"])
        work = _work(settings.classifier(config, classifier))
        stage.tflop += seed_count * number * 2 * 2 * passes * pixels * work / TFLOP
        stage.gigabytes += seed_count * number * pixels * MAP_OF_PIXEL / 1e9
    return stage


def _masks(config: Tree) -> Stage:
    stage, pixels, number = Stage("pseudo-masks"), _pixels(config), images(config, "train")
    for name in set(settings.owners(config).values()):
        chosen = settings.experiment(config, name)
        runs, irnet = number * settings.repeats(config, chosen), chosen["pseudo"]["irnet"]
        training = irnet["training"]["epochs"] * irnet["crop"] ** 2 * 2.7
        boundaries = 2 * 2.9 * pixels
        stage.tflop += runs * (training + boundaries) * _work(irnet) / TFLOP
        stage.core_seconds += runs * (CRF_SECONDS + WALK_SECONDS) * pixels / PIXELS
        stage.gigabytes += runs * pixels * MASKS_OF_PIXEL / 1e9
        stage.gigabytes += settings.repeats(config, chosen) * _megabytes(irnet) / 1e3
    return stage


def _networks(config: Tree) -> Stage:
    stage, pixels, number = Stage("networks, predictions"), _pixels(config), images(config, "val")
    for name in settings.experiments(config, "segmentation"):
        chosen = settings.experiment(config, name)
        network, seed_count = chosen["segmentation"], settings.repeats(config, chosen)
        training, inference = network["training"], network["inference"]
        seen = 1 + 0.75**2 + 0.5**2 if network["multi_scale_training"] else 1
        trained = training["iterations"] * training["batch_size"] * 6 * seen * network["crop"] ** 2
        looked_at = sum(scale**2 for scale in inference["scales"]) * (1 + inference["flip"])
        predicted = number * 2 * looked_at * pixels
        stage.tflop += seed_count * (trained + predicted) * _work(network) / TFLOP
        stage.core_seconds += seed_count * number * CRF_SECONDS * pixels / PIXELS
        stage.gigabytes += seed_count * _megabytes(network) / 1e3
        stage.gigabytes += seed_count * number * pixels * MASKS_OF_PIXEL / 1e9
    return stage


def _work(network: Tree) -> float:
    return WORK.get(network["backbone"], WORK["resnet50"])[0]


def _megabytes(network: Tree) -> float:
    return WORK.get(network["backbone"], WORK["resnet50"])[1]


def _pixels(config: Tree) -> int:
    return DEMO_PIXELS if config["data"]["source"] == "demo" else PIXELS


def _files(folder: Path, splits: list[str]) -> int:
    """Return how many files the folders of the splits hold."""
    found = (folder / split for split in splits)
    return sum(len(os.listdir(place)) for place in found if place.is_dir())
