"""Candidate OoD images: Open Images without the foreground classes (paper, Sec. 3.1).

`wood.ood.buckets` reads and sorts the rows; what follows works on one bucket at a time.
"""

import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wood.ood.buckets import Buckets
from wood.ood.labels_map import foreground_labels, read_hierarchy, read_label_names
from wood.ood.metadata import read_metadata
from wood.ood.parquet import row_groups
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.sentences import quoted
from wood.runtime.store import atomic_path

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

CANDIDATES = pa.schema(
    [
        ("image_id", pa.string()),
        ("split", pa.string()),
        ("labels", pa.string()),
        ("license", pa.string()),
        ("author", pa.string()),
        ("url", pa.string()),
        ("thumbnail_url", pa.string()),
        ("original_url", pa.string()),
        ("rotation", pa.int16()),
    ]
)
EXPLANATION = pa.schema(
    [
        ("image_id", pa.string()),
        ("class", pa.string()),
        ("label", pa.string()),
        ("source", pa.string()),
        ("confidence", pa.float32()),
    ]
)


@dataclass(frozen=True)
class CandidateCounts:
    """How many images were listed, excluded by a foreground label, and kept as candidates."""

    listed: int
    excluded: int
    candidates: int

    def __str__(self) -> str:
        return (
            f"{self.listed} images listed, {self.excluded} excluded by a foreground label, "
            f"{self.candidates} candidates"
        )


@dataclass
class Join:
    """What of image lists and label files did not meet: ids of images without a positive label,
    how many labelled images are not listed, and one of them."""

    alone: list[str]
    elsewhere: int = 0
    example: str = ""


def filter_candidates(
    metadata: str | Path | Mapping[str, Any],
    output: str | Path,
    explanation: str | Path,
    *,
    classes: Sequence[str],
    class_map: Mapping[str, Any] | str | Path | None = None,
    machine_threshold: float = 0.5,
    splits: Sequence[str] | None = None,
    max_candidates: int | None = None,
    max_unlabelled_fraction: float = 0.1,
    seed: int = 0,
) -> CandidateCounts:
    """Write the images of Open Images that no label says to hold a foreground object.

    Beside `output` this sorts the rows into buckets, about 10 bytes for each positive label.

    An image is excluded by a label of a foreground class (its descendants and finer labels
    included, see `foreground_labels`) that is human-verified positive (Confidence 1) or
    machine-made at `machine_threshold` or above. Verified-absent rows (Confidence 0) never exclude.

    Args:
        metadata: what `fetch_metadata` wrote: metadata.json, its folder, or its value.
        output: Parquet of candidates, ordered by image_id: image_id, split, labels (names of the
            positive labels; the machine's with their confidence), license, author, url (where the
            image can be seen), thumbnail_url, original_url, rotation (degrees counter-clockwise).
        explanation: Parquet of every reason for every exclusion: image_id, class, label, source
            ("human" or "machine"), confidence.
        classes: foreground classes.
        class_map: the user's own labels for classes, see `foreground_labels`.
        machine_threshold: least confidence in [0, 1] at which a machine label counts.
        splits: None takes all that the metadata has.
        max_candidates: keep a random sample of this many; the same for the same seed.
        max_unlabelled_fraction: share of the listed images that no row of the label files may
            name: nothing keeps them from being candidates, whatever they show.
        seed: of the sample.

    Raises:
        InputError: a label, a column, a row or an image id is bad, labels and lists do not belong
            together, or no candidate is left.
    """
    index = read_metadata(metadata)
    splits = list(splits) if splits is not None else list(index["images"])
    _check_settings(index, classes, machine_threshold, splits, max_candidates)
    names = read_label_names(index["classes"])
    foreground = foreground_labels(classes, names, read_hierarchy(index["hierarchy"]), class_map)
    (beside := Path(output).parent).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".buckets.", dir=beside) as folder:
        rows = Buckets(Path(folder), index, splits, machine_threshold)
        rows.sort_labels(set(names.names))
        rows.sort_images()
        with atomic_path(explanation) as reasons, atomic_path(output) as kept:
            counts, join = _filter_buckets(rows, kept, reasons, names.names, foreground)
            _check_join(rows, join, counts.listed, max_unlabelled_fraction)
            _check_some(counts, rows)
            if max_candidates is not None and counts.candidates > max_candidates:
                _sample(kept, max_candidates, seed)
                counts = replace(counts, candidates=max_candidates)
    logger.info("%s", counts)
    return counts


def _check_settings(
    index: Mapping[str, Any],
    classes: Sequence[str],
    machine_threshold: float,
    splits: Sequence[str],
    max_candidates: int | None,
) -> None:
    if not classes:
        raise InputError("classes: name at least one foreground class.")
    if not 0 <= machine_threshold <= 1:
        raise InputError(f"machine_threshold: {machine_threshold} is not between 0 and 1.")
    if max_candidates is not None and max_candidates < 1:
        raise InputError(f"max_candidates: {max_candidates} is not a positive number.")
    for split in splits:
        if split not in index["images"]:
            raise InputError(f"splits: the metadata has no split {split!r}.")


def _check_some(counts: CandidateCounts, buckets: Buckets) -> None:
    if not counts.candidates:
        lists = ", ".join(map(str, buckets.image_files.values()))
        reason = "is without a foreground label" if counts.listed else "is listed"
        raise InputError(f"{lists}: no image {reason}, so there is no candidate.")


