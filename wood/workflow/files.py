"""The files and folders that the configuration names, checked before anything runs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wood.runtime.errors import InputError
from wood.scoring.thresholds import BESIDE_OOD, HALF_A
from wood.workflow.downloads import downloads, weights_problems
from wood.workflow.paths import masks_of
from wood.workflow.resolve import (
    Tree,
    classifier,
    experiment,
    experiments,
    present,
)


def check_files(config: Tree) -> None:
    """Check that the data that the configuration names is there, or will be fetched.

    Raises:
        InputError: names the first folder or file and its key.
    """
    if problems := list(file_problems(config)):
        more = f" (And {len(problems) - 1} more: wood preflight lists all.)"
        raise InputError(problems[0] + more * (len(problems) > 1))


def file_problems(config: Tree) -> Iterator[str]:
    """Yield a sentence for each folder or file that is missing, and is not fetched either."""
    from wood.data.voc import check_devkit

    data, coming = config["data"], downloads(config)
    if data["source"] == "voc" and coming.voc is None:
        try:
            check_devkit(data["voc_root"])
        except InputError as error:
            yield str(error)
    yield from _image_set_problems(config, coming.voc is not None)
    yield from weights_problems(config)
    fetched = {download.path for download in coming.all()}
    for key, text in _texts(config):
        if set("{}") & set(text):
            yield (
                f"Configuration: {key} is {text}: Snakemake would take the braces for a wildcard; "
                "give it another name (a folder: or a link without braces)."
            )
    yield from _class_map_problems(config)
    for key, place in named_inputs(config).items():
        if place not in fetched and key != "data.voc_root" and not Path(place).exists():
            yield f"Configuration: {key} is {place}, which does not exist."
    review = config["ood"]["review"]
    answered = config["ood"]["source"] == "openimages" and review["policy"] == "truth"
    if answered and data["source"] != "demo" and review["truth"] is None:
        yield (
            "Configuration: ood.review.policy is truth, which needs a file of the true answers "
            "(ood.review.truth) where the images are not the demo's; a person's answers are the "
            "policy decisions."
        )
    for name in experiments(config, "seeds"):
        threshold = experiment(config, name)["threshold"]
        if threshold == HALF_A and not has_evaluation(config):
            yield (
                f"Configuration: experiments.{name}.threshold is {HALF_A}, which needs the pixel "
                f"masks of half A (data.evaluation); without masks it is a number or {BESIDE_OOD}."
            )
        if threshold == BESIDE_OOD and config["ood"]["source"] == "none":
            yield (
                f"Configuration: experiments.{name}.threshold is {BESIDE_OOD}, which needs OoD "
                "images, but ood.source is none."
            )


def _class_map_problems(config: Tree) -> Iterator[str]:
    """Yield what is wrong with the Open Images labels of the classes, but for a missing file."""
    from wood.ood.labels_map import class_entries

    ood = config["ood"]
    class_map = ood["openimages"]["class_map"]
    missing = isinstance(class_map, str) and not Path(class_map).exists()
    # Every job reads the configuration, and the packaged map alone takes as long as half of that.
    if ood["source"] == "openimages" and class_map is not None and not missing:
        try:
            class_entries(config["classes"], class_map)
        except InputError as error:
            inline = not isinstance(class_map, str)
            yield f"Configuration: ood.openimages.{error}" if inline else str(error)


def has_masks(config: Tree) -> bool:
    """Return whether there are pixel masks to score against; without, evaluation drops out."""
    data = config["data"]
    if data["source"] == "demo" or data["masks"] is not None:
        return True
    if data["source"] == "csv":
        return False
    return Path(masks_of(data["voc_root"])).is_dir() or bool(downloads(config).voc)


def has_evaluation(config: Tree) -> bool:
    """Return whether there are images, with masks, that seeds and pseudo-masks are scored on."""
    return has_masks(config) and config["data"]["evaluation"] is not None


def has_val(config: Tree) -> bool:
    """Return whether there are images that a segmentation network is run on."""
    data = config["data"]
    return data["val"] is not None and (data["source"] != "csv" or data["image_sets"] is not None)


def named_inputs(config: Tree) -> dict[str, str]:
    """Return the files and folders that the configuration names and a run reads, by their keys."""
    data, ood = config["data"], config["ood"]
    places = {
        "data.labels_csv": data["labels_csv"] if data["source"] == "csv" else None,
        "data.images": data["images"] if data["source"] == "csv" else None,
        "data.masks": data["masks"],
        "data.sbd_root": data["sbd_root"],
        "ood.list": ood["list"] if ood["source"] == "list" else None,
        "ood.images": ood["images"] if ood["source"] == "list" else None,
        "ood.openimages.class_map": ood["openimages"]["class_map"],
    }
    for name in present(config["classifiers"]):
        places[f"classifiers.{name}.published"] = classifier(config, name)["published"]
    if ood["source"] == "openimages" and ood["review"]["policy"] == "truth":
        places["ood.review.truth"] = ood["review"]["truth"]
    base = ood["openimages"]["base"]
    if ood["source"] == "openimages" and base and "://" not in base:
        places["ood.openimages.base"] = base
    if data["source"] == "voc":
        places["data.voc_root"] = data["voc_root"]
    if data["source"] != "demo":
        places["data.image_sets"] = data["image_sets"]
    return {key: place for key, place in places.items() if isinstance(place, str)}


def _texts(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts of a configuration that reach Snakemake, with their keys.

    Grids are templates, whose braces are replaced before; titles reach the report alone.
    """
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in ("grids", "title"):
                yield from _texts(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, key)


def image_set_file(data: Tree, name: str) -> str:
    """Return the file that lists an image set: of `data.image_sets`, or of the devkit."""
    return f"{data['image_sets'] or data['voc_root'] + '/ImageSets/Segmentation'}/{name}.txt"


def is_derived(data: Tree, name: str) -> bool:
    """Return whether an image set is made of SBD's lists: `train_aug`, where there is no such."""
    named = name == "train_aug" and data["sbd_root"] is not None
    return named and not Path(image_set_file(data, name)).exists()


def _image_set_problems(config: Tree, devkit_comes: bool) -> Iterator[str]:
    """Yield a sentence for each image list that a run reads and that is not there."""
    data = config["data"]
    roles: tuple[str, ...] = ()
    if data["source"] == "voc":
        roles = ("train", "evaluation", "val", "test")
    elif data["source"] == "csv" and data["image_sets"] is not None:
        roles = ("evaluation",) * has_evaluation(config) + ("val",)
    for role in roles:
        if problem := _image_set_problem(data, role, devkit_comes):
            yield problem


def _image_set_problem(data: Tree, role: str, devkit_comes: bool) -> str | None:
    from wood.data.voc import FETCHED_SETS, TEST_IMAGES

    name = data[role]
    if name is None or is_derived(data, name):
        return None
    path = image_set_file(data, name)
    if Path(path).is_file():
        return None
    if devkit_comes and data["image_sets"] is None and name in FETCHED_SETS:
        return None
    hint = " (data.sbd_root: SBD, from which it can be derived)" * (name == "train_aug")
    if role == "test":
        hint = f": {TEST_IMAGES}, into {data['voc_root']}"
    return f"Configuration: data.{role} is {name}, but there is no {path}{hint}."
