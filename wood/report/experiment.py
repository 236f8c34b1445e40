"""A page for each experiment: its settings, its scores per training seed, curves and pictures."""

import dataclasses
from pathlib import Path

from wood.report import figures
from wood.report.page import STAGE_TITLES, flatten, render
from wood.report.pictures import example_grid
from wood.report.plots import class_colour
from wood.report.scores import KINDS, Measure, Scores, final, half_b
from wood.report.spec import STAGES, Experiment, Spec
from wood.report.tables import NONE, PAPER_COLUMNS, Cell, Column, Table, number
from wood.runtime.store import atomic_directory, write_text

PICTURES = 4
KIND_TITLES = {
    "seeds": "Seed, configured threshold",
    "pseudo_masks": "Pseudo-mask",
    "segmentation": "Segmentation, last step",
}


def build_experiment_pages(spec: Spec, scores: Scores, folder: str | Path) -> None:
    """Write `<name>.html` for every experiment of a report into `folder`, which is made anew.

    Raises:
        InputError: one of the files of the report is wrong; the sentence names it.
    """
    with atomic_directory(folder) as temporary:
        for experiment in spec.experiments:
            write_text(temporary / f"{experiment.name}.html", _page(spec, scores, experiment))


def _page(spec: Spec, scores: Scores, experiment: Experiment) -> str:
    alone = dataclasses.replace(spec, experiments=[experiment])
    logs = [log for log in spec.logs if log.name == experiment.name]
    legend = [(name, class_colour(index)) for index, name in enumerate(spec.class_names, start=1)]
    grid = example_grid(alone, scores, experiment, PICTURES)
    return render(
        "experiment.html.j2",
        {
            "spec": spec,
            "experiment": experiment,
            "scores": runs_table(scores, experiment),
            "thresholds": figures.threshold_curves(alone, scores, [experiment]),
            "training": [
                (STAGE_TITLES[stage], drawn)
                for stage in STAGES
                if (drawn := figures.training_curves(logs, stage))
            ],
            "grid": grid,
            "legend": legend,
            "settings": flatten(experiment.settings),
        },
    )


def runs_table(scores: Scores, experiment: Experiment) -> Table | None:
    """Every score of an experiment: one row for each stage and training seed; None without any."""
    columns = [Column("Stage", numeric=False), Column("Training seed", numeric=False)]
    columns += [Column(label, "All images") for label in PAPER_COLUMNS["1"].values()]
    columns += [Column("mIoU", "Half B"), Column("mIoU", "Oracle")]
    rows: list[list[Cell]] = []
    looks = []
    for kind in KINDS:
        picks = [lambda s, k=key, i=kind: _last(s, i).get(k) for key in PAPER_COLUMNS["1"]]
        picks.append(
            lambda s, i=kind: (half_b(s) or {}).get("miou") if i != "segmentation" else None
        )
        picks.append(lambda s: ((s.get("oracle") or {}).get("summary") or {}).get("miou"))
        measures = [scores.measure(experiment, kind, pick) for pick in picks]
        if measures[0] is None:
            continue
        seeds = list(measures[0].by_seed)
        for seed in seeds:
            rows.append([Cell(KIND_TITLES[kind]), Cell(str(seed)),
                         *(_of_seed(measure, seed) for measure in measures)])  # fmt: skip
            looks.append("")
        if len(seeds) > 1:
            rows.append([Cell(KIND_TITLES[kind]), Cell("mean"), *map(number, measures)])
            looks.append("total")
    if not rows:
        return None
    caption = (
        "In per cent, against the true masks. Half B: the images on which nothing was chosen. "
        "Oracle: at the threshold that is best on the scored masks."
    )
    return Table(f"runs-{experiment.name}", "Scores per run", caption, columns, rows, looks)


def _last(score, kind: str):
    return score["configured"] if kind == "seeds" else final(score)


def _of_seed(measure: Measure | None, seed: int) -> Cell:
    if measure is None or seed not in measure.by_seed:
        return Cell(NONE, look="none")
    return Cell(f"{measure.by_seed[seed]:.1f}", round(measure.by_seed[seed], 4))
