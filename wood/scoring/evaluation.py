"""Scores of masks on disk: pseudo ground-truth masks and a network's predictions."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wood.data.image_ids import file_id, file_of
from wood.data.lists import half, read_image_list
from wood.data.masks import VOC_CLASSES, check_values, load_mask, load_target
from wood.metrics import SegmentationScores
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.sentences import quoted
from wood.runtime.store import write_json
from wood.scoring.per_image import write_counts

logger = logging.getLogger(__name__)

HALVES = ("A", "B")


def score_pseudo_masks(
    mask_dirs: Sequence[str | Path],
    seed_crf_dirs: Sequence[str | Path],
    target_dir: str | Path,
    image_list: str | Path,
    *,
    class_names: Sequence[str],
    split: str,
    output: str | Path,
    all_classes: Sequence[str] = VOC_CLASSES,
) -> None:
    """Score pseudo ground-truth masks, and beside them the seeds with dense CRF (Table 2).

    The JSON is that of `score_masks` for the masks, with `stages`: {"seed_crf", "mask"}, the
    summaries. The masks' pixel counts of each image lie beside it (`wood.scoring.per_image`).
    Images without a true mask are left out.
    """
    folders_of = {"seed_crf": seed_crf_dirs, "mask": mask_dirs}
    names = {"class_names": class_names, "all_classes": all_classes}
    results, counts = _score_each(folders_of, target_dir, image_list, split=split, **names)
    stages = {name: _summary(result) for name, result in results.items()}
    write_counts(output, {"mask": counts["mask"]}, ("background", *class_names))
    write_json(output, {**results["mask"], "stages": stages})


def score_segmentation(
    prediction_dirs: Sequence[str | Path],
    crf_dirs: Sequence[str | Path],
    target_dir: str | Path,
    image_list: str | Path,
    *,
    class_names: Sequence[str],
    split: str,
    output: str | Path,
    all_classes: Sequence[str] = VOC_CLASSES,
) -> None:
    """Score a network's predictions (Table 3), without and with dense CRF.

    The JSON is that of `score_masks` for the predictions without CRF, with `crf`, the summary with
    it (None without `crf_dirs`). Pixel counts of each image, of the steps "network" and "crf", lie
    beside it (`wood.scoring.per_image`). Images without a true mask are left out.
    """
    folders_of = {"network": prediction_dirs, "crf": crf_dirs}
    names = {"class_names": class_names, "all_classes": all_classes}
    results, counts = _score_each(folders_of, target_dir, image_list, split=split, **names)
    write_counts(output, counts, ("background", *class_names))
    crf = _summary(results["crf"]) if "crf" in results else None
    write_json(output, {**results["network"], "crf": crf})


def _score_each(
    folders_of: Mapping[str, Sequence[str | Path]],
    target_dir: str | Path,
    image_list: str | Path,
    **settings: Any,
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, np.ndarray]]]:
    """Score the masks of each step that has some; the counts of its images apart."""
    results = {
        step: score_masks(folders, target_dir, image_list, **settings)
        for step, folders in folders_of.items()
        if folders
    }
    return results, {step: result.pop("per_image") for step, result in results.items()}


def _summary(result: Mapping[str, Any]) -> dict[str, Any]:
    return {key: result[key] for key in ("miou", "precision", "recall", "f1", "per_class")}


def score_masks(
    prediction_dirs: Sequence[str | Path],
    target_dir: str | Path,
    image_list: str | Path,
    *,
    class_names: Sequence[str],
    split: str,
    all_classes: Sequence[str] = VOC_CLASSES,
) -> dict[str, Any]:
    """Score the predicted masks of the listed images that have a true mask.

    Args:
        prediction_dirs: the folders (one a shard) with <image_id>.png; values are 0 for the
            background, 1-based places in `class_names`, and 255, which counts as background.
        target_dir: the folder of true masks, with values of the data set's list `all_classes`.
        image_list: CSV of the images to score.
        class_names: the foreground classes; true masks of other classes are background.
        split: the name of the image set, for the record.
        all_classes: the data set's full class list.

    Returns:
        The summary of `SegmentationScores`, `split`, `images` (scored), `missing` (of them without
        a prediction, all background), `without_target` (listed images left out), `halves`, the
        summary and `images` of each half of the images, and `per_image`, the (3, C) counts of each
        image (`SegmentationScores.counts`).

    Raises InputError if a folder is missing, no image has a true mask or none has a predicted one,
    or a mask is damaged, of another size than its counterpart, or has a value that is no class.
    """
    _check_folders(*prediction_dirs, target_dir)
    image_ids, without_target = with_targets(image_list, target_dir)
    predictions = _predictions(prediction_dirs, image_ids, image_list)
    names = ("background", *class_names)
    scores = {name: SegmentationScores(names) for name in HALVES}
    per_image = {}
    for image_id in progress(image_ids, len(image_ids), "masks scored"):
        path = file_of(target_dir, image_id, ".png")
        target = load_target(path, class_names, all_classes=all_classes)
        prediction = None
        if image_id in predictions:
            prediction = load_mask(predictions[image_id], target.shape)
            check_values(predictions[image_id], prediction, len(class_names))
        one = SegmentationScores(names)
        one.update(target, prediction)
        per_image[image_id] = one.counts()
        scores[half(image_id)].merge(one)
    whole = SegmentationScores(names)
    for part in scores.values():
        whole.merge(part)
    return {
        **whole.summary(),
        "split": split,
        "images": whole.images,
        "missing": len(image_ids) - len(predictions),
        "without_target": len(without_target),
        "halves": {
            name: {**part.summary(), "images": part.images} for name, part in scores.items()
        },
        "per_image": per_image,
    }


def _check_folders(*folders: str | Path) -> None:
    for folder in folders:
        if not Path(folder).is_dir():
            raise InputError(f"{folder}: there is no such folder of masks.")


def _predictions(
    folders: Sequence[str | Path], image_ids: Sequence[str], image_list: str | Path
) -> dict[str, Path]:
    """Return the predicted masks of these images, by their ids; some may have none, not all."""
    files = (path for folder in folders for path in sorted(Path(folder).glob("*.png")))
    wanted = set(image_ids)
    found = {file_id(path): path for path in files if file_id(path) in wanted}
    if not found:
        raise InputError(
            f"{', '.join(map(str, folders))}: none of the {len(image_ids)} images of {image_list}, "
            f"such as {quoted(image_ids[0])}, has a predicted mask."
        )
    if missing := len(image_ids) - len(found):
        logger.warning("%d of %d images have no predicted mask", missing, len(image_ids))
    return found


def with_targets(image_list: str | Path, target_dir: str | Path) -> tuple[list[str], list[str]]:
    """The listed image ids that have a true mask in `target_dir`, and those that have none.

    Raises InputError if none has one.
    """
    image_ids = read_image_list(image_list)["image_id"].tolist()
    masks = {file_id(path) for path in Path(target_dir).glob("*.png")}
    if masks.isdisjoint(image_ids):
        raise InputError(f"{target_dir}: there is no mask of the images in {image_list}.")
    return (
        [image_id for image_id in image_ids if image_id in masks],
        [image_id for image_id in image_ids if image_id not in masks],
    )
