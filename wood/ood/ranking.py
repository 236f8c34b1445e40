"""Ranking the candidates by their foreground scores: the easy OoD images go (paper, Sec. 3.1)."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from wood.data.tables import write_table as write_csv
from wood.ood.parquet import row_groups
from wood.runtime.errors import InputError
from wood.runtime.sentences import quoted
from wood.runtime.store import parquet_of, read_table, write_table

logger = logging.getLogger(__name__)

COLUMNS = [
    "rank",
    "image_id",
    "split",
    "class",
    "score",
    "path",
    "license",
    "author",
    "url",
    "labels",
]
SCORED = ["image_id", "split", "class", "score", "path"]
FROM_CANDIDATES = ["image_id", "license", "author", "url", "labels"]


def rank(
    scores: Sequence[str | Path],
    candidates: str | Path,
    output: str | Path,
    output_csv: str | Path,
    *,
    threshold: float | Mapping[str, float] = 0.5,
    cap_per_class: int | None = None,
    count: int | None = None,
) -> pd.DataFrame:
    """Keep the candidates with max_c p(c) at or above the threshold, hardest first.

    Args:
        scores: the shards that `score_images` wrote.
        candidates: what `filter_candidates` wrote, for licence, author, address and labels.
        output: Parquet of `COLUMNS`.
        output_csv: the same to read, scores with four digits.
        threshold: least score; or one for each class, 0.5 for those not named.
        cap_per_class: keep at most so many of each predicted class.
        count: keep so many of each predicted class, whatever their score, instead of those at or
            above the threshold.

    Returns:
        The ranking, ordered by score, ties by image_id. The class of an image is the predicted one.

    Raises:
        InputError: no shard is given, an image is scored twice, or none is above the threshold.
    """
    if not scores:
        raise InputError("scores: there is no score file to rank.")
    if count is not None:
        threshold, cap_per_class = 0.0, min(count, cap_per_class or count)
    parts, total = [], 0
    for path in scores:
        part = read_table(path, SCORED, texts=("image_id", "split", "class", "path"))
        _check_scores(path, part)
        total += len(part)
        parts.append(part[part["score"] >= class_thresholds(part["class"], threshold)])
    ranking = pd.concat(parts, ignore_index=True)
    twice = ranking["image_id"][ranking["image_id"].duplicated()]
    if not twice.empty:
        raise InputError(f"{scores[0]}: the image {twice.iloc[0]!r} is scored twice.")
    if ranking.empty:
        raise InputError(
            f"{Path(scores[0]).parent}: none of {total} candidates has a score of {threshold} or "
            "more, so there is no hard OoD image; lower ood.threshold or collect more candidates."
        )
    ranking = ranking.sort_values(["score", "image_id"], ascending=[False, True])
    if cap_per_class is not None:
        ranking = ranking.groupby("class", sort=False).head(cap_per_class)
    ranking = ranking.assign(rank=range(1, len(ranking) + 1)).merge(
        _details(candidates, ranking["image_id"]), on="image_id", how="left"
    )
    ranking = ranking.fillna({name: "" for name in FROM_CANDIDATES[1:]})[COLUMNS]
    write_table(output, ranking)
    write_csv(output_csv, ranking, float_format="%.4f")
    logger.info("%d of %d candidates are above the threshold", len(ranking), total)
    return ranking


def _check_scores(path: str | Path, part: pd.DataFrame) -> None:
    """Refuse a score that is none: NaN is at or above no threshold, infinity above all."""
    if not pd.api.types.is_float_dtype(part["score"]):
        raise InputError(f"{path}: the column 'score' is {part['score'].dtype}, not numbers.")
    scores = part["score"]
    wrong = part[~scores.between(0, 1)]
    if len(wrong):
        first = wrong.iloc[0]
        raise InputError(
            f"{path}: the image {quoted(first['image_id'])} has the score {first['score']}, not "
            "one from 0 to 1."
        )


def class_thresholds(
    classes: pd.Series, threshold: float | Mapping[str, float]
) -> pd.Series | float:
    """Return the least score for images of the predicted `classes`; 0.5 for those not named."""
    if not isinstance(threshold, Mapping):
        return threshold
    return classes.map(lambda name: threshold.get(name, 0.5)).astype(float)


def _details(candidates: str | Path, image_ids: pd.Series) -> pd.DataFrame:
    """Read what the candidates say of these images, without holding the other millions."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(image_ids, type=pa.string())
    groups = row_groups(candidates, FROM_CANDIDATES)
    with parquet_of(candidates):
        found = [group.filter(pc.is_in(group["image_id"], wanted)).to_pandas() for group in groups]
    return pd.concat(found, ignore_index=True)
