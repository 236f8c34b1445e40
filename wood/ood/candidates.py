"""Candidate OoD images: Open Images without the foreground classes (paper, Sec. 3.1).

The label files of Open Images have over a hundred million rows. They are read once, as a stream,
and sorted into buckets by the first two digits of the image id; what follows works on one bucket
at a time, so that memory does not grow with the number of rows.
"""

import csv
import logging
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wood.ood.image_ids import SAFE_ID, check_image_id
from wood.ood.labels_map import foreground_labels, read_hierarchy, read_label_names
from wood.ood.metadata import read_metadata
from wood.ood.parquet import row_groups
from wood.runtime.errors import InputError
from wood.runtime.progress import progress
from wood.runtime.store import atomic_path

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

BUCKET_BYTES = 1 << 26
MAX_BUCKETS = 256
ROWS_WAITING = 1 << 20  # in all buckets together, for their next row group
LABEL_COLUMNS = ("ImageID", "LabelName", "Confidence")
IMAGE_COLUMNS = {
    "ImageID": "image_id",
    "License": "license",
    "Author": "author",
    "OriginalLandingURL": "landing_url",
    "OriginalURL": "original_url",
    "Thumbnail300KURL": "thumbnail_url",
    "Rotation": "rotation",
}
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
    seed: int = 0,
    temporary: str | Path | None = None,
) -> CandidateCounts:
    """Write the images of Open Images that no label says to hold a foreground object.

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
        seed: of the sample.
        temporary: folder for the buckets (about 10 bytes a positive label row); None takes the
            folder of `output`.

    Raises:
        InputError: a label, a column, a row or an image id is bad, or no candidate is left.
    """
    if not classes:
        raise InputError("classes: name at least one foreground class.")
    if not 0 <= machine_threshold <= 1:
        raise InputError(f"machine_threshold: {machine_threshold} is not between 0 and 1.")
    if max_candidates is not None and max_candidates < 1:
        raise InputError(f"max_candidates: {max_candidates} is not a positive number.")
    index = read_metadata(metadata)
    splits = list(splits) if splits is not None else list(index["images"])
    for split in splits:
        if split not in index["images"]:
            raise InputError(f"splits: the metadata has no split {split!r}.")
    names = read_label_names(index["classes"])
    foreground = foreground_labels(classes, names, read_hierarchy(index["hierarchy"]), class_map)
    output = Path(output)
    folder = Path(temporary) if temporary else output.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".buckets.", dir=folder) as buckets:
        sorter = _Sorter(Path(buckets), index, splits, machine_threshold)
        sorter.sort_labels(set(names.names))
        sorter.sort_images()
        with atomic_path(explanation) as reasons, atomic_path(output) as kept:
            counts = _filter_buckets(sorter, kept, reasons, names.names, foreground)
            if not counts.candidates:
                lists = ", ".join(index["images"][split] for split in splits)
                reason = "is without a foreground label" if counts.listed else "is listed"
                raise InputError(f"{lists}: no image {reason}, so there is no candidate.")
            if max_candidates is not None and counts.candidates > max_candidates:
                _sample(kept, max_candidates, seed)
                counts = CandidateCounts(counts.listed, counts.excluded, max_candidates)
    logger.info(
        "%d images listed, %d excluded by a foreground label, %d candidates",
        counts.listed,
        counts.excluded,
        counts.candidates,
    )
    return counts


