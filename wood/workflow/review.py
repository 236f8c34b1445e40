"""The run before the review: a person has to answer, and everything else can be done already."""

from pathlib import Path

import pandas as pd

from wood.ood.decisions import ACCEPT, merge
from wood.runtime.errors import InputError
from wood.runtime.store import read_table
from wood.workflow import resolve as settings
from wood.workflow.resolve import Tree

# Of the reviewed images that show a foreground object; measured on the six classes of the mini set.
REJECTED_SHARE = 0.39


def takes_answers(config: Tree, name: str) -> bool:
    """Return whether a classifier depends on the reviewer's answers, itself or by its `init`."""
    chosen = settings.classifier(config, name)
    if settings.ood_images(chosen) in ("hard", "random") or chosen["data"]["rejects"]:
        return True
    return chosen["init"] is not None and takes_answers(config, chosen["init"])


def is_pending(config: Tree, decisions: list[str]) -> bool:
    """Return whether a person has yet to accept images, fewer being accepted than are needed.

    Args:
        config: the configuration.
        decisions: the files of the reviewers' answers; some may not be there yet.
    """
    ood = config["ood"]
    if ood["source"] != "openimages" or ood["review"]["policy"] != "decisions":
        return False
    try:
        answers = _answers(decisions)
    except InputError:
        return False  # the list of hard OoD images is asked for, and its job names the row
    return int((answers["decision"] == ACCEPT).sum()) < settings.needed_hard_ood(config)


def what_to_do(config: Tree, ranking: str | Path, decisions: list[str], command: str) -> str:
    """Return what a person has to do next: the command, how many images, and how long it takes.

    Args:
        config: the configuration.
        ranking: the images to look at.
        decisions: the files of the reviewers' answers; some may not be there yet.
        command: the options of the run.
    """
    answers = _answers(decisions)
    ranked = read_table(ranking, ["image_id", "class"])
    known = ranked.merge(answers[["image_id", "decision"]], on="image_id", how="left")
    left = known.loc[known["decision"].isna(), "class"].value_counts()
    accepted = known.loc[known["decision"] == ACCEPT, "class"].value_counts()
    review = config["ood"]["review"]
    wanted, seconds = review["wanted"], review["seconds_per_image"]
    looks = [
        expected_looks(count, wanted and max(0, wanted - accepted.get(name, 0)))
        for name, count in left.items()
    ]
    enough = f" for {wanted} accepted images of each class" if wanted else ""
    return (
        f"This run stops here: {left.sum()} images wait for a review, about {sum(looks)} of "
        f"them are to be looked at{enough}, {sum(looks) * seconds / 60:.0f} minutes at {seconds:g} "
        f"seconds an image.\n  snakemake review {command}\nopens them; the same command as before "
        "then goes on. What does not depend on the review is done."
    )


def expected_looks(ranked: int, wanted: int | None) -> int:
    """Return how many images of a class are looked at until `wanted` are accepted."""
    return ranked if wanted is None else min(ranked, round(wanted / (1 - REJECTED_SHARE)))


def _answers(decisions: list[str]) -> pd.DataFrame:
    return merge([path for path in decisions if Path(path).exists()])[0]
