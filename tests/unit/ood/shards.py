"""Scores of candidates, and their list, written by hand."""

import numpy as np
import pandas as pd

from wood.runtime.store import write_table

SHARDS = (
    [("b", "cat", 0.75), ("a", "dog", 0.75), ("low", "cat", 0.4999)],
    [("c", "cat", 0.9), ("edge", "dog", 0.5), ("d", "cat", 0.6)],
)


def score_shard(path, rows):
    """Write one shard of (image_id, class, score)."""
    table = pd.DataFrame(rows, columns=["image_id", "class", "score"])
    table["score"] = table["score"].astype(np.float32)
    table["path"] = "/images/" + table["image_id"] + ".jpg"
    write_table(path, table.assign(split="train"))
    return path


def candidate_list(path, ids):
    table = pd.DataFrame({"image_id": ids})
    for name in ("license", "author", "url", "labels"):
        table[name] = [f"{name} of {image_id}" for image_id in ids]
    write_table(path, table)
    return path
