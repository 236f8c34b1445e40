"""One table or figure of the paper as a self-contained page, with its data as files beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wood.report import figures, tables
from wood.report.collection import CollectionSection, collection_section
from wood.report.embedding import embed_epochs, points_table
from wood.report.items import ITEMS
from wood.report.page import render
from wood.report.pictures import (
    PictureGrid,
    choose,
    choose_two_each,
    draw,
    most_lost,
    prediction_grid,
    seed_grids,
)
from wood.report.plots import class_colour, standalone
from wood.report.scores import Scores, member, points
from wood.report.spec import Experiment, Spec, parse_spec
from wood.report.tables import Table
from wood.runtime.errors import InputError
from wood.runtime.store import write_text

MORE_MAPS, MORE_MASKS, LOST = 3, 6, 3  # images in Fig. A3 (a class), A4 and A1


@dataclass
class Content:
    """What stands on the page of one item; `published` are the paper's numbers for it."""

    note: str = ""
    tables: list[Table] = field(default_factory=list)
    published: list[Table] = field(default_factory=list)
    drawings: list[str] = field(default_factory=list)
    grids: list[tuple[str, PictureGrid]] = field(default_factory=list)
    collection: CollectionSection | None = None
    data: Table | None = None


def build_item(
    key: str,
    values: Mapping[str, Any],
    output: str | Path,
    *,
    csv: str | Path | None = None,
    svg: str | Path | None = None,
) -> None:
    """Write the page of one table or figure.

    Args:
        key: of `wood.report.items.ITEMS`.
        values: what `wood.report.spec.parse_spec` takes, with what the item needs of it.
        output: the HTML file; it needs no other file and no network.
        csv: the table, or the data of the figure, in full.
        svg: the figure as a file of its own.

    Raises:
        InputError: the files do not have what the item shows; the sentence names it.
    """
    item = ITEMS[key]
    spec = parse_spec(values, need_experiments=item.stage is not None)
    content = BUILDERS[key](spec, Scores(spec))
    legend = [(name, class_colour(index)) for index, name in enumerate(spec.class_names, start=1)]
    page = render(
        "item.html.j2", {"item": item, "spec": spec, "content": content, "legend": legend}
    )
    if csv is not None:
        data = content.data or content.tables[0]
        write_text(csv, tables.csv_text(data))
    if svg is not None:
        write_text(svg, standalone(content.drawings[0]))
    write_text(output, page)


def _stage_table(number: str, build):
    return lambda spec, scores: Content(
        tables=[build(spec, scores)], published=[tables.published_table(number)]
    )


def _ablation(number: str):
    return _stage_table(number, lambda spec, scores: tables.ablation_table(spec, scores, number))


def _per_class(spec: Spec, scores: Scores) -> Content:
    return Content(tables=[tables.per_class_table(spec, scores)])


def _collected(spec: Spec, scores: Scores) -> Content:
    del scores
    section = collection_section(spec)
    return Content(collection=section)


def _amounts(spec: Spec, scores: Scores) -> Content:
    drawn = figures.amount_boxes(spec, scores)
    if drawn is None:
        raise InputError("figure5: none of its runs has a score of its seeds.")
    return Content(
        note=(
            "Seed mIoU on half B, the images on which no setting was chosen. Box: quartiles and "
            "median over random parts of the images and training seeds; whiskers: all; dots: runs. "
            "Where nothing is drawn at random (0 or all images) there is one run for each training "
            "seed; 0 is F_in, without the control's extra epochs, which Table 1 shows. In (b) the "
            "images of D_in and D_ood are together as many as D_in at 0. The paper prints this "
            "figure without numbers."
        ),
        drawings=[drawn],
        tables=[tables.amounts_of_seeds(spec, scores)],
    )


def _class_bars(spec: Spec, scores: Scores) -> Content:
    families = list(spec.families().values())
    bars = [figures.class_bars(spec, scores, family) for family in families]
    found = [tables.class_table(spec, scores, family) for family in families]
    shown = [table for table in found if table is not None]
    return Content(
        note="Classes by W-OoD's gain over the baseline, the number over the bars. A gain that the "
        "control's line reaches too is due to longer training.",
        drawings=[drawn for drawn in bars if drawn is not None],
        tables=shown,
    )


