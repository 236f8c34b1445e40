"""One self-contained HTML page: every number, figure and picture of a run, beside the paper's."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wood.report import figures
from wood.report.builders import Content, build
from wood.report.collection import collection_section
from wood.report.comparison import CLAIMS, ONE_RUN_MARGIN, Headline, headlines, member
from wood.report.cost import (
    Review,
    cost_figure,
    cost_sentence,
    cost_table,
    read_review,
)
from wood.report.differences import differences_table
from wood.report.entry import Item
from wood.report.items import ITEMS
from wood.report.membership import is_side
from wood.report.paper import paper_number
from wood.report.pictures import prediction_grid, seed_grids
from wood.report.plots import class_colour
from wood.report.render import STAGE_TITLES, flatten, render
from wood.report.scores import Scores
from wood.report.spec import TRAININGS, Experiment, Spec, parse_spec
from wood.runtime.store import write_text

ROLE_TITLES = {"baseline": "without", "control": "control", "wood": "with W-OoD"}


@dataclass(frozen=True)
class Bar:
    """One line of a headline card; `position` and `spread` are in per cent of the card's scale."""

    role: str
    label: str
    title: str
    text: str
    position: float
    spread: float | None


@dataclass(frozen=True)
class Result:
    """What one family shows: a card for each stage that it is scored at, and the other stages."""

    cards: list[tuple[Headline, list[Bar], str | None]]
    not_made: list[str]


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


def _context(spec: Spec, scores: Scores) -> dict[str, Any]:
    families = spec.families()
    first = next(iter(families.values()))
    review = read_review(spec)
    sides = {experiment.name for experiment in spec.experiments if is_side(vars(experiment))}
    logs = [log for log in spec.logs if log.name not in sides]
    return {
        "spec": spec,
        "scored": scores.any(),
        "incomplete": scores.incomplete,
        "seeds": sorted({run.seed for e in spec.experiments for run in e.runs}),
        "results": {
            name: _result(scores, review, family)
            for name, family in families.items()
            if member(family, "wood")
        },
        "not_made": [c.title for c in CLAIMS if not scores.any(c.quantity.stage)],
        "one_run_margin": ONE_RUN_MARGIN,
        "hard_ood_paper": paper_number("text", "hard OoD", "images"),
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
        "contents": shown_items(spec, scores),
        "gains_are_known": scores.any("seeds", spec.experiments),
        "curves": figures.threshold_curves(spec, scores),
        "training": [
            (STAGE_TITLES[stage], drawn)
            for stage in TRAININGS
            if (drawn := figures.training_curves(logs, stage))
        ],
        "settings": flatten(spec.config),
        "provenance": flatten(spec.provenance),
    }


def shown_items(spec: Spec, scores: Scores) -> list[tuple[Item, Content]]:
    """Return the content of the registry's items that belong to the page and have scores."""
    return [
        (item, build(item, spec, scores))
        for item in ITEMS.values()
        if item.on_page
        and (members := spec.only(item).experiments)
        and scores.any(item.stage, members)
    ]


def _result(scores: Scores, review: Review | None, family: list[Experiment]) -> Result:
    found = headlines(scores, family)
    made = [headline for headline in found if any(headline.measures.values())]
    cards = []
    for headline in made:
        gain = headline.comparison.difference
        cost = cost_sentence(review, member(family, "wood"), gain)
        cards.append((headline, bars(headline, family), cost))
    return Result(cards, [headline.claim.title for headline in found if headline not in made])


def bars(headline: Headline, family: list[Experiment]) -> list[Bar]:
    """Place each role's mIoU on one scale, so that the differences fill half of it or more."""
    found = {role: measure for role, measure in headline.measures.items() if measure}
    ends = [m.mean + sign * (m.sd or 0) for m in found.values() for sign in (-1, 1)]
    middle, reach = (min(ends) + max(ends)) / 2, max((max(ends) - min(ends)) / 2, 1.0)
    low, width = middle - 1.5 * reach, 3 * reach
    return [
        Bar(
            role,
            ROLE_TITLES[role],
            member(family, role).title,
            measure.text,
            100 * (measure.mean - low) / width,
            None if measure.sd is None else 100 * measure.sd / width,
        )
        for role, measure in found.items()
    ]
