"""What tests of the ranking share."""

import pandas as pd
import pytest

from tests.unit.ood.shards import candidate_list, score_shard
from wood.ood.ranking import rank


@pytest.fixture
def ranked(tmp_path):
    """Ranks two shards with these scores; returns the ranking and the folder."""

    def make(*shards, **settings):
        paths = [
            score_shard(tmp_path / f"scores-{number}.parquet", rows)
            for number, rows in enumerate(shards)
        ]
        ids = [row[0] for rows in shards for row in rows]
        known = candidate_list(tmp_path / "candidates.parquet", ids)
        output = tmp_path / "ranking.parquet"
        rank(paths, known, output, tmp_path / "ranking.csv", **settings)
        return pd.read_parquet(output)

    return make
