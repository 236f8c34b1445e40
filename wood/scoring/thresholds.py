"""The threshold of the seeds: a number, or chosen in the run.

A choice is made once for a family, on its baseline, and is written down with what it was made from.
`half-a` reads the pixel masks of half A of the scored images (`wood.scoring.seeds`), `beside-ood`
none (`wood.seeds.beside_ood`).
"""

from collections.abc import Mapping
from typing import Any

from wood.runtime.store import content_of, read_json

HALF_A, BESIDE_OOD = "half-a", "beside-ood"

SIDES = {"foreground": 1, "background": -1}


def threshold_value(threshold: float | str) -> float:
    """Return a threshold: the number itself, or what was chosen, from the file of the choice.

    Raises:
        InputError: the file is no choice of a threshold.
    """
    if isinstance(threshold, str):
        with content_of(threshold, "a threshold"):
            value = float(read_json(threshold)["threshold"])
            if not 0 <= value <= 1:
                raise ValueError(value)
            return value
    return threshold


def with_margins(settings: Mapping[str, Any], threshold: float | str = 0) -> dict[str, Any]:
    """Return the settings of IR labels with thresholds as numbers and without margins.

    Args:
        settings: `foreground_threshold` and `background_threshold`, numbers or None, and
            `foreground_margin` and `background_margin`, by which those that are None lie above
            and below the seeds' threshold; whatever else stays.
        threshold: see `threshold_value`; where both thresholds are numbers it counts nothing.
    """
    found = dict(settings)
    for side, sign in SIDES.items():
        margin = found.pop(f"{side}_margin", None)
        if found[f"{side}_threshold"] is None:
            value = round(threshold_value(threshold) + sign * margin, 10)
            found[f"{side}_threshold"] = min(max(value, 0.0), 1.0)
    return found


def has_margins(settings: Mapping[str, Any]) -> bool:
    """Return whether a threshold of IR labels still follows from the seeds'."""
    return any(settings[f"{side}_threshold"] is None for side in SIDES)
