"""The configuration's data set and its collection of OoD images, checked against themselves."""

from collections.abc import Mapping

from wood.runtime.errors import InputError
from wood.workflow.resolve import Tree, classifier, needed_hard_ood, network_sees_ood, present


def check_data(config: Tree) -> None:
    """Check that the data set and the collection of OoD images have what their sources need.

    Raises:
        InputError: names the key and what is wrong with it.
    """
    from wood.data.masks import VOC_CLASSES

    data, ood = config["data"], config["ood"]
    if data["test"] is not None and data["source"] != "voc":
        raise InputError("Configuration: data.test is an image set of a devkit (data.source: voc).")
    if data["test"] is not None and tuple(config["classes"]) != VOC_CLASSES:
        raise InputError(
            "Configuration: data.test is for VOC's evaluation server, which takes masks of VOC's "
            "20 classes only, in their order (classes)."
        )
    needed = {
        "voc": [("data.voc_root", data["voc_root"])],
        "csv": [("data.labels_csv", data["labels_csv"]), ("data.images", data["images"])],
        "demo": [],
    }[data["source"]]
    if data["source"] == "csv" and data["masks"] is not None:
        # Which of the images have masks.
        needed += [("data.image_sets", data["image_sets"])]
    if ood["source"] == "list":
        needed += [("ood.list", ood["list"]), ("ood.images", ood["images"])]
    if ood["source"] == "openimages" and data["source"] != "demo":
        needed += [("ood.openimages.base", ood["openimages"]["base"])]
    for key, value in needed:
        if value is None:
            raise InputError(f"Configuration: {key} is needed with this source, and is null.")
    for name in present(config["experiments"]) if ood["source"] == "none" else []:
        if network_sees_ood(config, name):
            raise InputError(
                f"Configuration: experiments.{name}.segmentation.ood takes OoD images, but "
                "ood.source is none."
            )
    if ood["source"] != "none":
        scoring = ood["classifier"]
        if scoring not in present(config["classifiers"]):
            raise InputError(
                f"Configuration: ood.classifier is {scoring!r}, which is not one of the "
                "classifiers."
            )
        if classifier(config, scoring)["wood"]:
            raise InputError(
                f"Configuration: ood.classifier is {scoring!r}, which itself needs OoD images."
            )
    _check_rejects(config)
    _check_wanted(config)
    if isinstance(ood["threshold"], Mapping):
        unknown = [name for name in ood["threshold"] if name not in config["classes"]]
        if unknown:
            raise InputError(
                f"Configuration: ood.threshold names {unknown[0]!r}, which is not one of the "
                "classes."
            )


def _check_wanted(config: Tree) -> None:
    """As many images can be accepted as are needed; a run waits until they are."""
    ood, needed = config["ood"], needed_hard_ood(config)
    wanted, cap = ood["review"]["wanted"], ood["cap_per_class"]
    limits = [limit for limit in (wanted, cap) if limit is not None]
    if ood["source"] != "openimages" or ood["review"]["policy"] != "decisions" or not limits:
        return
    if min(limits) * len(config["classes"]) < needed:
        key = "review.wanted" if min(limits) == wanted else "cap_per_class"
        raise InputError(
            f"Configuration: ood.{key} is {min(limits)}, with {len(config['classes'])} classes "
            f"fewer than the {needed} hard OoD images that the classifiers need (wood.clusters, "
            "wood.batch_size)."
        )


def _check_rejects(config: Tree) -> None:
    """Rejected candidates come from a review, and their scores from a classifier without them."""
    ood, scoring = config["ood"], config["ood"]["classifier"]
    for name in present(config["classifiers"]):
        if not classifier(config, name)["data"]["rejects"]:
            continue
        where = f"Configuration: classifiers.{name}.data.rejects is true"
        if ood["source"] != "openimages" or ood["review"]["policy"] == "none":
            raise InputError(f"{where}, but nobody reviews candidates (ood.review.policy).")
        while scoring is not None:
            if scoring == name:
                raise InputError(f"{where}, but ood.classifier, which finds them, needs it.")
            scoring = classifier(config, scoring)["init"]
        scoring = ood["classifier"]
