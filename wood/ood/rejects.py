"""Rejected candidates as labelled photographs: a reviewer has said that they show an object."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from wood.data.labels import read_labels, write_labels
from wood.data.lists import read_image_list, write_image_list
from wood.ood.decisions import REJECT, merge
from wood.ood.hard_ood import read_truth
from wood.runtime.errors import InputError
from wood.runtime.sentences import quoted
from wood.runtime.store import read_table

logger = logging.getLogger(__name__)


def label_rejects(
    images: str | Path,
    labels: str | Path,
    ranking: str | Path,
    output: str | Path,
    output_labels: str | Path,
    *,
    policy: str,
    answers: str | Path | Sequence[str | Path],
) -> pd.DataFrame:
    """Write D_in and its labels with the rejected candidates after it.

    A rejected candidate has one class, the one that the reviewer named (`found` in decisions.csv),
    or else the one that F_in saw; that it may show further classes nobody has said.

    Args:
        images, labels: image list and image-level labels of D_in.
        ranking: what `wood.ood.ranking.rank` wrote.
        output, output_labels: the same two with the rejected candidates.
        policy: "decisions", or "truth", where a file stands in for the reviewer of all candidates.
        answers: the decisions files, or the truth file.

    Returns:
        The rejected candidates: image_id, path, class.

    Raises:
        InputError: a candidate has the id of an image of D_in, or a file is bad.
    """
    listed, known = read_image_list(images), read_labels(labels)
    ranked = read_table(ranking, ["image_id", "path", "class"])
    named = _classes_named(policy, answers)
    rejects = ranked[ranked["image_id"].isin(named.index)].reset_index(drop=True)
    found = rejects["image_id"].map(named)
    rejects["class"] = found.where(found.isin(known.columns), rejects["class"])
    both = set(rejects["image_id"]) & (set(listed["image_id"]) | set(known.index))
    if both:
        raise InputError(
            f"{ranking}: the candidate {quoted(min(both))} has the id of an image of {images}, so "
            "it cannot join it (classifiers.<name>.data.rejects)."
        )
    columns = {name: rejects["class"].eq(name).to_numpy() for name in known.columns}
    added = pd.DataFrame(columns, index=pd.Index(rejects["image_id"], dtype=object))
    write_image_list(output, pd.concat([listed, rejects[["image_id", "path"]]]).fillna(""))
    write_labels(output_labels, pd.concat([known, added]))
    logger.info("%d rejected candidates join %d photographs", len(rejects), len(listed))
    return rejects[["image_id", "path", "class"]]


def _classes_named(policy: str, answers: str | Path | Sequence[str | Path]) -> pd.Series:
    """Of each rejected image the class that its reviewer named, or ""."""
    files = [answers] if isinstance(answers, str | Path) else list(answers)
    if policy == "truth":
        truth = read_truth(files[0])
        return truth[truth != ""]
    settled, _ = merge(files)
    rejected = settled[settled["decision"] == REJECT]
    return rejected.set_index("image_id")["found"]
