"""The small table at the end of a run: mIoU of seed, pseudo-mask and segmentation.

`python -m wood.report.summary results/demo` prints it from the score files alone.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from wood.report.scores import KINDS, Headline, Scores, headlines, member, points
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


def find_experiments(results: str | Path, roles: Mapping[str, str] | None = None) -> Spec:
    """Find the score files under results/<dataset>/scores and tell the roles by the names.

    A name ending in "-wood" is W-OoD, in "-more" the control, of the experiment named before the
    ending; `roles` overrides this.

    Raises:
        InputError: there is no score file.
    """
    results = Path(results)
    files: dict[str, dict[int, dict[str, str]]] = {}
    for kind in KINDS:
        for path in sorted((results / "scores" / kind).glob("*/seed-*.json")):
            seed = int(path.stem.removeprefix("seed-"))
            files.setdefault(path.parent.name, {}).setdefault(seed, {})[kind] = str(path)
    if not files:
        raise InputError(f"{results}: there are no score files under scores/.")
    experiments = []
    for name, seeds in files.items():
        family, role = _role(name)
        runs = [Run(seed, **paths) for seed, paths in sorted(seeds.items())]
        role = (roles or {}).get(name, role)
        experiments.append(Experiment(name, name, role, runs, family))
    experiments.sort(key=lambda e: (e.family, list(ROLE_LABELS).index(e.role)
                                    if e.role in ROLE_LABELS else 9, e.name))  # fmt: skip
    return Spec(results.name, [], experiments)


def _role(name: str) -> tuple[str, str]:
    for ending, role in (("-wood", "wood"), ("-more", "control")):
        if name.endswith(ending):
            return name.removesuffix(ending), role
    return name, "other" if "wood" in name else "baseline"


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