class _Sorter:
    """Sorts the rows of label files and image lists into buckets of image ids."""

    def __init__(
        self, folder: Path, index: Mapping[str, Any], splits: Sequence[str], threshold: float
    ) -> None:
        self.folder = folder
        self.label_files = {
            (source, split): Path(index[source][split])
            for source in ("human", "machine")
            for split in splits
        }
        self.image_files = {split: Path(index["images"][split]) for split in splits}
        self.threshold = threshold
        files = [*self.label_files.values(), *self.image_files.values()]
        for path in files:
            if not path.is_file():
                raise InputError(f"{path}: no such metadata file.")
        size = sum(path.stat().st_size for path in files)
        self.buckets = min(MAX_BUCKETS, size // BUCKET_BYTES + 1)

    def _sink(self, rows: "pl.LazyFrame", kind: str, path: Path) -> None:
        import polars as pl

        # Ids of Open Images are 16 hexadecimal digits; others all go to the first bucket.
        prefix = pl.col("image_id").str.slice(0, 2).str.to_integer(base=16, strict=False)
        bucket = (prefix.fill_null(0) * self.buckets // 256).clip(0).cast(pl.UInt8)
        target = pl.PartitionBy(
            self.folder / kind,
            key={"bucket": bucket},
            include_key=False,
            approximate_bytes_per_file=1 << 60,
        )
        try:
            rows.sink_parquet(
                target,
                compression="lz4",
                row_group_size=ROWS_WAITING // self.buckets,
                mkdir=True,
                engine="streaming",
            )
        except pl.exceptions.ComputeError as error:
            raise InputError(f"{path}: {str(error).splitlines()[0]}.") from None

    def sort_labels(self, known: set[str]) -> None:
        """Keep the positive rows of all label files: image_id, label, source, confidence."""
        import polars as pl

        for (source, split), path in self.label_files.items():
            logger.info("reading %s", path)
            _require_columns(path, LABEL_COLUMNS)
            confidence = pl.col("Confidence").cast(pl.Float32, strict=False)
            bad = confidence.is_null() | pl.col("ImageID").is_null() | pl.col("LabelName").is_null()
            threshold = 1.0 if source == "human" else self.threshold
            rows = (
                pl.scan_csv(
                    path,
                    infer_schema=False,
                    encoding="utf8-lossy",
                    quote_char=None,
                    truncate_ragged_lines=True,
                )
                .filter((confidence >= threshold) | bad)
                .select(
                    pl.col("ImageID").fill_null("").alias("image_id"),
                    pl.when(bad).then(None).otherwise(pl.col("LabelName")).alias("label"),
                    confidence.alias("confidence"),
                )
            )
            self._sink(rows, f"{source}-{split}", path)
            self._refuse_bad_rows(path, f"{source}-{split}", known)

    def _refuse_bad_rows(self, path: Path, kind: str, known: set[str]) -> None:
        import polars as pl

        files = list((self.folder / kind).rglob("*.parquet"))
        if not files:
            return
        labels = pl.scan_parquet(files).select(pl.col("label").unique()).collect(engine="streaming")
        found = set(labels["label"])
        if None in found:
            number, reason = _first_bad_row(path)
            raise InputError(f"{path}: row {number} {reason}.")
        unknown = found - known
        if found and len(unknown) == len(found):
            raise InputError(
                f"{path}: none of its labels, such as {min(unknown)!r}, is in the class "
                "description file; is it of another version?"
            )
        if unknown:
            logger.warning("%s: %d labels have no name", path, len(unknown))

    def sort_images(self) -> None:
        """Keep the wanted columns of all image lists."""
        import polars as pl

        for split, path in self.image_files.items():
            logger.info("reading %s", path)
            header = _require_columns(path, ("ImageID",))
            _refuse_short_rows(path)
            rows = pl.scan_csv(
                path, infer_schema=False, encoding="utf8-lossy", truncate_ragged_lines=True
            ).select(
                (pl.col(column) if column in header else pl.lit(None, pl.String)).alias(name)
                for column, name in IMAGE_COLUMNS.items()
            )
            self._sink(rows.with_columns(pl.col("image_id").fill_null("")), f"images-{split}", path)

    def bucket(self, kind: str, number: int) -> "pl.DataFrame | None":
        """Return the rows of one bucket of one file, None where it has none."""
        import polars as pl

        files = sorted((self.folder / kind / f"bucket={number}").glob("*.parquet"))
        return pl.read_parquet(files, hive_partitioning=False) if files else None


def _require_columns(path: Path, columns: Sequence[str]) -> list[str]:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            header = next(csv.reader(file), [])
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file ({error}).") from None
    for column in columns:
        if column not in header:
            raise InputError(f"{path}: the column {column!r} is missing.")
    return header


def _refuse_short_rows(path: Path) -> None:
    """Refuse a row with too few columns, which polars would fill up without a word."""
    from pyarrow import csv as quick

    only_ids = quick.ConvertOptions(
        include_columns=["ImageID"], column_types={"ImageID": pa.binary()}
    )
    parse = quick.ParseOptions(newlines_in_values=True)
    try:
        with quick.open_csv(path, parse_options=parse, convert_options=only_ids) as batches:
            for _ in batches:
                pass
    except pa.ArrowInvalid:
        # Some row has another number of columns; too many do no harm.
        if short := _first_short_row(path):
            raise InputError(f"{path}: {short}.") from None


def _first_short_row(path: Path) -> str | None:
    number = 1
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file)
        columns = len(next(rows))
        try:
            for number, row in enumerate(rows, start=2):
                if row and len(row) < columns:
                    return f"row {number} has {len(row)} columns, not {columns}"
        except csv.Error as error:
            return f"row {number + 1} is not CSV ({error})"
    return None


def _first_bad_row(path: Path) -> tuple[int, str]:
    """Find the row that made the fast reader stumble, for the message."""
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file, quoting=csv.QUOTE_NONE)
        header = next(rows)
        places = [header.index(column) for column in LABEL_COLUMNS]
        for number, row in enumerate(rows, start=2):
            if len(row) <= max(places):
                return number, f"has {len(row)} columns, not {len(header)}"
            image_id, label, confidence = (row[place] for place in places)
            if not image_id or not label:
                return number, "has no image id or no label"
            try:
                float(confidence)
            except ValueError:
                return number, f"has the confidence {confidence!r}, which is no number"
    return 0, "cannot be read"


