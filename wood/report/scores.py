"""Every score file as one long table, and the measures over training seeds selected from it."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from wood.data.tables import write_table
from wood.report.columns import CURVE, MEAN, METRICS, Quantity
from wood.report.entry import STAGES
from wood.report.spec import Experiment, Spec
from wood.runtime.errors import InputError
from wood.runtime.store import content_of, read_json
from wood.scoring.bootstrap import difference_interval
from wood.scoring.per_image import ImageCounts, read_counts

COLUMNS = (
    "stage",
    "family",
    "experiment",
    "role",
    "seed",
    "split",
    "half",
    "images",
    "step",
    "threshold",
    "class_name",
    "metric",
    "value",
)
NEEDED = {
    "seeds": ("configured", "oracle", "threshold"),
    "pseudo_masks": ("miou", "per_class"),
    "segmentation": ("miou", "per_class"),
}
RESULTS = {
    "seeds": "localization maps",
    "pseudo_masks": "pseudo-mask",
    "segmentation": "predicted mask",
}
COUNTED = {"configured": "seed"}  # steps that go by another name among the counts of images

Score = Mapping[str, Any]
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
    """Every score file of a report, read once.

    `frame` is the long table that all tables and figures select from, with `COLUMNS`: `value` is a
    fraction as in the score files (NaN where it is not defined), `threshold` that of the seeds,
    `half` one of all, A and B, `images` the number of images of that half. `incomplete` says of
    which runs some scored images have no result.
    """

    def __init__(self, spec: Spec) -> None:
        """Read the files that the runs name.

        Raises:
            InputError: a file is missing, not JSON, or lacks what a score file has.
        """
        self._paths: dict[tuple[str, str, int], str] = {}
        self._selected: dict[Quantity, pd.DataFrame] = {}
        self._measures: dict[Quantity, dict[str, Measure]] = {}
        self._counts: dict[tuple[str, str], ImageCounts | None] = {}
        self.incomplete: list[str] = []
        rows: list[tuple[Any, ...]] = []
        for experiment in spec.experiments:
            for stage in STAGES:
                for run in experiment.runs:
                    path = getattr(run, stage)
                    if path is not None:
                        self._paths[experiment.name, stage, run.seed] = path
                        score = read_score(path, stage)
                        with content_of(path, f"scores of {stage}"):
                            rows += map(_typed, _rows(experiment, stage, run.seed, score))
                            self.incomplete += _incomplete(experiment, stage, run.seed, score)
        self.frame = pd.DataFrame(rows, columns=list(COLUMNS))
        words = [name for name in COLUMNS if name not in ("seed", "images", "threshold", "value")]
        self.frame = self.frame.astype({"value": float, **dict.fromkeys(words, "category")})

    def write(self, path: str | Path) -> None:
        """Write the long table as CSV, without the curves over all thresholds."""
        kept = self.frame[self.frame["step"] != "curve"]
        write_table(path, kept)

    def any(self, stage: str | None = None, experiments: Sequence[Experiment] = ()) -> bool:
        """Tell whether there is any score (of one stage, of some experiments)."""
        names = {experiment.name for experiment in experiments}
        return any(
            stage in (None, kind) and (name in names or not names) for name, kind, _ in self._paths
        )

    def select(self, quantity: Quantity) -> pd.DataFrame:
        """Return the rows of a quantity, one for each experiment and training seed that has it."""
        if quantity not in self._selected:
            frame = self.frame
            chosen = frame[
                (frame["stage"] == quantity.stage)
                & (frame["metric"] == quantity.metric)
                & (frame["class_name"] == quantity.class_name)
                & frame["step"].isin(quantity.steps)
                & frame["half"].isin(quantity.halves)
            ]
            if len(quantity.steps) * len(quantity.halves) > 1:
                places = [
                    (quantity.steps.index(step), quantity.halves.index(half))
                    for step, half in zip(chosen["step"], chosen["half"], strict=True)
                ]
                chosen = chosen.assign(place=places).sort_values("place", kind="stable")
                chosen = chosen.drop_duplicates(["experiment", "seed"]).sort_index()
            self._selected[quantity] = chosen
        return self._selected[quantity]

    def measure(self, experiment: Experiment | None, quantity: Quantity) -> Measure | None:
        """Return a quantity of an experiment, in per cent; None where no score file has it."""
        if quantity not in self._measures:
            values: dict[str, dict[int, float]] = {}
            rows = self.select(quantity).dropna(subset="value")
            for name, seed, value in zip(
                rows["experiment"], rows["seed"], rows["value"], strict=True
            ):
                values.setdefault(name, {})[int(seed)] = 100 * float(value)
            self._measures[quantity] = {name: Measure(found) for name, found in values.items()}
        return self._measures[quantity].get(experiment.name) if experiment else None

    def thresholds(self, experiment: Experiment, quantity: Quantity) -> dict[int, float]:
        """Return the thresholds of a quantity of the seeds, by training seed."""
        rows = self.select(quantity)
        rows = rows[rows["experiment"] == experiment.name]
        return dict(zip(rows["seed"].tolist(), rows["threshold"].tolist(), strict=True))

    def curves(self, experiment: Experiment) -> dict[int, pd.DataFrame]:
        """Return the seeds over all thresholds, by training seed: a row each, a column a metric."""
        frame = self.frame
        rows = frame[(frame["step"] == CURVE.steps[0]) & (frame["experiment"] == experiment.name)]
        return {
            int(seed): points.pivot_table(
                index="threshold", columns="metric", values="value", observed=True
            )
            for seed, points in rows.groupby("seed", sort=False)
        }

    def scope(self, quantity: Quantity, experiments: Sequence[Experiment]) -> str | None:
        """Say on which images the first of the experiments that has a quantity is scored."""
        rows = self.select(quantity)
        for experiment in experiments:
            found = rows[rows["experiment"] == experiment.name]
            if len(found):
                row = found.iloc[0]
                half = "" if row["half"] == "all" else f", half {row['half']}"
                count = "" if pd.isna(row["images"]) else f", {int(row['images']):,} images"
                return f"{row['split']}{half}{count}"
        return None

    def over_images(
        self, quantity: Quantity, ours: Experiment, reference: Experiment, seeds: Sequence[int]
    ) -> Interval | None:
        """Return the 95 % interval over images of `ours` minus `reference`, in points.

        The mean over the training `seeds`; None where a score file has no counts of its images.

        Raises:
            InputError: the two were not scored on the same images.
        """
        sides = [[self._images(quantity, e, seed) for e in (ours, reference)] for seed in seeds]
        pairs = [(a, b) for a, b in sides if a is not None and b is not None]
        return difference_interval(pairs) if len(pairs) == len(sides) > 0 else None

    def _images(self, quantity: Quantity, experiment: Experiment, seed: int) -> ImageCounts | None:
        """Return the counts of the images that a quantity rests on."""
        rows = self.select(quantity)
        row = rows[(rows["experiment"] == experiment.name) & (rows["seed"] == seed)].iloc[0]
        path = self._paths[experiment.name, quantity.stage, seed]
        step = COUNTED.get(row["step"], row["step"])
        if (path, step) not in self._counts:
            self._counts[path, step] = read_counts(path, step)
        counts = self._counts[path, step]
        return counts.of_half(row["half"]) if counts and row["half"] != "all" else counts


def read_score(path: str | Path, stage: str) -> Score:
    """Read the scores of one run and stage.

    Raises:
        InputError: the file is missing, not JSON, or not a score file of the stage.
    """
    score = read_json(path)
    for key in NEEDED[stage]:
        if not isinstance(score, dict) or key not in score:
            raise InputError(f"{path}: this is not a score file of {stage}: it has no {key!r}.")
    return score


def _rows(experiment: Experiment, stage: str, seed: int, score: Score) -> Iterator[tuple[Any, ...]]:
    """Yield a score file as rows of the long table."""
    split = score.get("split", "split not named")
    halves = {name: half for name, half in (score.get("halves") or {}).items() if half}
    parts = {"all": score} | {n: part for n, part in halves.items() if part.get("images") != 0}
    for half, part in parts.items():
        images = part.get("images")
        start = (
            stage,
            experiment.family,
            experiment.name,
            experiment.role,
            seed,
            split,
            half,
            images if isinstance(images, int) else None,
        )
        for step, threshold, summary in _steps(stage, part, score):
            for metric in METRICS:
                if metric in summary:
                    yield (*start, step, threshold, MEAN, metric, summary[metric])
            for class_name, values in (summary.get("per_class") or {}).items():
                for metric, value in (values or {}).items():
                    yield (*start, step, threshold, class_name, metric, value)


def _incomplete(experiment: Experiment, stage: str, seed: int, score: Score) -> list[str]:
    """Say how many scored images of a run have no result; they were scored as background."""
    missing = score.get("missing", 0)
    if missing <= 0:
        return []
    return [
        f"{missing:,} of {score['images']:,} images have no {RESULTS[stage]} "
        f"({experiment.title}, training seed {seed})"
    ]


def _typed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a row of the long table if its split is text and its numbers are numbers.

    Raises:
        TypeError: they are not.
    """
    if not isinstance(row[COLUMNS.index("split")], str):
        raise TypeError(row)
    for number in (row[COLUMNS.index("threshold")], row[-1]):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
            raise TypeError(number)
    return row


def _steps(stage: str, part: Score, score: Score) -> Iterator[tuple[str, float | None, Score]]:
    """Yield the steps of a score file, or of a half of it: name, threshold, summary."""
    if stage == "seeds":
        yield "configured", score["threshold"], part.get("configured") or part
        if part.get("oracle"):
            yield "oracle", part["oracle"]["threshold"], part["oracle"]["summary"]
        if part.get("published"):
            yield "published", part["published"]["threshold"], part["published"]["summary"]
        for point in part.get("curve") or []:
            yield "curve", point["threshold"], point
    elif stage == "pseudo_masks":
        steps = part.get("stages") or {}
        yield "mask", None, part if part is score else steps.get("mask") or part
        if steps.get("seed_crf"):
            yield "seed_crf", None, steps["seed_crf"]
    else:
        yield "network", None, part
        if part.get("crf"):
            yield "crf", None, part["crf"]
