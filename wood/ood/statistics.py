"""What the review cost (paper, Sec. 3.1): positive rate r, images to check n/(1-r), time."""

from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any

import pandas as pd

PAPER_HARD_OOD = 5190  # images in the paper's hard OoD set, Sec. 4.1
LONGEST_DECISION = 120.0  # seconds; a longer gap is a break, not a decision


def review_statistics(
    ranking: pd.DataFrame,
    decisions: pd.DataFrame,
    *,
    policy: str,
    candidates: int | None,
    used: int,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Count the review of a ranking.

    Args:
        ranking: the candidates above the threshold (columns image_id and class).
        decisions: of these images: image_id, decision ("accept" or "reject"), and for a person's
            answers reviewer and time.
        policy: "decisions", "truth" or "none".
        candidates: scored candidates, above the threshold or not; None where unknown.
        used: hard OoD images that were taken from the accepted ones.
        classes: the foreground classes, for their order.

    Returns:
        policy, reviewed (False under "none"), candidates, above_threshold, checked, accepted,
        rejected, positive_rate r, check_per_hard_ood 1/(1-r), used, per_class (the counts and rates
        of each predicted class), seconds_per_decision (median), minutes (in total), and formula:
        n/(1-r) for the n used images and for the paper's 5,190. What cannot be known is None.
    """
    reviewed = ranking[["image_id", "class"]].merge(
        decisions[["image_id", "decision"]], on="image_id"
    )
    ordered = [*classes, *sorted(set(ranking["class"]) - set(classes))]
    result: dict[str, Any] = {
        "policy": policy,
        "reviewed": policy != "none",
        "candidates": candidates,
        "used": used,
        **_counts(ranking, reviewed),
        "per_class": {
            name: _counts(ranking[ranking["class"] == name], reviewed[reviewed["class"] == name])
            for name in ordered
        },
    }
    per_image = result["check_per_hard_ood"]
    result["formula"] = {
        "n": used,
        "images_to_check": None if per_image is None else used * per_image,
        "paper_n": PAPER_HARD_OOD,
        "paper_images_to_check": None if per_image is None else PAPER_HARD_OOD * per_image,
    }
    return result | _times(decisions)


def _counts(ranking: pd.DataFrame, reviewed: pd.DataFrame) -> dict[str, Any]:
    checked = len(reviewed)
    accepted = int((reviewed["decision"] == "accept").sum())
    rate = (checked - accepted) / checked if checked else None
    return {
        "above_threshold": len(ranking),
        "checked": checked,
        "accepted": accepted,
        "rejected": checked - accepted,
        "positive_rate": rate,
        "check_per_hard_ood": checked / accepted if accepted else None,
    }


def _times(decisions: pd.DataFrame) -> dict[str, float | None]:
    """Return the median seconds of a decision and the minutes of all.

    The time of a decision is the gap to the same reviewer's last one; several answers given at once
    share it. The first answer after a break has no known time.
    """
    seconds: list[float] = []
    if "time" in decisions.columns:
        for _, answers in decisions.groupby("reviewer"):
            moments = answers["time"].map(_moment).value_counts().sort_index()
            gaps = moments.index.to_series().diff()
            for gap, count in zip(gaps, moments, strict=True):
                if 0 < gap <= LONGEST_DECISION:
                    seconds += [gap / count] * count
    return {
        "seconds_per_decision": median(seconds) if seconds else None,
        "minutes": sum(seconds) / 60 if seconds else None,
    }


def _moment(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