def _filter_buckets(
    buckets: Buckets,
    kept: Path,
    reasons: Path,
    names: Mapping[str, str],
    foreground: Mapping[str, str],
) -> tuple[CandidateCounts, Join]:
    import polars as pl

    name_table = pl.DataFrame(
        {"label": list(names), "name": list(names.values())},
        schema={"label": pl.String, "name": pl.String},
    )
    foreground_table = pl.DataFrame(
        {"label": list(foreground), "class": list(foreground.values())},
        schema={"label": pl.String, "class": pl.String},
    )
    listed = excluded = candidates = 0
    join = Join([])
    with (
        pq.ParquetWriter(kept, CANDIDATES, compression="zstd") as keep,
        pq.ParquetWriter(reasons, EXPLANATION, compression="zstd") as explain,
    ):
        numbers = progress(range(buckets.count), buckets.count, "filtering candidates")
        for number in numbers:
            images = buckets.images(number)
            labels = buckets.labels(number)
            listed += len(images)
            known = labels.join(images.select("image_id"), on="image_id", how="semi")
            join.alone += images.join(labels, on="image_id", how="anti")["image_id"].to_list()
            strangers = labels.join(images, on="image_id", how="anti")["image_id"].unique()
            join.elsewhere += len(strangers)
            join.example = join.example or next(iter(strangers.sort().head(1)), "")
            found = known.join(foreground_table, on="label")
            explain.write_table(
                _with_names(found, name_table)
                .select("image_id", "class", pl.col("name").alias("label"), "source", "confidence")
                .sort("image_id", "label", "source", "confidence")
                .to_arrow()
                .cast(EXPLANATION)
            )
            remaining = images.join(found.select("image_id"), on="image_id", how="anti")
            excluded += len(images) - len(remaining)
            candidates += len(remaining)
            of_remaining = known.join(remaining.select("image_id"), on="image_id", how="semi")
            shown = _shown_labels(_with_names(of_remaining, name_table))
            table = remaining.join(shown, on="image_id", how="left")
            keep.write_table(_candidate_columns(table).to_arrow().cast(CANDIDATES))
    if join.elsewhere:
        logger.info(
            "%d labelled images are not in the image lists and are left out", join.elsewhere
        )
    return CandidateCounts(listed, excluded, candidates), join


def _check_join(buckets: Buckets, join: Join, listed: int, most: float) -> None:
    """Refuse image lists and label files that do not belong together.

    An image that no label names stays a candidate, whatever it shows. Labels that are not positive
    are looked at only where it matters: they are most of the rows.
    """
    alone = join.alone
    if len(alone) <= most * listed and (len(alone) < listed or not listed):
        return
    alone = buckets.without_rows(alone)
    lists = ", ".join(map(str, buckets.image_files.values()))
    labels = ", ".join(map(str, buckets.label_files.values()))
    theirs = f", which name {quoted(join.example)}, for one" if join.example else ""
    if len(alone) == listed:
        raise InputError(
            f"{lists}: none of the {listed} images, such as {quoted(alone[0])}, is in {labels}"
            f"{theirs}: the files do not belong together."
        )
    if len(alone) > most * listed:
        raise InputError(
            f"{lists}: {len(alone)} of {listed} images, such as {quoted(alone[0])}, are not in "
            f"{labels}{theirs}: more than the share of {most:g} that "
            "ood.openimages.max_unlabelled_fraction allows."
        )


def _with_names(labels: "pl.DataFrame", names: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    # A label that the description file does not know is shown by its id.
    return labels.join(names, on="label", how="left").with_columns(
        pl.coalesce("name", "label").alias("name")
    )


def _shown_labels(named: "pl.DataFrame") -> "pl.DataFrame":
    """Return one string an image: its labels, the human-verified first, then by confidence."""
    import polars as pl

    text = (
        pl.when(pl.col("source") == "human")
        .then(pl.col("name"))
        .otherwise(pl.format("{} ({})", "name", pl.col("confidence").round(2)))
    )
    return (
        named.sort(["source", "confidence", "name"], descending=[False, True, False])
        .group_by("image_id")
        .agg(text.str.join("; ").alias("labels"))
    )


def _candidate_columns(table: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    texts = ("labels", "license", "author", "thumbnail_url", "original_url", "landing_url")
    return (
        table.with_columns(pl.col(name).fill_null("") for name in texts)
        .with_columns(
            pl.when(pl.col("landing_url") != "")
            .then(pl.col("landing_url"))
            .otherwise(pl.col("original_url"))
            .alias("url"),
        )
        .sort("image_id")
        .select(CANDIDATES.names)
    )


def _sample(path: Path, count: int, seed: int) -> None:
    """Keep the `count` candidates with the smallest keyed hash of their id.

    Neither the order nor the other images change which of two images is preferred, so that a
    larger sample holds the smaller one.
    """
    key = f"{seed % 10**16:016d}"

    def hashes(table: pa.Table) -> np.ndarray:
        ids = table.column("image_id").to_numpy(zero_copy_only=False)
        return pd.util.hash_array(ids, hash_key=key, categorize=False)

    values = np.concatenate([hashes(table) for table in row_groups(path, ["image_id"])])
    limit = np.partition(values, count - 1)[count - 1]
    sampled = path.with_name(f"{path.name}.sample")
    with pq.ParquetWriter(sampled, CANDIDATES, compression="zstd") as writer:
        for table in row_groups(path):
            writer.write_table(table.filter(pa.array(hashes(table) <= limit)))
    shutil.move(sampled, path)