def _features(spec: Spec, scores: Scores) -> Content:
    del scores
    embedding = embed_epochs(spec.epoch_features, spec.picture_seed)
    first, second = embedding.classes
    return Content(
        note=(
            f"Features z of {len(embedding.images)} images: of D_in with the label {first} or "
            f"{second} (not both), and hard OoD images that F_in takes for them. Epoch 0 is F_in. "
            "One t-SNE of all epochs together, so that a place means the same in each panel."
        ),
        drawings=[figures.feature_panels(embedding)],
        data=points_table(embedding),
    )


def _maps(spec: Spec, scores: Scores, pick=choose) -> list[tuple[str, PictureGrid]]:
    return [
        (name, grid)
        for name, family in spec.families().items()
        for grid in seed_grids(spec, scores, family, pick)
    ]


def _rule(spec: Spec, rule: str) -> str:
    if spec.truth is None:
        rule = "images drawn at random: without true masks no gain is known"
    return (
        f"Chosen by rule, none by hand: {rule} (random with seed {spec.picture_seed}). The number "
        "is the change of the image's own mIoU in points."
    )


def _localization(spec: Spec, scores: Scores) -> Content:
    rule = "per class the image that gains most with W-OoD, the one that loses most, one at random"
    return Content(note=_rule(spec, rule), grids=_maps(spec, scores))


def _more_localization(spec: Spec, scores: Scores) -> Content:
    rule = f"{MORE_MAPS} images a class at random"
    return Content(note=_rule(spec, rule), grids=_maps(spec, scores, draw(MORE_MAPS)))


def _worst_class(spec: Spec, scores: Scores) -> Content:
    family = next(iter(spec.families().values()))
    name, change = class_that_loses_most(spec, scores, family)
    grids = seed_grids(spec, scores, family, most_lost(LOST), [name])
    paper = " The paper's is the dining table." if name != "diningtable" else ""
    return Content(
        note=(
            f"The class whose seed IoU W-OoD lowers most, or raises least: {name} "
            f"({points(change)} points).{paper} "
            + _rule(spec, f"the {LOST} images of the class that lose most with W-OoD, if any does")
        ),
        grids=[(family[0].family, grid) for grid in grids],
        tables=[table] if (table := tables.class_table(spec, scores, family)) else [],
    )


def class_that_loses_most(
    spec: Spec, scores: Scores, family: Sequence[Experiment]
) -> tuple[str, float]:
    """Return the class whose seed IoU W-OoD lowers most, or raises least, and by how many points.

    Raises:
        InputError: no class is scored both without and with W-OoD.
    """
    changes = {}
    for name in spec.class_names:
        before, after = (
            scores.measure(
                member(family, role),  # type: ignore[arg-type]
                "seeds",
                lambda s, n=name: tables.class_value(s["configured"], n),
            )
            for role in ("baseline", "wood")
        )
        if before and after:
            changes[name] = after.mean - before.mean
    if not changes:
        raise InputError("figureA1: no class has a seed IoU both without and with W-OoD.")
    name = min(changes, key=lambda name: changes[name])
    return name, changes[name]


def _predictions(pick, rule: str):
    def build(spec: Spec, scores: Scores) -> Content:
        del scores
        grids = [
            (name, grid)
            for name, family in spec.families().items()
            if (grid := prediction_grid(spec, family, pick))
        ]
        return Content(note=_rule(spec, rule), grids=grids)

    return build


BUILDERS = {
    "table1": _stage_table("1", tables.seeds_table),
    "table2": _stage_table("2", tables.masks_table),
    "table3": _stage_table("3", tables.segmentation_table),
    "table4": _ablation("4"),
    "table5": _ablation("5"),
    "tableA1": _stage_table("A1", tables.amounts_table),
    "tableA2": _ablation("A2"),
    "tableA3": _per_class,
    "figure2": _collected,
    "figure3": _localization,
    "figure4": _predictions(
        choose_two_each,
        "of the validation images the two that gain most with W-OoD, the two that lose most, two "
        "at random",
    ),
    "figure5": _amounts,
    "figure6": _class_bars,
    "figure7": _features,
    "figureA1": _worst_class,
    "figureA2": _collected,
    "figureA3": _more_localization,
    "figureA4": _predictions(draw(MORE_MASKS), f"{MORE_MASKS} validation images at random"),
}
