"""What builds each item of the registry: the content of its page from a specification and scores.

An item names its builder, a function of this module: (item, spec, scores) -> `Content`, where
`spec` has the item's experiments alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from wood.report import figures, item_tables
from wood.report.collection import CollectionSection, collection_section
from wood.report.columns import SEED
from wood.report.comparison import member
from wood.report.embedding import embed_epochs, points_table
from wood.report.entry import Item
from wood.report.pictures import (
    PictureGrid,
    choose,
    choose_two_each,
    draw,
    most_lost,
    prediction_grid,
    seed_grids,
)
from wood.report.scores import Scores, points
from wood.report.spec import Experiment, Spec
from wood.report.tables import Table
from wood.runtime.errors import InputError

MORE_MAPS, MORE_MASKS, LOST = 3, 6, 3  # images in Fig. A3 (a class), A4 and A1


@dataclass
class Content:
    """What stands on the page of one item.

    `published` are the paper's numbers for it, `data` the CSV where that is not the first table;
    `drawings` have a heading, which may be empty.
    """

    note: str = ""
    tables: list[Table] = field(default_factory=list)
    published: list[Table] = field(default_factory=list)
    drawings: list[tuple[str, str]] = field(default_factory=list)
    grids: list[tuple[str, PictureGrid]] = field(default_factory=list)
    collection: CollectionSection | None = None
    data: Table | None = None


def build(item: Item, spec: Spec, scores: Scores) -> Content:
    """Return the content of an item, of the experiments of `spec` that are in it."""
    return globals()[item.builder](item, spec.only(item), scores)


def stage_table(item: Item, spec: Spec, scores: Scores) -> Content:
    """A row for each experiment, and all rows of the paper's table apart."""
    beside = [item_tables.published_table(item)] if item.paper else []
    return Content(tables=[item_tables.stage_table(item, spec, scores)], published=beside)


def class_columns(item: Item, spec: Spec, scores: Scores) -> Content:
    """A column for each class, and the paper's rows apart; the data has both."""
    table = item_tables.class_columns(item, spec, scores)
    ours, papers = (
        [row for row, look in zip(table.rows, table.looks, strict=True) if (look == "paper") == of]
        for of in (False, True)
    )
    looks = [look for look in table.looks if look != "paper"]
    title = f"The paper's Table {item.table}, for classes that are ours too"
    beside = Table(f"paper-{item.file}", title, "", table.columns, papers)
    return Content(
        tables=[replace(table, rows=ours, looks=looks)],
        published=[beside] if papers else [],
        data=table,
    )


def collection(item: Item, spec: Spec, scores: Scores) -> Content:
    """The hard OoD images, by class or by cluster."""
    del item, scores
    return Content(collection=collection_section(spec))


def amounts(item: Item, spec: Spec, scores: Scores) -> Content:
    """Fig. 5: boxes, and their runs as a table."""
    drawn = figures.amount_boxes(spec, scores)
    if drawn is None:
        raise InputError("figure5: none of its runs has a score of its seeds.")
    return Content(
        note="Seed mIoU on half B, the images on which no setting was chosen. A box shows median "
        "and quartiles over random parts of the images and training seeds, the whiskers show the "
        "range, and the dots show the runs. With 0 or all images nothing is drawn at random, so "
        "there is one run for each training seed. 0 is F_in, without the extra epochs of the "
        "control (Table 1). In (b) the number of images in D_in and D_ood together is constant. "
        "The paper prints this figure without numbers.",
        drawings=[("", drawn)],
        tables=[item_tables.amounts_of_seeds(item, spec, scores)],
    )


def class_bars(item: Item, spec: Spec, scores: Scores) -> Content:
    """Fig. 6: bars of each family, and their numbers."""
    del item
    families = spec.families()
    bars = {name: figures.class_bars(spec, scores, family) for name, family in families.items()}
    found = [item_tables.class_table(spec, scores, family) for family in families.values()]
    return Content(
        note="The classes are sorted by W-OoD's gain over the baseline, which is the number over "
        "the bars. A gain that the control's line reaches too is due to longer training.",
        drawings=[(name if len(bars) > 1 else "", drawn) for name, drawn in bars.items() if drawn],
        tables=[table for table in found if table is not None],
    )


def features(item: Item, spec: Spec, scores: Scores) -> Content:
    """Fig. 7: the features of two classes, a panel an epoch."""
    del item, scores
    embedding = embed_epochs(spec.epoch_features, spec.picture_seed)
    first, second = embedding.classes
    return Content(
        note=(
            f"Features z of {len(embedding.images)} images: images of D_in with the label {first} "
            f"or {second} (not both), and hard OoD images in which F_in sees {first} or {second}. "
            "Epoch 0 is F_in. One t-SNE embeds all epochs, so that positions can be compared "
            "between the panels."
        ),
        drawings=[("", figures.feature_panels(embedding))],
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
        rule = "images drawn at random, since without true masks no gain is known"
    return (
        f"A rule chooses the images, not a person: {rule} (random seed {spec.picture_seed}). The "
        "number is the change of the mIoU of this image, in points."
    )


def localization(item: Item, spec: Spec, scores: Scores) -> Content:
    """Fig. 3."""
    del item
    rule = "of each class the largest gain with W-OoD, the largest loss, and one at random"
    return Content(note=_rule(spec, rule), grids=_maps(spec, scores))


def more_localization(item: Item, spec: Spec, scores: Scores) -> Content:
    """Fig. A3."""
    del item
    rule = f"{MORE_MAPS} images of each class at random"
    return Content(note=_rule(spec, rule), grids=_maps(spec, scores, draw(MORE_MAPS)))


def worst_class(item: Item, spec: Spec, scores: Scores) -> Content:
    """Fig. A1."""
    del item
    family = next(iter(spec.families().values()))
    name, change = class_that_loses_most(spec, scores, family)
    grids = seed_grids(spec, scores, family, most_lost(LOST), [name])
    paper = " In the paper it is the dining table." if name != "diningtable" else ""
    rule = f"the {LOST} images of the class with the largest losses, if there are any"
    table = item_tables.class_table(spec, scores, family)
    return Content(
        note=f"The class whose seed IoU W-OoD lowers most or raises least is {name} "
        f"({points(change)} points).{paper} {_rule(spec, rule)}",
        grids=[(family[0].family, grid) for grid in grids],
        tables=[table] if table else [],
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
            scores.measure(member(family, role), SEED.of("iou", name))
            for role in ("baseline", "wood")
        )
        if before and after:
            changes[name] = after.mean - before.mean
    if not changes:
        raise InputError("figureA1: no class has a seed IoU both without and with W-OoD.")
    name = min(changes, key=lambda name: changes[name])
    return name, changes[name]


def segmentation(item: Item, spec: Spec, scores: Scores) -> Content:
    """Fig. 4."""
    del item, scores
    rule = (
        "of the validation images the two largest gains with W-OoD, the two largest losses, and "
        "two at random"
    )
    return Content(note=_rule(spec, rule), grids=_predictions(spec, choose_two_each))


def more_segmentation(item: Item, spec: Spec, scores: Scores) -> Content:
    """Fig. A4."""
    del item, scores
    rule = f"{MORE_MASKS} validation images at random"
    return Content(note=_rule(spec, rule), grids=_predictions(spec, draw(MORE_MASKS)))


def _predictions(spec: Spec, pick) -> list[tuple[str, PictureGrid]]:
    return [
        (name, grid)
        for name, family in spec.families().items()
        if (grid := prediction_grid(spec, family, pick))
    ]
