"""Parquet files of millions of rows, read in parts."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from wood.runtime.store import check_values, parquet_of


def open_table(path: str | Path) -> pq.ParquetFile:
    """Open a Parquet file; its rows are not read.

    Raises:
        InputError: the file is missing or not Parquet.
    """
    with parquet_of(path):
        return pq.ParquetFile(path)


def _read(
    path: str | Path, file: pq.ParquetFile, number: int, columns: list[str] | None = None
) -> pa.Table:
    with parquet_of(path):
        width = len(file.schema_arrow.names if columns is None else columns)
        check_values(path, file.metadata.row_group(number).num_rows, width)
        return file.read_row_group(number, columns=columns)


def row_groups(path: str | Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield a file's row groups, or the named `columns` of them.

    Raises:
        InputError: as `open_table`.
    """
    file = open_table(path)
    for number in range(file.num_row_groups):
        yield _read(path, file, number, columns)


def read_shard(path: str | Path, index: int, count: int) -> pd.DataFrame:
    """Read one of `count` contiguous parts of a file, only the row groups that it needs.

    Raises:
        InputError: as `open_table`.
    """
    if not 0 <= index < count:
        raise ValueError(f"shard {index} of {count}")
    file = open_table(path)
    start, stop = (file.metadata.num_rows * number // count for number in (index, index + 1))
    parts, first = [], 0
    for number in range(file.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        low, high = max(start, first), min(stop, first + rows)
        if low < high:
            parts.append(_read(path, file, number).slice(low - first, high - low))
        first += rows
    with parquet_of(path):
        return pa.concat_tables(parts or [file.schema_arrow.empty_table()]).to_pandas()
