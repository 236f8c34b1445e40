"""Score files as measures over seeds, and the sentence that says what they show."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wood.report.paper import paper_number
from wood.report.spec import Experiment, Spec
from wood.runtime.errors import InputError
from wood.runtime.store import read_json
from wood.scoring.bootstrap import difference_interval
from wood.scoring.per_image import ImageCounts, read_counts

ONE_RUN_MARGIN = 1.0  # points: a smaller difference between single runs is called no clear one
KINDS = ("seeds", "pseudo_masks", "segmentation")

Score = Mapping[str, Any]
Pick = Callable[[Score], float | None]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Measure:
    """One quantity in per cent: one value for each training seed that has it, at least one."""

    by_seed: Mapping[int, float]

    @property
    def values(self) -> tuple[float, ...]:
        """The values in the order of the runs."""
        return tuple(self.by_seed.values())

    @property
    def mean(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def sd(self) -> float | None:
        """The sample standard deviation over the seeds; None for one seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def text(self) -> str:
        """The mean, with the standard deviation where there is one."""
        return f"{self.mean:.1f}" if self.sd is None else f"{self.mean:.1f} ± {self.sd:.1f}"


def points(value: float) -> str:
    """Show a difference with its sign and one decimal; one that rounds to zero has no sign."""
    return f"{value:+.1f}" if abs(value) >= 0.05 else "0.0"


class Scores:
    """Every score file of a report, read once."""

    def __init__(self, spec: Spec) -> None:
        """Read the files that the runs name.

        Raises:
            InputError: a file is missing, not JSON, or lacks what a score file has.
        """
        self.files: dict[tuple[str, str], dict[int, Score]] = {}
        self._paths: dict[tuple[str, str, int], str] = {}
        self._counts: dict[tuple[str, str], ImageCounts | None] = {}
        for experiment in spec.experiments:
            for kind in KINDS:
                self.files[experiment.name, kind] = {}
                for run in experiment.runs:
                    path = getattr(run, kind)
                    if path is not None:
                        self.files[experiment.name, kind][run.seed] = _read(path, kind)
                        self._paths[experiment.name, kind, run.seed] = path

    def of(self, experiment: Experiment, kind: str) -> list[Score]:
        """Return the score files of one kind, one per seed that has one."""
        return list(self.files[experiment.name, kind].values())

    def any(self, kind: str | None = None) -> bool:
        """Tell whether there is any score (of one kind)."""
        return any(files for (_, k), files in self.files.items() if kind in (None, k))

    def measure(self, experiment: Experiment, kind: str, pick: Pick) -> Measure | None:
        """Collect a fraction from each seed's file, as per cent; None where no file has it."""
        picked = {seed: pick(s) for seed, s in self.files[experiment.name, kind].items()}
        found = {seed: 100 * value for seed, value in picked.items() if value is not None}
        return Measure(found) if found else None

    def over_images(
        self, claim: "Claim", ours: Experiment, reference: Experiment, seeds: Sequence[int]
    ) -> Interval | None:
        """Return the 95 % interval over images of `ours` minus `reference`, in points.

        The mean over the training `seeds`; None where a score file has no counts of its images.

        Raises:
            InputError: the two were not scored on the same images.
        """
        sides = [[self._images(claim, e, seed) for e in (ours, reference)] for seed in seeds]
        pairs = [(a, b) for a, b in sides if a is not None and b is not None]
        return difference_interval(pairs) if len(pairs) == len(sides) > 0 else None

    def _images(self, claim: "Claim", experiment: Experiment, seed: int) -> ImageCounts | None:
        """Return the counts of the images that a claim rests on."""
        score = self.files[experiment.name, claim.kind][seed]
        path = self._paths[experiment.name, claim.kind, seed]
        step = _step(claim.kind, score)
        if (path, step) not in self._counts:
            self._counts[path, step] = read_counts(path, step)
        counts = self._counts[path, step]
        halved = claim.halved and half_b(score) is not None
        return counts.of_half("B") if counts and halved else counts


def _step(kind: str, score: Score) -> str:
    """Return the step that mIoU is claimed of, by its name among the counts of images."""
    if kind == "segmentation":
        return "network" if final(score) is score else "crf"
    return {"seeds": "seed", "pseudo_masks": "mask"}[kind]


