"""Scores of candidates averaged over classifiers: which are hard is less the chance of one."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from wood.ood.ranking import SCORED
from wood.runtime.errors import InputError
from wood.runtime.store import read_table, write_table


def mean_scores(shards: Sequence[str | Path], output: str | Path) -> pd.DataFrame:
    """Average p(c) of one shard of candidates over the training seeds of F_in.

    Args:
        shards: what `wood.ood.scoring.score_images` wrote of the same images, one for each seed.
        output: Parquet of the same form: `class` and `score` are those of the highest average.

    Raises:
        InputError: the shards name other classes or other images.
    """
    tables = [read_table(path) for path in shards]
    first = tables[0]
    names = [name for name in first.columns if name not in SCORED]
    for path, table in zip(shards[1:], tables[1:], strict=True):
        if list(table.columns) != list(first.columns):
            raise InputError(f"{path}: the classes are not those of {shards[0]}.")
        if list(table["image_id"]) != list(first["image_id"]):
            raise InputError(f"{path}: the images are not those of {shards[0]}.")
    mean = np.mean([table[names].to_numpy(np.float64) for table in tables], axis=0)
    result = first.assign(score=mean.max(axis=1, initial=0).astype(first["score"].dtype))
    result["class"] = np.asarray(names, dtype=object)[mean.argmax(axis=1)]
    result[names] = mean.astype(np.float32)
    write_table(output, result)
    return result
