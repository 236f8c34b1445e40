"""Image lists and image-level labels from a VOC devkit, or from one's own images and a CSV."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from wood.data.labels import write_labels
from wood.data.lists import check_ids, write_image_list
from wood.data.masks import VOC_CLASSES
from wood.data.tables import read_table, write_table
from wood.data.voc import (
    IMAGE_SETS,
    annotated_classes,
    annotation_path,
    check_classes,
    check_devkit,
    derive_train_aug,
    index_images,
    read_ids,
    read_image_set,
)
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.sentences import quoted

logger = logging.getLogger(__name__)


def prepare_voc(
    voc_root: str | Path,
    *,
    classes: Sequence[str],
    image_set: str,
    output_list: str | Path,
    output_labels: str | Path | None = None,
    skipped: str | Path | None = None,
    sbd_root: str | Path | None = None,
    image_sets: str | Path | None = None,
    all_classes: Sequence[str] = VOC_CLASSES,
    keep_unlabelled: bool = False,
    max_failed_fraction: float = 0.01,
) -> None:
    """Write the image list, and the image-level labels if asked for, of one image set.

    Labels come from the annotations, never from masks. `classes` is the data set's list
    `all_classes` or a part of it; images with none of `classes` are left out unless
    `keep_unlabelled`, with which a set without annotations (VOC's test images) can be listed too,
    as long as no labels are asked for. ``train_aug`` is derived with SBD's lists in `sbd_root` if
    the devkit has no such list. `image_sets` is a folder of other lists than the devkit's.

    Images whose annotation cannot be read are logged, listed in the CSV `skipped` (image_id,
    reason) and left out.

    Raises InputError if the devkit or the list is missing, empty or names an image twice or one
    that is not there, if an annotation names a class outside `all_classes`, if more than
    `max_failed_fraction` of the annotations are unreadable, if no image is left, or (with labels)
    if a class has no image or is on every one.
    """
    _check_class_list(classes, all_classes)
    if not (keep_unlabelled and output_labels is None):
        check_devkit(voc_root)
    image_ids = _image_ids(voc_root, image_set, sbd_root, image_sets)
    paths = _find_images(
        image_ids, Path(voc_root) / "JPEGImages", f"the image set {image_set!r} names"
    )
    if keep_unlabelled and output_labels is None:
        _write_unlabelled(output_list, paths)
        _write_skipped(skipped, {})
        return
    labels, failures = _read_annotations(voc_root, image_ids, classes, all_classes)
    _write_skipped(skipped, failures)
    _check_failures(failures, len(image_ids), max_failed_fraction)
    if not keep_unlabelled:
        labels = _drop_unlabelled(labels, f"{voc_root}: the image set {image_set!r}")
    if output_labels is not None:
        _check_every_class(labels, f"{voc_root}: the image set {image_set!r}")
    _write(output_list, output_labels, paths, labels)


def prepare_csv(
    csv: str | Path,
    images_folder: str | Path,
    *,
    classes: Sequence[str],
    output_list: str | Path,
    output_labels: str | Path | None = None,
) -> None:
    """Write the image list and image-level labels of one's own images.

    `csv` has the column image_id and one column of 0 and 1 per class; other columns are not read.
    The image of an id is the file of that name in `images_folder`, .jpg, .jpeg or .png. Images
    with none of `classes` stay: what shows none of them teaches what they are not.

    Raises InputError naming the file with its row and column if the CSV is missing or empty, a
    column is missing, a value is not 0 or 1, an id is empty, listed twice or not a plain file
    name, or an id has no image or several; and if no image shows a class, or a class has no image
    or is on every one.
    """
    _check_class_list(classes, classes)
    table = read_table(csv, ["image_id", *classes], "label file")
    if table.empty:
        raise InputError(f"{csv}: the label file names no image.")
    ids = check_ids(csv, table["image_id"])
    labels = _read_values(csv, table, classes).set_axis(pd.Index(ids, name="image_id"))
    paths = _find_images(labels.index, images_folder, f"{csv} names")
    if not labels.any(axis=None):
        raise InputError(f"{csv} has no image of the classes {', '.join(labels.columns)}.")
    _check_every_class(labels, str(csv))
    _write(output_list, output_labels, paths, labels)


def prepare_list(
    image_set: str | Path, images_folder: str | Path, *, output_list: str | Path
) -> None:
    """Write the image list of one's own images that a file names, one a line.

    Raises:
        InputError: the file is missing, empty or names an image twice, or an image is not in the
            folder or there twice.
    """
    ids = read_ids(image_set)
    _write_unlabelled(output_list, _find_images(ids, images_folder, f"{image_set} names"))


def _check_class_list(classes: Sequence[str], all_classes: Sequence[str]) -> None:
    if not classes:
        raise InputError("The list of classes is empty.")
    twice = [name for index, name in enumerate(classes) if name in classes[:index]]
    if twice:
        raise InputError(f"The list of classes names {twice[0]!r} twice.")
    unknown = [name for name in classes if name not in all_classes]
    if unknown:
        raise InputError(
            f"The class {unknown[0]!r} is not in the data set's list: {', '.join(all_classes)}."
        )


def _image_ids(
    voc_root: str | Path,
    image_set: str,
    sbd_root: str | Path | None,
    image_sets: str | Path | None,
) -> list[str]:
    path = Path(image_sets or Path(voc_root) / IMAGE_SETS) / f"{image_set}.txt"
    if image_set != "train_aug" or path.exists():
        return read_image_set(voc_root, image_set, image_sets)
    if sbd_root is None:
        raise InputError(
            f"{path}: no such image set, and no folder with SBD's lists to derive it from."
        )
    return derive_train_aug(voc_root, sbd_root)


def _find_images(image_ids: Iterable[str], folder: str | Path, who_names: str) -> dict[str, Path]:
    files = index_images(folder)
    paths = {}
    for image_id in image_ids:
        found = files.get(image_id, [])
        if not found:
            raise InputError(f"{folder}: there is no image {image_id!r}, which {who_names}.")
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise InputError(f"{folder}: the image {image_id!r} is there twice, as {names}.")
        paths[image_id] = found[0]
    return paths


def _read_annotations(
    voc_root: str | Path,
    image_ids: Sequence[str],
    classes: Sequence[str],
    all_classes: Sequence[str],
) -> tuple[pd.DataFrame, dict[str, str]]:
    rows, failures = {}, {}
    for image_id in progress(image_ids, len(image_ids), "annotations"):
        path = annotation_path(voc_root, image_id)
        try:
            names = annotated_classes(path)
        except InputError as error:
            logger.warning("skipped: %s", error)
            failures[image_id] = str(error)
            continue
        # A class that nobody knows is a wrong class list, not one bad file among thousands.
        check_classes(path, names, all_classes)
        rows[image_id] = [name in names for name in classes]
    labels = pd.DataFrame.from_dict(rows, orient="index", columns=list(classes), dtype=bool)
    return labels, failures


def _write_skipped(path: str | Path | None, failures: dict[str, str]) -> None:
    if path is not None:
        write_table(path, pd.DataFrame({"image_id": failures.keys(), "reason": failures.values()}))


def _check_failures(failures: dict[str, str], total: int, max_failed_fraction: float) -> None:
    if len(failures) > max_failed_fraction * total:
        raise InputError(
            f"{len(failures)} of {total} annotations cannot be read, more than the share of "
            f"{max_failed_fraction:g} allowed; the first: {next(iter(failures.values()))}"
        )


def _drop_unlabelled(labels: pd.DataFrame, source: str) -> pd.DataFrame:
    kept = labels[labels.any(axis=1)]
    if kept.empty:
        raise InputError(f"{source} has no image of the classes {', '.join(labels.columns)}.")
    if len(kept) < len(labels):
        logger.info(
            "%s: %d of %d images have none of the classes and are left out",
            source,
            len(labels) - len(kept),
            len(labels),
        )
    return kept


def _check_every_class(labels: pd.DataFrame, source: str) -> None:
    for name in labels.columns:
        if not labels[name].any():
            raise InputError(f"{source} has no image of the class {quoted(name)}.")
    for name in labels.columns:
        if labels[name].all():
            raise InputError(
                f"{source}: every image shows the class {quoted(name)}, so it cannot be told from "
                "what it is not; add images without it (in a CSV, with 0 in its column)."
            )


def _write_unlabelled(output_list: str | Path, paths: dict[str, Path]) -> None:
    _write(output_list, None, paths, pd.DataFrame(index=pd.Index(list(paths))))


def _write(
    output_list: str | Path,
    output_labels: str | Path | None,
    paths: dict[str, Path],
    labels: pd.DataFrame,
) -> None:
    images = [(image_id, str(paths[image_id])) for image_id in labels.index]
    write_image_list(output_list, pd.DataFrame(images, columns=["image_id", "path"]))
    if output_labels is not None:
        write_labels(output_labels, labels)
    counts = ", ".join(f"{name} {labels[name].sum()}" for name in labels.columns)
    logger.info("%s: %d images%s", output_list, len(images), f" ({counts})" if counts else "")


def _read_values(csv: str | Path, table: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    values = table[list(classes)]
    wrong = ~values.isin(["0", "1"])
    if wrong.any(axis=None):
        row = int(wrong.any(axis=1).to_numpy().argmax())
        column = wrong.columns[wrong.iloc[row].to_numpy().argmax()]
        raise InputError(
            f"{csv}: row {table.index[row]}, column {quoted(column)}: the value is 0 or 1, not "
            f"{quoted(table[column].iloc[row])}."
        )
    return values == "1"