def _read(path: str, kind: str) -> Score:
    score = read_json(path)
    needed = ("configured", "oracle", "threshold") if kind == "seeds" else ("miou", "per_class")
    for key in needed:
        if not isinstance(score, dict) or key not in score:
            raise InputError(f"{path}: this is not a score file of {kind}: it has no {key!r}.")
    return score


def final(score: Score) -> Score:
    """Return a segmentation score's last step: after the dense CRF where that was run."""
    return score.get("crf") or score


def half_b(score: Score) -> Score | None:
    """Return the summary on half B, on which claims are made; None without."""
    return half_of(score, "B")


def half_of(score: Score, name: str) -> Score | None:
    """Return the summary on a half, at the configured threshold or of the mask; None without."""
    half = (score.get("halves") or {}).get(name)
    if half is None or half.get("images") == 0:
        return None
    return half.get("configured") or (half.get("stages") or {}).get("mask") or half


@dataclass(frozen=True)
class Claim:
    """One stage at which W-OoD is compared with its references, and the paper's number for it.

    `halved`: settings were chosen on half A of these images, so only half B makes the claim.
    """

    title: str
    kind: str
    pick: Pick
    paper_table: str
    paper_column: str
    halved: bool


def seed_miou(score: Score) -> float | None:
    """Return the mIoU of a seed at the configured threshold, of half B where there is one."""
    return (half_b(score) or score["configured"])["miou"]


def _mask_miou(score: Score) -> float | None:
    return (half_b(score) or score)["miou"]


def _segmentation_miou(score: Score) -> float | None:
    return final(score)["miou"]


CLAIMS = (
    Claim("Initial seed", "seeds", seed_miou, "1", "miou", True),
    Claim("Pseudo-mask", "pseudo_masks", _mask_miou, "2", "mask", True),
    Claim("Segmentation", "segmentation", _segmentation_miou, "3", "val", False),
)

# The same stages on every scored image, those that settings were chosen on too.
WHOLE = (
    replace(CLAIMS[0], pick=lambda score: score["configured"]["miou"], halved=False),
    replace(CLAIMS[1], pick=lambda score: score["miou"], halved=False),
)


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
    """What one family shows at one stage: each role's measure, and the comparison."""

    claim: Claim
    scope: str
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
        measures = {
            role: scores.measure(e, claim.kind, claim.pick) if e else None
            for role, e in members.items()
        }
        files = [file for e in members.values() if e for file in scores.of(e, claim.kind)]

        def over_images(role: str, seeds: list[int], claim: Claim = claim) -> Interval | None:
            return scores.over_images(claim, members["wood"], members[role], seeds)

        comparison = compare(
            measures["wood"], measures["baseline"], measures["control"], over_images
        )
        scope = scope_of(claim, files)
        paper = _paper_gain(claim, members["baseline"], members["wood"])
        result.append(Headline(claim, scope, measures, comparison, paper))
    return result


def scope_of(claim: Claim, files: Sequence[Score]) -> str:
    """Say on which images a claim is scored."""
    if not files:
        return "not scored"
    half = half_b(files[0]) and files[0]["halves"]["B"] if claim.halved else None
    images = half.get("images") if half else files[0].get("images")
    where = f"{files[0].get('split', 'split not named')}{', half B' if half else ''}"
    return f"{where}, {images:,} images" if isinstance(images, int) else where


def _paper_gain(claim: Claim, baseline: Experiment | None, wood: Experiment | None) -> str | None:
    """Quote the paper's gain where it prints the same method without and with W-OoD."""
    rows = [e.paper.get(claim.paper_table) if e else None for e in (baseline, wood)]
    if None in rows or rows[1].replace(" + W-OoD", "") != rows[0]:  # type: ignore[union-attr]
        return None
    before, after = (paper_number(claim.paper_table, row, claim.paper_column) for row in rows)
    if before is None or after is None:
        return None
    return (
        f"{before.value:.1f} → {after.value:.1f} ({after.value - before.value:+.1f}), {after.place}"
    )
