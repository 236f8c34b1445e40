"""A page for each experiment: its settings, its scores per training seed, curves and pictures."""

import dataclasses
from pathlib import Path

from wood.report import figures
from wood.report.columns import LAST, MASK, METRICS, ORACLE, PUBLISHED, SEED, Column, metrics
from wood.report.pictures import example_grid
from wood.report.plots import class_colour
from wood.report.render import STAGE_TITLES, flatten, render
from wood.report.scores import Measure, Scores
from wood.report.spec import TRAININGS, Experiment, Spec
from wood.report.tables import NOTHING, Cell, Table, number
from wood.runtime.store import atomic_directory, write_text

PICTURES = 4
STEPS = {
    "Seed, configured threshold": SEED,
    "Pseudo-mask": MASK,
    "Segmentation, last step": LAST,
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
                for stage in TRAININGS
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
    columns += metrics("All images", SEED)
    columns += [Column("mIoU", "Half B"), Column("mIoU", "Oracle")]
    swept = scores.measure(experiment, PUBLISHED)
    columns += [Column("mIoU", "Published protocol")] if swept else []
    rows: list[list[Cell]] = []
    looks = []
    for title, quantity in STEPS.items():
        quantities = [quantity.of(metric) for metric in METRICS]
        measures = [scores.measure(experiment, q) for q in quantities]
        if measures[0] is None:
            continue
        measures.append(scores.measure(experiment, quantity.on("B")) if quantity != LAST else None)
        measures.append(scores.measure(experiment, ORACLE) if quantity == SEED else None)
        measures += [swept if quantity == SEED else None] if swept else []
        seeds = list(measures[0].by_seed)
        for seed in seeds:
            cells = [_of_seed(measure, seed) for measure in measures]
            rows.append([Cell(title), Cell(str(seed)), *cells])
            looks.append("")
        if len(seeds) > 1:
            rows.append([Cell(title), Cell("mean"), *map(number, measures)])
            looks.append("total")
    if not rows:
        return None
    caption = (
        "Scores against the true masks, in per cent. Half B: the images on which nothing was "
        "chosen. Oracle: at the threshold that is best on the scored masks."
        + (" Published protocol: the best of those that the published program tries." * bool(swept))
    )
    return Table(f"runs-{experiment.name}", "Scores per run", caption, columns, rows, looks)


def _of_seed(measure: Measure | None, seed: int) -> Cell:
    if measure is None or seed not in measure.by_seed:
        return NOTHING
    return Cell(f"{measure.by_seed[seed]:.1f}", round(measure.by_seed[seed], 4))
