"""The small table at the end of a run: mIoU of seed, pseudo-mask and segmentation.

`python -m wood.report.summary results/demo` prints it from the score files and report/scores.csv,
which says what each experiment is there for.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from wood.report.comparison import Headline, headlines, member
from wood.report.entry import STAGES
from wood.report.scores import Scores, points
from wood.report.spec import Experiment, Run, Spec
from wood.runtime.errors import InputError

ROLE_LABELS = {"baseline": "without", "control": "control", "wood": "with W-OoD"}


def summary_table(spec: Spec, scores: Scores | None = None) -> str:
    """Return seed, pseudo-mask and segmentation mIoU in per cent, without and with W-OoD.

    One block per family of experiments, those with W-OoD if any has it. The control had the same
    extra epochs and no OoD; the difference is W-OoD's to the better of the other two.
    """
    scores = scores or Scores(spec)
    families = {
        name: family
        for name, family in spec.families().items()
        if any(experiment.role != "other" for experiment in family)
    }
    families = {n: f for n, f in families.items() if member(f, "wood")} or families
    blocks = []
    for name, family in families.items():
        lines = _lines(headlines(scores, family))
        if len(families) > 1:
            lines.insert(0, name)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _lines(family: Sequence[Headline]) -> list[str]:
    rows = [["mIoU (%)", *ROLE_LABELS.values(), "difference", "", "scored on"]]
    for headline in family:
        measures = [headline.measures[role] for role in ROLE_LABELS]
        if not any(measures):
            continue
        gain = headline.comparison.difference
        rows.append(
            [
                headline.claim.title,
                *("-" if measure is None else measure.text for measure in measures),
                "-" if gain is None else points(gain),
                headline.comparison.word if gain is not None else "no comparison",
                headline.scope,
            ]
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    aligned = []
    for row in rows:
        cells = [
            cell.rjust(width) if 0 < column < 5 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        aligned.append("  ".join(cells).rstrip())
    return aligned


def find_experiments(results: str | Path) -> Spec:
    """Find the score files of results/<dataset>, with the roles in its report/scores.csv.

    Raises:
        InputError: there is no report, or it has no scores.
    """
    results = Path(results)
    table = results / "report" / "scores.csv"
    if not table.exists():
        raise InputError(
            f"{table}: no such file: the report is not made, there are no score files."
        )
    listed = pd.read_csv(table, dtype=str, keep_default_na=False)
    experiments = []
    named = listed[["experiment", "family", "role"]].drop_duplicates()
    for name, family, role in named.itertuples(index=False):
        files: dict[int, dict[str, Any]] = {}
        for stage in STAGES:
            for path in sorted((results / "scores" / stage / name).glob("seed-*.json")):
                seed = int(path.stem.removeprefix("seed-"))
                files.setdefault(seed, {})[stage] = str(path)
        runs = [Run(seed, **paths) for seed, paths in sorted(files.items())]
        experiments.append(Experiment(name, name, role, runs, family))
    if not experiments:
        raise InputError(f"{table}: there are no score files in this report.")
    return Spec(results.name, [], experiments)


def main(arguments: Sequence[str]) -> int:
    """Print the table for the folder results/<dataset>; 1 and one sentence on bad input."""
    if len(arguments) != 1:
        print("usage: python -m wood.report.summary results/<dataset>", file=sys.stderr)
        return 2
    try:
        print(summary_table(find_experiments(arguments[0])), end="")
    except InputError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
