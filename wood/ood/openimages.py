"""Photographs and image-level labels of one's own classes from Open Images, for `data.source: csv`.

wood openimages --labels bed=Bed house=House --images photographs -o labels.csv
"""

import argparse
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from wood.data.tables import write_table
from wood.ood.buckets import IMAGE_COLUMNS
from wood.ood.candidates import CANDIDATES, filter_candidates
from wood.ood.download import IMAGE_BASE, OK, download_images
from wood.ood.metadata import BASE, SPLITS, fetch_metadata, read_metadata
from wood.runtime import store
from wood.runtime.errors import InputError
from wood.runtime.store import read_table
from wood.runtime.web import local_folder


def positive_labels(
    folder: str | Path,
    class_map: Mapping[str, Sequence[str]],
    *,
    base: str | Path = BASE,
    split: str = "validation",
    per_class: int | None = None,
) -> pd.DataFrame:
    """Return which images a person has verified to show which class.

    A label below one of `class_map` in the hierarchy counts as it does in the collection of OoD
    images, so that no image is in both sets. Machine-made labels and verified-absent rows do not.

    Args:
        folder: where downloaded metadata files go; a local `base` is used in place.
        class_map: for each class its labels in Open Images, by name or id.
        base: http(s)://, s3:// or a folder laid out as the public buckets.
        split: train, validation or test.
        per_class: at most so many images that are taken for a class (one that shows two classes
            may bring another above it), in the order of their ids, which are random; None takes
            all.

    Returns:
        One boolean column per class, indexed by image_id; images of no class are left out.

    Raises:
        InputError: bad metadata, an unknown label, or a class without images.
    """
    folder = Path(folder)
    classes = list(class_map)
    fetch_metadata(folder, base=base, splits=[split])
    with tempfile.TemporaryDirectory(prefix=".labels.", dir=folder) as temporary:
        candidates, reasons = (Path(temporary) / name for name in ("rest.parquet", "found.parquet"))
        filter_candidates(folder, candidates, reasons, classes=classes, class_map=class_map)
        found = read_table(reasons)
    found = found[found["source"] == "human"]
    labels = pd.crosstab(found["image_id"], found["class"]).reindex(columns=classes, fill_value=0)
    labels = labels.astype(bool).sort_index()
    empty = [name for name in classes if not labels[name].any()]
    if empty:
        raise InputError(f"{base}: no image of {split} is verified to show {empty[0]!r}.")
    if per_class is None:
        return labels
    return labels[(labels & (labels.cumsum() <= per_class)).any(axis=1)]


def write_labels_csv(path: str | Path, labels: pd.DataFrame) -> None:
    """Write labels as `wood.data.prepare.prepare_csv` reads them: image_id, then 0 and 1."""
    write_table(path, labels.astype(int).rename_axis("image_id"), index=True)


def photographs(
    metadata: str | Path,
    labels: pd.DataFrame,
    images: str | Path,
    *,
    base: str = IMAGE_BASE,
    split: str = "validation",
) -> pd.DataFrame:
    """Download the photographs of `labels` to <images>/<split>/<id>.jpg, those that are not there.

    Args:
        metadata: the folder that `positive_labels` filled.
        labels: what it returned.
        images: the folder.
        base: where <split>/<id>.jpg lie: http(s):// or s3:// (unsigned).
        split: of the labels.

    Returns:
        The labels of those that could be had; what became of each is in
        <metadata>/photographs-<split>.parquet.

    Raises:
        InputError: as `download_images`; or `base` is a folder, where they are already.
    """
    if (folder := local_folder(base)) is not None:
        raise InputError(f"{folder} is a folder: its photographs are there; leave out --images.")
    path = Path(metadata) / f"photographs-{split}.parquet"
    with tempfile.TemporaryDirectory(prefix=".photographs.", dir=metadata) as temporary:
        wanted = Path(temporary) / "wanted.parquet"
        store.write_table(wanted, _listed(metadata, split, labels.index))
        found = download_images(wanted, images, path, base=base)
    return labels.loc[labels.index.isin(found.loc[found["status"] == OK, "image_id"])]


def _listed(metadata: str | Path, split: str, image_ids: pd.Index) -> pd.DataFrame:
    """What the image list says of some images, as `download_images` reads it.

    `positive_labels` has checked the list.
    """
    table = pd.read_csv(
        read_metadata(metadata)["images"][split],
        dtype=str,
        keep_default_na=False,
        usecols=lambda name: name in IMAGE_COLUMNS,
        chunksize=100_000,
    )
    rows = pd.concat(part[part["ImageID"].str.strip().isin(image_ids)] for part in table)
    rows = rows.rename(columns=IMAGE_COLUMNS).reindex(columns=["url", *IMAGE_COLUMNS.values()])
    rows = rows.assign(
        image_id=rows["image_id"].str.strip(),
        split=split,
        labels="",
        url=rows["landing_url"],
        rotation=pd.to_numeric(rows["rotation"], errors="coerce"),
    )
    return rows[CANDIDATES.names].sort_values("image_id").reset_index(drop=True)


def _class_entry(text: str) -> tuple[str, list[str]]:
    name, _, labels = text.partition("=")
    if not name or not labels:
        raise argparse.ArgumentTypeError(f"{text!r} is not class=Label or class=Label,Label")
    return name, labels.split(",")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `wood openimages` takes."""
    parser.add_argument("--base", default=BASE, help="address or folder (default: %(default)s)")
    parser.add_argument("--split", default="validation", choices=SPLITS)
    parser.add_argument("--labels", nargs="+", required=True, type=_class_entry, metavar="C=LABEL")
    parser.add_argument(
        "--per-class", type=int, metavar="N", help="images for a class; default all"
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="download the photographs to FOLDER/<split>; default: labels alone",
    )
    parser.add_argument(
        "--image-base",
        metavar="ADDRESS",
        default=IMAGE_BASE,
        help="address of <split>/<id>.jpg (default: %(default)s)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help=".csv file")


def run(options: argparse.Namespace) -> int:
    """Write the CSV of labels, and print how many images of each class it has."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    metadata = options.output.parent / "metadata"
    labels = positive_labels(
        metadata,
        dict(options.labels),
        base=options.base,
        split=options.split,
        per_class=options.per_class,
    )
    if options.images:
        labels = photographs(
            metadata, labels, options.images, base=options.image_base, split=options.split
        )
    write_labels_csv(options.output, labels)
    counts = ", ".join(f"{name} {count}" for name, count in labels.sum().items())
    print(f"{options.output}: {len(labels)} images ({counts})")
    return 0
