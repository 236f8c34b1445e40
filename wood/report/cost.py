"""What the reviewed images bring: mIoU against the images looked at, and the minutes that takes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wood.ood.statistics import images_to_check
from wood.report import plots
from wood.report.columns import METHOD, Column
from wood.report.comparison import SEED_CLAIM, member
from wood.report.scores import Measure, Scores, points
from wood.report.spec import Experiment, Spec
from wood.report.tables import NOTHING, Cell, Table, difference, number
from wood.runtime.store import content_of, read_json

NAMED = 6  # points in the figure; more have no names beside them


@dataclass(frozen=True)
class Review:
    """The review of a collection.

    `above_threshold` candidates are hard, `checked` of them were looked at, `used` make the hard
    OoD set, `positive_rate` is r of Sec. 3.1. A decision takes `seconds`, which are `measured` (the
    median of the decisions' own times) or else an assumption; `minutes` were measured in all, and
    `looks` counted (a screen of similar images is one); None where they were not.
    """

    above_threshold: int
    checked: int
    used: int
    positive_rate: float | None
    seconds: float
    measured: bool
    minutes: float | None
    looks: int | None = None

    def images(self, experiment: Experiment) -> int | None:
        """Return how many OoD images an experiment is given; None without a collection's."""
        kind = _kind(experiment)
        if kind is None:
            return None
        there = self.used if kind == "hard" else self.above_threshold
        return min(there, _part(experiment) or there)

    def reviewed(self, experiment: Experiment) -> int | None:
        """Return how many images had to be looked at for an experiment.

        For a part of n hard OoD images these are n / (1 - r), as Sec. 3.1 has it. None for an
        experiment without hard candidates.
        """
        kind = _kind(experiment)
        if kind != "hard":
            return None if kind is None else 0
        wanted = self.images(experiment)
        expected = images_to_check(wanted, self.positive_rate) if wanted < self.used else None
        return self.checked if expected is None else min(self.checked, math.ceil(expected))

    def minutes_for(self, reviewed: int) -> float:
        """Return the minutes that so many decisions take."""
        if self.minutes is not None and reviewed == self.checked:
            return self.minutes
        return reviewed * self.seconds / 60

    @property
    def basis(self) -> str:
        """What the minutes rest on."""
        if self.measured:
            looks = "" if self.looks is None else f", {self.looks:,} looks in all"
            return f"measured, {self.seconds:.1f} s a decision{looks}"
        return f"assuming {self.seconds:g} s a decision, not measured"


def read_review(spec: Spec) -> Review | None:
    """Read the review's statistics; None where no collection has any.

    Raises:
        InputError: they are no review statistics.
    """
    if spec.ood is None or spec.ood.review_stats is None:
        return None
    stats = read_json(spec.ood.review_stats)
    with content_of(spec.ood.review_stats, "statistics of a review"):
        return _review(stats, spec.ood.seconds_per_image)


def _review(stats: Mapping[str, Any], assumed: float | None) -> Review | None:
    checked, minutes = stats.get("checked"), stats.get("minutes")
    measured = stats.get("seconds_per_decision")
    seconds = assumed if measured is None else measured
    if not isinstance(checked, int) or seconds is None:
        return None
    return Review(
        int(stats.get("above_threshold", checked)),
        checked,
        int(stats.get("used", stats.get("accepted", 0))),
        stats.get("positive_rate"),
        float(seconds),
        measured is not None,
        minutes,
        (stats.get("looks") or {}).get("looks"),
    )


def cost_sentence(
    review: Review | None, experiment: Experiment | None, gain: float | None
) -> str | None:
    """Say what a difference in points cost; None where that is not known."""
    if review is None or experiment is None or gain is None:
        return None
    reviewed = review.reviewed(experiment)
    if reviewed is None:
        return None
    if reviewed == 0:
        return f"{points(gain)} points without a review"
    about = _about(review.minutes_for(reviewed))
    return f"{points(gain)} points for {reviewed:,} reviewed images, {about} ({review.basis})"


def collections(family: Sequence[Experiment]) -> list[Experiment]:
    """Return one experiment of a family for each different collection of hard candidates.

    Of those with the same, W-OoD's own comes first; a part of D_in must be the baseline's.
    """
    baseline = member(family, "baseline")
    found: dict[tuple[Any, ...], Experiment] = {}
    for experiment in sorted(family, key=lambda e: e.role != "wood"):
        data = experiment.data or {}
        same = baseline is None or data.get("in") == (baseline.data or {}).get("in")
        if _kind(experiment) is not None and same:
            part = _part(experiment)
            key = (_kind(experiment), part, part and data.get("subset_seed"))
            found.setdefault(key, experiment)
    return list(found.values())


def cost_table(
    spec: Spec, scores: Scores, review: Review | None, family: Sequence[Experiment]
) -> Table | None:
    """A family's collections: images used and looked at, minutes, mIoU; None for fewer than two."""
    shown = _scored(scores, review, family)
    if len(shown) < 2 or review is None:
        return None
    baseline = member(family, "baseline")
    reference = scores.measure(baseline, SEED_CLAIM) if baseline else None
    columns = [
        METHOD,
        Column("OoD images"),
        Column("Images reviewed"),
        Column("Minutes", hint=review.basis),
        Column("Seed mIoU"),
        Column("minus baseline", hint="points"),
    ]
    rows, looks = [], []
    for role in ("baseline", "control"):
        experiment = member(family, role)
        measure = scores.measure(experiment, SEED_CLAIM) if experiment else None
        if experiment and measure:
            gain = NOTHING if role == "baseline" else difference(measure, reference)
            none = [Cell("0", 0), Cell("0", 0), Cell("0", 0)]
            rows.append([Cell(experiment.title), *none, number(measure), gain])
            looks.append(role)
    for experiment, reviewed, measure in shown:
        images, minutes = review.images(experiment), review.minutes_for(reviewed)
        rows.append(
            [
                Cell(experiment.title, hint=experiment.name),
                Cell(f"{images:,}", images),
                Cell(f"{reviewed:,}", reviewed),
                Cell(f"{minutes:.1f}", round(minutes, 4)),
                number(measure),
                difference(measure, reference),
            ]
        )
        looks.append(experiment.role)
    caption = (
        f"Seeds ({scores.scope(SEED_CLAIM, [shown[0][0]])}), mIoU in per cent, of one "
        "experiment for each collection of OoD images. For a part of n hard OoD images, n / (1 - "
        f"r) images count as reviewed (Sec. 3.1). Minutes: {review.basis}."
    )
    family_name = family[0].family
    return Table(f"review-{family_name}", "Benefit of the review", caption, columns, rows, looks)


def cost_figure(scores: Scores, review: Review | None, family: Sequence[Experiment]) -> str | None:
    """Seed mIoU against the images reviewed, minutes above; None for fewer than two collections."""
    shown = _scored(scores, review, family)
    if len(shown) < 2 or review is None:
        return None
    with plots.figure(640, 340) as (drawn, axes):
        axis = axes[0, 0]
        for role, colour in (("baseline", plots.BASELINE), ("control", plots.CONTROL)):
            experiment = member(family, role)
            measure = scores.measure(experiment, SEED_CLAIM) if experiment else None
            if experiment and measure:
                axis.axhline(measure.mean, color=colour, label=experiment.title)
        for experiment, reviewed, measure in shown:
            colour = plots.WOOD if _kind(experiment) == "hard" else plots.OTHERS[0]
            axis.errorbar(reviewed, measure.mean, yerr=measure.sd, fmt="o", color=colour, capsize=3)
            right = reviewed > 0.6 * shown[-1][1]
            if len(shown) > NAMED:
                continue
            axis.annotate(
                experiment.title,
                (reviewed, measure.mean),
                xytext=(-8 if right else 8, 8),
                textcoords="offset points",
                ha="right" if right else "left",
                size=11,
            )
        axis.margins(x=0.08, y=0.2)
        axis.set(xlabel="images reviewed", ylabel="seed mIoU (%)")
        pace = review.seconds / 60
        minutes = axis.secondary_xaxis("top", functions=(lambda x: x * pace, lambda x: x / pace))
        known = "measured" if review.measured else "assumed"
        minutes.set_xlabel(f"minutes ({review.seconds:.1f} s a decision, {known})")
        drawn.legend(loc="outside lower center", ncols=2)
        return plots.svg(
            drawn, f"review-{plots.slug(family[0].family)}", "Seed mIoU against images reviewed"
        )


def _scored(
    scores: Scores, review: Review | None, family: Sequence[Experiment]
) -> list[tuple[Experiment, int, Measure]]:
    """The family's collections with the images reviewed and the mIoU, fewest images first."""
    found = []
    for experiment in collections(family) if review else []:
        reviewed = review.reviewed(experiment)
        measure = scores.measure(experiment, SEED_CLAIM)
        if reviewed is not None and measure is not None:
            found.append((experiment, reviewed, measure))
    return sorted(found, key=lambda entry: entry[1])


def _kind(experiment: Experiment) -> str | None:
    """Hard or unreviewed; None for an experiment without the hard candidates."""
    images = experiment.wood.get("images", "hard") if experiment.wood else None
    return None if images == "random" else images


def _part(experiment: Experiment) -> int | None:
    return (experiment.data or {}).get("ood")


def _about(minutes: float) -> str:
    if minutes < 1:
        return "under a minute"
    if minutes >= 120:
        return f"about {minutes / 60:.1f} hours"
    return f"about {minutes:.0f} minute{'s' if round(minutes) != 1 else ''}"
