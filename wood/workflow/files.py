"""The files and folders that the configuration names, checked before anything runs."""

from pathlib import Path

from wood.runtime.errors import InputError
from wood.scoring.thresholds import HALF_A
from wood.workflow.resolve import Tree, classifier, experiment, experiments, has_masks, present


def check_files(config: Tree) -> None:
    """Check that the data that the configuration names is there, before anything runs.

    Raises:
        InputError: names the folder or file and its key.
    """
    from wood.data.voc import check_devkit

    data = config["data"]
    if data["source"] == "voc":
        check_devkit(data["voc_root"])
        for role in ("train", "evaluation", "val", "test"):
            _check_image_set(data, role)
    for key, place in named_inputs(config).items():
        if not Path(place).exists():
            raise InputError(f"Configuration: {key} is {place}, which does not exist.")
    for name in experiments(config, "seeds"):
        if experiment(config, name)["threshold"] == HALF_A and not has_masks(config):
            raise InputError(
                f"Configuration: experiments.{name}.threshold is {HALF_A}, which needs the pixel "
                "masks of half A; without masks it is a number."
            )


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
    return {key: place for key, place in places.items() if isinstance(place, str)}


def _check_image_set(data: Tree, role: str) -> None:
    path = Path(data["voc_root"]) / "ImageSets" / "Segmentation" / f"{data[role]}.txt"
    derived = data[role] == "train_aug" and data["sbd_root"] is not None
    if data[role] is not None and not derived and not path.is_file():
        hint = " (data.sbd_root: SBD, from which it can be derived)" * (data[role] == "train_aug")
        raise InputError(
            f"Configuration: data.{role} is {data[role]}, but there is no {path}{hint}."
        )
