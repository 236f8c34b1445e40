"""What W-OoD brings at each stage: differences, their intervals, and the sentence that says it."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from wood.report.columns import CLAIMED, LAST, MASK, SEED, Quantity
from wood.report.paper import paper_number
from wood.report.scores import Interval, Measure, Scores, points
from wood.report.spec import Experiment

ONE_RUN_MARGIN = 1.0  # points: a smaller difference between single runs is called no clear one


@dataclass(frozen=True)
class Claim:
    """One stage at which W-OoD is compared with its references, and the paper's number for it.

    Where settings were chosen on half A of the images, only half B makes the claim.
    """

    title: str
    quantity: Quantity
    paper_table: str
    paper_column: str


CLAIMS = (
    Claim("Initial seed", SEED.on(*CLAIMED), "1", "miou"),
    Claim("Pseudo-mask", MASK.on(*CLAIMED), "2", "mask"),
    Claim("Segmentation", LAST, "3", "val"),
)
SEED_CLAIM = CLAIMS[0].quantity

# The same stages on every scored image, those that settings were chosen on too.
WHOLE = tuple(replace(claim, quantity=claim.quantity.on("all")) for claim in CLAIMS[:2])


@dataclass(frozen=True)
class Difference:
    """One measure minus another over their shared training seeds, in points.

    `margin` is what the mean must exceed to count over training seeds; `seeds` is the 95 % interval
    there, None for one run; `images` that over the scored images, None where unknown.
    """

    mean: float
    margin: float
    runs: int
    seeds: Interval | None
    images: Interval | None

    @property
    def word(self) -> str:
        """Gain or loss where the difference survives both intervals."""
        low, high = self.images or (self.mean, self.mean)
        if self.mean > self.margin and low > 0:
            return "gain"
        if self.mean < -self.margin and high < 0:
            return "loss"
        return "no clear difference"

    @property
    def sentence(self) -> str:
        """What is known of its spread."""
        parts = ["One run, no spread known."]
        if self.seeds is not None:
            parts = [f"95 % interval {interval(self.seeds)} over {self.runs} seeds."]
        if self.images is not None:
            parts.append(f"Over images: 95 % interval {interval(self.images)}.")
        return " ".join(parts)


def interval(ends: Interval) -> str:
    """Show an interval of a difference."""
    return " to ".join(map(points, ends))


def paired(
    ours: Measure | None,
    reference: Measure | None,
    over_images: Callable[[list[int]], Interval | None] = lambda seeds: None,
) -> Difference | None:
    """Return `ours` minus `reference`, paired by training seed; None where they share none.

    `over_images` gives the interval over images of the mean difference of these seeds.
    """
    if ours is None or reference is None:
        return None
    shared = [seed for seed in ours.by_seed if seed in reference.by_seed]
    if not shared:
        return None
    differences = [ours.by_seed[seed] - reference.by_seed[seed] for seed in shared]
    mean, runs = statistics.fmean(differences), len(differences)
    margin, ends = ONE_RUN_MARGIN, None
    if runs > 1:
        from scipy.stats import t

        error = statistics.stdev(differences) / math.sqrt(runs)
        margin = float(t.ppf(0.975, runs - 1)) * error
        ends = (mean - margin, mean + margin)
    return Difference(mean, margin, runs, ends, over_images(shared))


@dataclass(frozen=True)
class Comparison:
    """W-OoD against the better of baseline and control at one stage.

    `word` is gain, loss, "no clear difference" or unknown; `difference` and `margin` are in points.
    """

    word: str
    sentence: str
    difference: float | None = None
    margin: float | None = None
    against: str | None = None


def compare(
    wood: Measure | None,
    baseline: Measure | None,
    control: Measure | None,
    over_images: Callable[[str, list[int]], Interval | None] = lambda role, seeds: None,
) -> Comparison:
    """Compare mIoU in per cent, honestly.

    The reference is the better of baseline and control. Runs of one training seed are paired (the
    control and W-OoD start from the same classifier): with several shared seeds a difference
    counts where the 95 % interval of the paired t excludes 0. With one run no spread is known,
    and a difference below `ONE_RUN_MARGIN` points is called no clear one. Where the interval over
    images is known (`over_images` of W-OoD minus a role), it must exclude 0, too.
    """
    references = {
        name: measure
        for name, measure in (("the baseline", baseline), ("the control", control))
        if measure is not None
    }
    if wood is None or not references:
        missing = "W-OoD" if wood is None else "the baseline"
        return Comparison("unknown", f"No comparison: {missing} has no score yet.")
    against = max(references, key=lambda name: references[name].mean)
    reference = references[against]
    role = against.removeprefix("the ")
    found = paired(wood, reference, lambda seeds: over_images(role, seeds))
    if found is None:
        return Comparison("unknown", f"No comparison: W-OoD and {against} share no training seed.")
    better = "the better of the two references" if len(references) > 1 else "the only reference"
    side = "above" if found.mean >= 0 else "below"
    sentence = (
        f"{abs(found.mean):.1f} points {side} {against} ({reference.text}), {better}. "
        f"{found.sentence}"
    )
    if control is None:
        sentence += " Without a control, longer training alone may explain a difference."
    return Comparison(found.word, sentence, found.mean, found.margin, against)


@dataclass(frozen=True)
class Headline:
    """What one family shows at one stage: the images, each role's measure, and the comparison."""

    claim: Claim
    scope: str | None
    measures: dict[str, Measure | None]
    comparison: Comparison
    paper: str | None


def member(experiments: Sequence[Experiment], role: str) -> Experiment | None:
    """Return the first experiment with this role."""
    return next((e for e in experiments if e.role == role), None)


def headlines(scores: Scores, family: Sequence[Experiment]) -> list[Headline]:
    """Compare one family's first W-OoD experiment with its baseline and control, stage by stage."""
    members = {role: member(family, role) for role in ("baseline", "control", "wood")}
    result = []
    for claim in CLAIMS:
        measures = {role: scores.measure(e, claim.quantity) for role, e in members.items()}

        def over_images(role: str, seeds: list[int], claim: Claim = claim) -> Interval | None:
            return scores.over_images(claim.quantity, members["wood"], members[role], seeds)

        comparison = compare(
            measures["wood"], measures["baseline"], measures["control"], over_images
        )
        scope = scores.scope(claim.quantity, [e for e in members.values() if e])
        paper = _paper_gain(claim, members["baseline"], members["wood"])
        result.append(Headline(claim, scope, measures, comparison, paper))
    return result


def _paper_gain(claim: Claim, baseline: Experiment | None, wood: Experiment | None) -> str | None:
    """Quote the paper's gain where it prints the same method without and with W-OoD."""
    rows = [e.paper.get(claim.paper_table) if e else None for e in (baseline, wood)]
    if None in rows or rows[1].replace(" + W-OoD", "") != rows[0]:
        return None
    before, after = (paper_number(claim.paper_table, row, claim.paper_column) for row in rows)
    if before is None or after is None:
        return None
    return (
        f"{before.value:.1f} → {after.value:.1f} ({after.value - before.value:+.1f}), {after.place}"
    )