def _filter_buckets(
    sorter: _Sorter,
    kept: Path,
    reasons: Path,
    names: Mapping[str, str],
    foreground: Mapping[str, str],
) -> CandidateCounts:
    import polars as pl

    name_table = pl.DataFrame(
        {"label": list(names), "name": list(names.values())},
        schema={"label": pl.String, "name": pl.String},
    )
    foreground_table = pl.DataFrame(
        {"label": list(foreground), "class": list(foreground.values())},
        schema={"label": pl.String, "class": pl.String},
    )
    listed = excluded = candidates = elsewhere = 0
    with (
        pq.ParquetWriter(kept, CANDIDATES, compression="zstd") as keep,
        pq.ParquetWriter(reasons, EXPLANATION, compression="zstd") as explain,
    ):
        numbers = progress(range(sorter.buckets), sorter.buckets, "filtering candidates")
        for number in numbers:
            images = _images(sorter, number)
            labels = _labels(sorter, number)
            listed += len(images)
            known = labels.join(images.select("image_id"), on="image_id", how="semi")
            elsewhere += labels["image_id"].n_unique() - known["image_id"].n_unique()
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
    if elsewhere:
        logger.info("%d labelled images are not in the image lists and are left out", elsewhere)
    return CandidateCounts(listed, excluded, candidates)


def _images(sorter: _Sorter, number: int) -> "pl.DataFrame":
    import polars as pl

    parts = [
        bucket.with_columns(pl.lit(split).alias("split"))
        for split in sorter.image_files
        if (bucket := sorter.bucket(f"images-{split}", number)) is not None
    ]
    if not parts:
        schema = dict.fromkeys([*IMAGE_COLUMNS.values(), "split"], pl.String)
        return pl.DataFrame(schema=schema)
    images = pl.concat(parts)
    unsafe = images.filter(~pl.col("image_id").str.contains(SAFE_ID)).head(1)
    for bad in unsafe.iter_rows(named=True):
        check_image_id(bad["image_id"], str(sorter.image_files[bad["split"]]))
    twice = images.filter(pl.col("image_id").is_duplicated()).sort("image_id").head(1)
    for row in twice.iter_rows(named=True):
        path = sorter.image_files[row["split"]]
        raise InputError(f"{path}: the image {row['image_id']!r} is listed twice.")
    return images.sort("image_id")


def _labels(sorter: _Sorter, number: int) -> "pl.DataFrame":
    import polars as pl

    source = pl.Enum(["human", "machine"])
    parts = [
        bucket.with_columns(pl.lit(kind).cast(source).alias("source"))
        for kind, split in sorter.label_files
        if (bucket := sorter.bucket(f"{kind}-{split}", number)) is not None
    ]
    if not parts:
        return pl.DataFrame(
            schema={
                "image_id": pl.String,
                "label": pl.String,
                "confidence": pl.Float32,
                "source": source,
            }
        )
    return pl.concat(parts)


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

    rotation = pl.col("rotation").cast(pl.Float32, strict=False).fill_nan(None)
    texts = ("labels", "license", "author", "thumbnail_url", "original_url", "landing_url")
    return (
        table.with_columns(pl.col(name).fill_null("") for name in texts)
        .with_columns(
            pl.when(pl.col("landing_url") != "")
            .then(pl.col("landing_url"))
            .otherwise(pl.col("original_url"))
            .alias("url"),
            rotation.cast(pl.Int16).alias("rotation"),
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
