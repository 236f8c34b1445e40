"""The label files and image lists of Open Images, sorted into buckets of image ids.

The label files have over a hundred million rows. Each file is read once, as a stream, and sorted by
the first two digits of the image id; what follows works on one bucket at a time, so that memory
does not grow with the number of rows.

The fast reader takes files as they are published: UTF-8, LF, commas, label files without quotes. A
file that is another way (saved again by a spreadsheet, say) is first copied by the one reader of
text files (`wood.data.tables`), which also finds the row of a bad value for the message.
"""

import csv
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from wood.data.image_ids import SURELY_SAFE, as_image_id
from wood.data.tables import stream_rows
from wood.runtime.errors import InputError
from wood.runtime.sentences import listed, quoted, reason

if TYPE_CHECKING:
    import polars as pl

logger = logging.getLogger(__name__)

BUCKET_BYTES = 1 << 26
MAX_BUCKETS = 256
ROWS_WAITING = 1 << 20  # in all buckets together, for their next row group
LOOKED_AT = 1 << 20  # first bytes of a file, which say how it is written
MARK = b"\xef\xbb\xbf"
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


class Buckets:
    """The rows of label files and image lists, sorted.

    Args:
        folder: where the buckets go.
        index: what `read_metadata` returns.
        splits: of the index.
        threshold: least confidence in [0, 1] at which a machine's label is kept.

    Raises:
        InputError: a metadata file is missing.
    """

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
        self.count = min(MAX_BUCKETS, size // BUCKET_BYTES + 1)

    def _sink(self, rows: "pl.LazyFrame", kind: str, path: Path) -> None:
        import polars as pl

        # Ids of Open Images are 16 hexadecimal digits; others all go to the first bucket.
        prefix = pl.col("image_id").str.slice(0, 2).str.to_integer(base=16, strict=False)
        bucket = (prefix.fill_null(0) * self.count // 256).clip(0).cast(pl.UInt8)
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
                row_group_size=ROWS_WAITING // self.count,
                mkdir=True,
                engine="streaming",
            )
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{path}: {_first_wrong_row(path) or reason(error)}.") from None

    def sort_labels(self, known: set[str]) -> None:
        """Keep the positive rows of all label files: image_id, label, confidence.

        Args:
            known: the labels that have a name.

        Raises:
            InputError: a column, a row or a confidence is bad, or no label of a file is known.
        """
        import polars as pl

        for (source, split), path in self.label_files.items():
            logger.info("reading %s", path)
            plain = _plain(path, LABEL_COLUMNS, self.folder, quotes=False)
            confidence = pl.col("Confidence").str.strip_chars().cast(pl.Float32, strict=False)
            image_id, label = (
                pl.col(name).fill_null("").str.strip_chars() for name in LABEL_COLUMNS[:2]
            )
            # NaN is not between, and in comparisons it is above everything.
            bad = ~confidence.is_between(0, 1).fill_null(False) | (image_id == "") | (label == "")
            bad |= image_id.str.contains('"', literal=True)
            threshold = 1.0 if source == "human" else self.threshold
            rows = (
                _scan(plain, quotes=False)
                .filter(~pl.all_horizontal(pl.col(LABEL_COLUMNS).is_null()))  # a blank line
                .filter((confidence >= threshold) | bad)
                .select(
                    image_id.alias("image_id"),
                    pl.when(bad).then(None).otherwise(label).alias("label"),
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
        labels = (
            pl.scan_parquet(files, glob=False, hive_partitioning=False)
            .select(pl.col("label").unique())
            .collect(engine="streaming")
        )
        found = set(labels["label"])
        if None in found:
            raise InputError(f"{path}: {_first_bad_label(path)}.")
        unknown = found - known
        if found and len(unknown) == len(found):
            raise InputError(
                f"{path}: none of its labels, such as {quoted(min(unknown))}, is in the class "
                "description file; is it of another version?"
            )
        if unknown:
            logger.warning("%s: %d labels have no name", path, len(unknown))

    def sort_images(self) -> None:
        """Keep the wanted columns of all image lists.

        Where a list says of a row which split it belongs to (`Subset`), that split alone takes it:
        one list of all images may stand for several splits.

        Raises:
            InputError: a column or a row is bad.
        """
        import polars as pl

        for split, path in self.image_files.items():
            logger.info("reading %s", path)
            header = _header(path, ("ImageID",))
            _refuse_short_rows(path)
            plain = _plain(path, ("ImageID",), self.folder, quotes=True)
            rows = _scan(plain, quotes=True).filter(~pl.all_horizontal(pl.all().is_null()))
            if "Subset" in header:
                subset = pl.col("Subset").fill_null("").str.strip_chars().str.to_lowercase()
                rows = rows.filter(subset.is_in(["", split]))
            rows = rows.select(
                (pl.col(column) if column in header else pl.lit(None, pl.String)).alias(name)
                for column, name in IMAGE_COLUMNS.items()
            )
            rows = rows.with_columns(pl.col("image_id").fill_null("").str.strip_chars())
            self._sink(rows, f"images-{split}", path)

    def images(self, number: int) -> "pl.DataFrame":
        """Return the listed images of one bucket, by their id, with their split and rotation.

        Raises:
            InputError: an id is none, or is listed twice; a rotation is no quarter of a turn.
        """
        import polars as pl

        parts = [
            bucket.with_columns(pl.lit(split).alias("split"))
            for split in self.image_files
            if (bucket := self._bucket(f"images-{split}", number)) is not None
        ]
        if not parts:
            schema = dict.fromkeys([*IMAGE_COLUMNS.values(), "split"], pl.String)
            return pl.DataFrame(schema=schema | {"rotation": pl.Int16})
        images = pl.concat(parts)
        for row in images.filter(~pl.col("image_id").str.contains(SURELY_SAFE)).iter_rows(
            named=True
        ):
            as_image_id(row["image_id"], str(self.image_files[row["split"]]))
        twice = images.filter(pl.col("image_id").is_duplicated()).sort("image_id").head(1)
        for row in twice.iter_rows(named=True):
            path = self.image_files[row["split"]]
            raise InputError(f"{path}: the image {quoted(row['image_id'])} is listed twice.")
        return images.with_columns(self._rotation(images)).sort("image_id")

    def _rotation(self, images: "pl.DataFrame") -> "pl.Series":
        import polars as pl

        text = pl.col("rotation").fill_null("").str.strip_chars()
        number = text.cast(pl.Float64, strict=False)
        unknown = (text == "") | number.is_nan().fill_null(False)
        bad = ~unknown & ~number.is_in([0.0, 90.0, 180.0, 270.0]).fill_null(False)
        for row in images.filter(bad).sort("image_id").head(1).iter_rows(named=True):
            path = self.image_files[row["split"]]
            raise InputError(f"{path}: {_first_bad_rotation(path)}.")
        turned = images.select(pl.when(unknown).then(None).otherwise(number).cast(pl.Int16))
        return turned.to_series().alias("rotation")

    def labels(self, number: int) -> "pl.DataFrame":
        """Return the positive labels of one bucket: image_id, label, confidence, source."""
        import polars as pl

        source = pl.Enum(["human", "machine"])
        parts = [
            bucket.with_columns(pl.lit(kind).cast(source).alias("source"))
            for kind, split in self.label_files
            if (bucket := self._bucket(f"{kind}-{split}", number)) is not None
        ]
        if not parts:
            columns = {"image_id": pl.String, "label": pl.String, "confidence": pl.Float32}
            return pl.DataFrame(schema=columns | {"source": source})
        return pl.concat(parts)

    def without_rows(self, image_ids: Sequence[str]) -> list[str]:
        """Return the ids that no row of the label files names, be it positive or not."""
        import polars as pl

        left = pl.DataFrame({"image_id": image_ids}, schema={"image_id": pl.String})
        for path in self.label_files.values():
            plain = _plain(path, LABEL_COLUMNS, self.folder, quotes=False)
            ids = _scan(plain, quotes=False).select(
                pl.col("ImageID").str.strip_chars().str.normalize("NFC").alias("image_id")
            )
            named = ids.join(left.lazy(), on="image_id", how="semi").unique()
            left = left.join(named.collect(engine="streaming"), on="image_id", how="anti")
        return sorted(left["image_id"])

    def _bucket(self, kind: str, number: int) -> "pl.DataFrame | None":
        import polars as pl

        files = sorted((self.folder / kind / f"bucket={number}").glob("*.parquet"))
        if not files:
            return None
        table = pl.read_parquet(files, hive_partitioning=False, glob=False)
        if (table["image_id"].str.len_bytes() > table["image_id"].str.len_chars()).any():
            table = table.with_columns(pl.col("image_id").str.normalize("NFC"))
        return table


def _scan(path: Path, quotes: bool) -> "pl.LazyFrame":
    import polars as pl

    return pl.scan_csv(
        path,
        glob=False,
        infer_schema=False,
        encoding="utf8-lossy",
        quote_char='"' if quotes else None,
        truncate_ragged_lines=True,
    )


def _header(path: Path, columns: Sequence[str]) -> list[str]:
    _, header = next(stream_rows(path), (1, []))
    for column in columns:
        if header.count(column) != 1:
            found = "is there twice" if column in header else "is missing"
            raise InputError(
                f"{path}: the column {column!r} {found}; columns found: {listed(header)}."
            )
    return header


def _plain(path: Path, columns: Sequence[str], folder: Path, *, quotes: bool) -> Path:
    """Return a file that the fast reader takes: the same one, or a copy with the same rows.

    Args:
        path: a CSV file.
        columns: those that must be in its header.
        folder: for the copy.
        quotes: whether the fast reader knows them in this kind of file.

    Raises:
        InputError: a column is missing or there twice, or the file is no CSV.
    """
    header = _header(path, columns)
    with path.open("rb") as file:
        begin = file.read(LOOKED_AT)
    lone_return = b"\r" in begin.replace(b"\r\n", b"").rstrip(b"\r")
    first = begin.decode(errors="replace").splitlines()[0]
    names = next(csv.reader([first]), [])  # with the spaces around them, if any
    as_published = names == header and (quotes or b'"' not in begin)
    if as_published and not begin.startswith((MARK, b"\n", b"\r")) and not lone_return:
        return path
    logger.info("%s is not written as it is published: a copy is made", path)
    copy = folder / f"copy-{len(list(folder.iterdir()))}.csv"
    with copy.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        for number, row in stream_rows(path):
            if len(row) < len(header):
                raise InputError(f"{path}: {_short(number, row, header)}.")
            if any("\n" in cell for cell in row):
                row = [" ".join(cell.split("\n")) for cell in row]
            if not quotes and any(set(cell) & set('",') for cell in row[: len(header)]):
                raise InputError(f"{path}: row {number} holds a quote or a comma in a value.")
            writer.writerow(row[: len(header)])
    return copy


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
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        # Some row has another number of columns; too many do no harm.
        if short := _first_wrong_row(path):
            raise InputError(f"{path}: {short}.") from None


def _first_wrong_row(path: Path) -> str | None:
    """Say which row has too few columns; None where none has."""
    rows = stream_rows(path)
    _, header = next(rows)
    for number, row in rows:
        if len(row) < len(header):
            return _short(number, row, header)
    return None


def _short(number: int, row: Sequence[str], header: Sequence[str]) -> str:
    return f"row {number} has {len(row)} columns, not {len(header)}"


def _first_bad_label(path: Path) -> str:
    """Say which row made the fast reader stumble, and why."""
    rows = stream_rows(path)
    _, header = next(rows)
    places = [header.index(column) for column in LABEL_COLUMNS]
    for number, row in rows:
        if len(row) <= max(places):
            return _short(number, row, header)
        image_id, label, confidence = (row[place] for place in places)
        if not image_id or not label:
            return f"row {number} has no image id or no label"
        try:
            value = float(confidence)
        except ValueError:
            return f"row {number} has the confidence {quoted(confidence)}, which is no number"
        if not 0 <= value <= 1:
            return f"row {number} has the confidence {quoted(confidence)}, not one from 0 to 1"
    return "a row is not written as the others are (quotes that begin late in the file, perhaps)"


def _first_bad_rotation(path: Path) -> str:
    """Say which row has a rotation that is no quarter of a turn."""
    rows = stream_rows(path)
    _, header = next(rows)
    place = header.index("Rotation")
    for number, row in rows:
        try:
            value = float(row[place] or 0)
        except ValueError:
            value = -1.0
        if not math.isnan(value) and value not in (0, 90, 180, 270):
            return (
                f"row {number} has the rotation {quoted(row[place])}; it is 0, 90, 180 or 270 "
                "degrees, or empty"
            )
    return "a row has a rotation that is not 0, 90, 180 or 270 degrees"
