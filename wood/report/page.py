"""One self-contained HTML page: every number, figure and picture of a run, beside the paper's."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wood.report import figures, tables
from wood.report.collection import collection_section
from wood.report.cost import cost_figure, cost_sentence, cost_table, read_review
from wood.report.differences import differences_table
from wood.report.paper import paper_number
from wood.report.pictures import prediction_grid, seed_grids
from wood.report.plots import class_colour, slug
from wood.report.scores import CLAIMS, ONE_RUN_MARGIN, Headline, Scores, headlines, member, points
from wood.report.spec import (
    ABLATION_TABLES,
    STAGE_TABLES,
    STAGES,
    Experiment,
    Spec,
    parse_spec,
)
from wood.runtime.store import write_text

TEMPLATES = Path(__file__).with_name("templates")
ROLE_TITLES = {"baseline": "without", "control": "control", "wood": "with W-OoD"}
STAGE_TITLES = {
    "classifier": "Classifiers",
    "irnet": "IRNet",
    "segmentation": "Segmentation networks",
}


@dataclass(frozen=True)
class Bar:
    """One line of a headline card; `position` and `spread` are in per cent of the card's scale."""

    role: str
    label: str
    title: str
    text: str
    position: float
    spread: float | None


def build_page(
    spec: Mapping[str, Any] | Spec, output: str | Path, scores: Scores | None = None
) -> None:
    """Write the report page for `spec` to `output`.

    Args:
        spec: plain values and paths with the keys of `wood.report.spec.Spec` (or one itself).
        output: the HTML file; it needs no other file and no network.
        scores: those of `spec`, where they have been read; else they are read.

    Raises:
        InputError: the specification or one of its files is wrong; the sentence names it.
    """
    spec = spec if isinstance(spec, Spec) else parse_spec(spec)
    write_text(output, render("page.html.j2", _context(spec, scores or Scores(spec))))


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return the HTML of a page with the report's style and script."""
    return _environment().get_template(template).render(**context)


@cache
def _environment():
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["slug"] = slug
    environment.filters["points"] = points
    environment.filters["svg"] = lambda text: Markup(text) if text else None
    for name, file in (("style", "page.css"), ("script", "page.js")):
        environment.globals[name] = Markup((TEMPLATES / file).read_text(encoding="utf-8"))
    return environment


def _context(spec: Spec, scores: Scores) -> dict[str, Any]:
    families = spec.families()
    first = next(iter(families.values()))
    ablations = {experiment.name for experiment in spec.experiments if experiment.ablation_only}
    logs = [log for log in spec.logs if log.name not in ablations]
    hard_ood = paper_number("text", "hard OoD", "images")
    review = read_review(spec)
    return {
        "spec": spec,
        "scored": scores.any(),
        "seeds": sorted({run.seed for e in spec.experiments for run in e.runs}),
        "families": {
            name: [
                (
                    headline,
                    bars(headline, family),
                    cost_sentence(review, member(family, "wood"), headline.comparison.difference),
                )
                for headline in headlines(scores, family)
                if scores.any(headline.claim.kind)
            ]
            for name, family in families.items()
            if member(family, "wood")
        },
        "not_made": [claim.title for claim in CLAIMS if not scores.any(claim.kind)],
        "one_run_margin": ONE_RUN_MARGIN,
        "hard_ood_paper": hard_ood,
        "grids": seed_grids(spec, scores, first),
        "predictions": prediction_grid(spec, first),
        "wood": member(first, "wood"),
        "baseline": member(first, "baseline"),
        "legend": [
            (name, class_colour(index)) for index, name in enumerate(spec.class_names, start=1)
        ],
        "collection": collection_section(spec),
        "costs": [
            (name, cost_table(spec, scores, review, family), drawn)
            for name, family in families.items()
            if (drawn := cost_figure(scores, review, family))
        ],
        "differences": differences_table(spec, scores),
        "tables": _tables(spec, scores) if scores.any() else [],
        "published": {
            table: tables.published_table(table) for table in STAGE_TABLES + ABLATION_TABLES
        },
        "classes": [
            (
                name,
                tables.class_table(spec, scores, family),
                figures.class_bars(spec, scores, family),
            )
            for name, family in families.items()
            if member(family, "wood") and member(family, "baseline") and scores.any("seeds")
        ],
        "curves": figures.threshold_curves(spec, scores),
        "training": [
            (STAGE_TITLES[stage], drawn)
            for stage in STAGES
            if (drawn := figures.training_curves(logs, stage))
        ],
        "settings": flatten(spec.config),
        "provenance": flatten(spec.provenance),
    }


def _tables(spec: Spec, scores: Scores) -> list[tuple[str, tables.Table]]:
    made = {
        "1": ("seeds", tables.seeds_table),
        "2": ("pseudo_masks", tables.masks_table),
        "3": ("segmentation", tables.segmentation_table),
    }
    stages = [
        (number, build(spec, scores)) for number, (kind, build) in made.items() if scores.any(kind)
    ]
    ablations = [
        (number, table)
        for number in ABLATION_TABLES
        if number != "A1"
        and scores.any("seeds")
        and (table := tables.ablation_table(spec, scores, number))
    ]
    amounts = tables.amounts_table(spec, scores) if scores.any("segmentation") else None
    return stages + ablations + ([("A1", amounts)] if amounts else [])


def bars(headline: Headline, family: list[Experiment]) -> list[Bar]:
    """Place each role's mIoU on one scale, so that the differences fill half of it or more."""
    found = {role: measure for role, measure in headline.measures.items() if measure}
    if not found:
        return []
    ends = [m.mean + sign * (m.sd or 0) for m in found.values() for sign in (-1, 1)]
    middle, reach = (min(ends) + max(ends)) / 2, max((max(ends) - min(ends)) / 2, 1.0)
    low, width = middle - 1.5 * reach, 3 * reach
    return [
        Bar(
            role,
            ROLE_TITLES[role],
            member(family, role).title,  # type: ignore[union-attr]
            measure.text,
            100 * (measure.mean - low) / width,
            None if measure.sd is None else 100 * measure.sd / width,
        )
        for role, measure in found.items()
    ]


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Turn nested settings into pairs of a dotted key and its value as text."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            pairs += flatten(value, f"{name}.")
        elif isinstance(value, list | tuple):
            pairs.append((name, ", ".join(map(str, value)) or "none"))
        else:
            pairs.append((name, "none" if value is None or value == {} else str(value)))
    return pairs
