"""What the review cost (paper, Sec. 3.1): positive rate r, images to check n/(1-r), time."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import pandas as pd

from wood.ood.decisions import ACCEPT, SCREEN, UNDO, moments

PAPER_HARD_OOD = 5190  # images in the paper's hard OoD set, Sec. 4.1
LONGEST_DECISION = 120.0  # seconds; a longer gap is a break, not a decision


def review_statistics(
    ranking: pd.DataFrame,
    decisions: pd.DataFrame,
    *,
    policy: str,
    photographs: Mapping[str, int] | None,
    used: int,
    classes: Sequence[str],
    history: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Count the review of a ranking.

    Args:
        ranking: the candidates above the threshold (columns image_id and class).
        decisions: the settled answers for these images: image_id, decision ("accept" or "reject").
        policy: "decisions", "truth" or "none".
        photographs: how many of the candidates' photographs came ("ok"), are "missing" or
            "failed"; None where unknown.
        used: hard OoD images that were taken from the accepted ones.
        classes: the foreground classes, for their order.
        history: every line of the decisions files (see `read_history`), for the times; None where
            no person answered.

    Returns:
        policy, reviewed (False under "none"), photographs, candidates (their sum), above_threshold,
        checked, accepted, rejected, positive_rate r, check_per_hard_ood 1/(1-r),
        seconds_per_decision (median), minutes (in total), looks (see `count_looks`), used,
        per_class (the counts, rates and times of each predicted class), and formula: n/(1-r) for
        the n used images and for the paper's 5,190. What cannot be known is None.
    """
    reviewed = ranking[["image_id", "class"]].merge(
        decisions[["image_id", "decision"]], on="image_id"
    )
    timed = ranking[["image_id", "class"]].merge(_line_times(history), on="image_id")
    ordered = [*classes, *sorted(set(ranking["class"]) - set(classes))]
    tables = (ranking, reviewed, timed)
    total = _summary(*tables)
    rate = total["positive_rate"]
    return {
        "policy": policy,
        "reviewed": policy != "none",
        "photographs": None if photographs is None else dict(photographs),
        "candidates": None if photographs is None else sum(photographs.values()),
        "used": used,
        **total,
        "looks": count_looks(ranking, history),
        "per_class": {
            name: _summary(*(table[table["class"] == name] for table in tables)) for name in ordered
        },
        "formula": {
            "n": used,
            "images_to_check": images_to_check(used, rate),
            "paper_n": PAPER_HARD_OOD,
            "paper_images_to_check": images_to_check(PAPER_HARD_OOD, rate),
        },
    }


def count_looks(ranking: pd.DataFrame, history: pd.DataFrame | None) -> dict[str, Any] | None:
    """Count what a reviewer looked at: screens of similar images, and images looked at alone.

    A screen is one look and each of its images that was clicked is one more. An answer given
    twice is two looks; taking one back is none.

    Returns:
        screens, singles, looks (their sum) and seconds_per_look (None where no time is known); None
        where no person answered.
    """
    if history is None:
        return None
    lines = history[history["image_id"].isin(ranking["image_id"]) & (history["decision"] != UNDO)]
    lines = lines.reindex(columns=["image_id", "reviewer", "time", "screen", "look"], fill_value="")
    singles = int((lines["look"] != SCREEN).sum())
    on_screens = lines[lines["screen"] != ""]
    screens = len(on_screens[["reviewer", "time", "screen"]].drop_duplicates())
    timed = _line_times(history)["seconds"]
    looks = screens + singles
    known = looks and len(timed)
    return {
        "screens": screens,
        "singles": singles,
        "looks": looks,
        "seconds_per_look": float(timed.sum()) / looks if known else None,
    }


def images_to_check(wanted: float, positive_rate: float | None) -> float | None:
    """Sec. 3.1: n / (1 - r) images are looked at for n hard OoD; None where r is 1 or unknown."""
    if positive_rate is None or positive_rate >= 1:
        return None
    return wanted / (1 - positive_rate)


def _summary(ranking: pd.DataFrame, reviewed: pd.DataFrame, timed: pd.DataFrame) -> dict[str, Any]:
    checked = len(reviewed)
    accepted = int((reviewed["decision"] == ACCEPT).sum())
    rate = (checked - accepted) / checked if checked else None
    seconds = list(timed.loc[timed["decision"] != UNDO, "seconds"])
    return {
        "above_threshold": len(ranking),
        "checked": checked,
        "accepted": accepted,
        "rejected": checked - accepted,
        "positive_rate": rate,
        "check_per_hard_ood": images_to_check(1, rate),
        "seconds_per_decision": median(seconds) if seconds else None,
        "minutes": float(timed["seconds"].sum()) / 60 if len(timed) else None,
    }


def _line_times(history: pd.DataFrame | None) -> pd.DataFrame:
    """Return image_id, decision and seconds of every line whose time is known.

    It is the gap to the same reviewer's line before; lines written by one key press share it. The
    first answer after a break has no known time.
    """
    parts = [pd.DataFrame({"image_id": [], "decision": [], "seconds": []})]
    for _, lines in [] if history is None else history.groupby("reviewer"):
        moment = moments(lines["time"])
        pressed = moment.value_counts().sort_index()
        gaps = pressed.index.to_series().diff()
        seconds = moment.map(gaps.where(gaps <= LONGEST_DECISION) / pressed)
        parts.append(lines[["image_id", "decision"]].assign(seconds=seconds).dropna())
    return pd.concat(parts, ignore_index=True)
