"""The tables of the registry's items, made by their columns from the long table of scores."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wood.report.columns import (
    LAST,
    MASK,
    METHOD,
    NETWORK,
    ORACLE,
    PUBLISHED,
    SEED,
    Column,
    Quantity,
)
from wood.report.comparison import SEED_CLAIM, member
from wood.report.entry import Item
from wood.report.paper import other_values, paper_rows, tables_of
from wood.report.scores import Measure, Scores
from wood.report.spec import Experiment, Spec
from wood.report.tables import NOTHING, Cell, Table, difference, number, published

SWEPT = {"oracle threshold": ORACLE, "published threshold": PUBLISHED}
COUNTED = {"seeds": SEED, "pseudo_masks": MASK, "segmentation": NETWORK}


def stage_table(item: Item, spec: Spec, scores: Scores) -> Table:
    """A table with a row for each experiment: the columns that the item names, and the paper's."""
    shown = in_order(item, spec.experiments)
    beside = [
        Column(label, f"Paper, Table {item.table}", shows=name)
        for name, label in (item.paper or {}).items()
    ]
    rows = [
        [
            *(_cell(column, experiment, shown, scores) for column in item.columns),
            *(
                published(item.table, experiment.paper.get(item.table), str(c.shows))
                for c in beside
            ),
        ]
        for experiment in shown
    ]
    columns = [*item.columns, *beside]
    keep = [
        place
        for place, column in enumerate(columns)
        if not column.group.startswith(("Paper", "Published", "Test"))
        or any(row[place].value for row in rows)
    ]
    return Table(
        item.file,
        item.heading,
        caption(item, spec, scores),
        [columns[place] for place in keep],
        [[row[place] for place in keep] for row in rows],
        [experiment.role for experiment in shown],
    )


def in_order(item: Item, experiments: Sequence[Experiment]) -> list[Experiment]:
    """Return the rows of a table: where experiments are named for it, in the paper's order.

    Of those without a row there, baseline and control come first.
    """
    if item.members != "named":
        return list(experiments)
    order = paper_rows(item.table)

    def place(experiment: Experiment) -> int:
        row = experiment.paper[item.table]
        if row is not None:
            return order.index(row)
        return -1 if experiment.role in ("baseline", "control") else len(order)

    return sorted(experiments, key=place)


def _cell(
    column: Column, experiment: Experiment, shown: Sequence[Experiment], scores: Scores
) -> Cell:
    if column.shows == "gain":
        return difference(*(scores.measure(e, SEED_CLAIM) for e in (experiment, shown[0])))
    if column.shows in SWEPT:
        return _thresholds([*scores.thresholds(experiment, SWEPT[column.shows]).values()])
    if isinstance(column.shows, str):
        return CELLS[column.shows](experiment)
    return number(scores.measure(experiment, column.shows))


def method(experiment: Experiment) -> Cell:
    """Name an experiment, with the words on what its row rests on."""
    return Cell(experiment.title, hint=experiment.name, tags=tuple(experiment.basis))


def _thresholds(values: Sequence[float]) -> Cell:
    if not values:
        return NOTHING
    low, high = min(values), max(values)
    text = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return Cell(text, sum(values) / len(values))


def _tested(experiment: Experiment) -> Cell:
    found = experiment.test_miou
    return NOTHING if found is None else Cell(f"{found:.1f}", found)


def _loss(name: str) -> Callable[[Experiment], Cell]:
    """A check mark; without OoD images there is the in-distribution term of L_cls alone."""

    def cell(experiment: Experiment) -> Cell:
        named = experiment.wood["losses"] if experiment.wood else ["cls_in"]
        return Cell("✓", 1) if name in named else Cell("", 0)

    return cell


def _of_distance(cell: Callable[[Mapping[str, Any]], Cell]) -> Callable[[Experiment], Cell]:
    """A setting of the distance loss; a dash without one."""

    def of(experiment: Experiment) -> Cell:
        wood = experiment.wood
        used = wood and any(loss.startswith("dist_") for loss in wood["losses"])
        return cell(wood) if used else NOTHING

    return of


def _clusters(wood: Mapping[str, Any]) -> Cell:
    by_class = wood["grouping"] == "predicted_class"
    return Cell("by class") if by_class else Cell(str(wood["clusters"]), wood["clusters"])


CELLS: dict[str, Callable[[Experiment], Cell]] = {
    "method": method,
    "test": _tested,
    **{name: _loss(name) for name in ("cls_in", "cls_ood", "dist_in", "dist_ood")},
    "lambda": _of_distance(
        lambda wood: Cell(
            f"{wood['distance_weight']:g}", wood["distance_weight"], hint=wood["normalize"]
        )
    ),
    "tau": _of_distance(
        lambda wood: Cell(f"{100 * wood['top_fraction']:g} %", 100 * wood["top_fraction"])
    ),
    "K": _of_distance(_clusters),
}


def caption(item: Item, spec: Spec, scores: Scores) -> str:
    """Return an item's caption: the images, the thresholds, and what the paper's numbers are."""
    filled = item.caption.format(
        where=_where(item, spec, scores), thresholds=_configured_thresholds(spec, scores)
    )
    rows = dict.fromkeys(e.paper[item.table] for e in spec.experiments if e.paper.get(item.table))
    parts = [
        f"{other.value:.1f} for {row} ({label}) in {other.place}"
        for row in rows
        for column, label in (item.paper or {}).items()
        for other in other_values(item.table, row, column)
    ]
    if item.protocol:
        filled += f" The paper's numbers are {item.protocol}."
    return filled + (f" The paper also prints {' and '.join(parts)}." if parts else "")


def _where(item: Item, spec: Spec, scores: Scores) -> str:
    return scores.scope(COUNTED[item.stage], spec.experiments) or "not scored yet"


def _configured_thresholds(spec: Spec, scores: Scores) -> str:
    """Say which thresholds the seeds have, one for all or one for each family."""
    used: dict[str, str] = {}
    for family, members in spec.families().items():
        found = {at for e in members for at in scores.thresholds(e, SEED).values()}
        if found:
            used[family] = " or ".join(f"{threshold:g}" for threshold in sorted(found))
    if not used:
        return "none"
    if len(set(used.values())) == 1:
        return f"{next(iter(used.values()))}, fixed before scoring and shared by all methods"
    each = ", ".join(f"{threshold} for {family}" for family, threshold in used.items())
    return f"{each}, fixed before scoring"


def published_table(item: Item) -> Table:
    """One of the paper's tables, every published row."""
    names = paper_rows(item.table)
    rows = [
        [Cell(row), *(published(item.table, row, column) for column in item.paper)] for row in names
    ]
    columns = [METHOD, *(Column(label) for label in item.paper.values())]
    looks = ["wood" if "W-OoD" in name else "" for name in names]
    title = f"The paper's Table {item.table}, all rows"
    return Table(f"paper-table-{item.table}", title, "", columns, rows, looks)


def class_columns(item: Item, spec: Spec, scores: Scores) -> Table:
    """A table with a column for each class: a row for each experiment and quantity of the item.

    Below them, with the look "paper", the paper's rows for our classes. Of the test set there is
    what the server answered.
    """
    classes = ["background", *spec.class_names]
    first = ("Split", "mIoU") if item.table else ("Metric", "Mean")
    columns = [METHOD, Column(first[0], numeric=False), Column(first[1])]
    columns += [Column(name) for name in classes]
    rows, looks = [], []
    for experiment in spec.experiments:
        for label, quantity in (item.per_class or {}).items():
            values = [quantity, *(of_class(quantity, name) for name in classes)]
            cells = [number(scores.measure(experiment, value)) for value in values]
            rows.append([method(experiment), Cell(label), *cells])
            looks.append(experiment.role)
        if item.table and experiment.test_miou is not None:
            rows.append([method(experiment), Cell("test"), _tested(experiment)])
            rows[-1] += [NOTHING] * len(classes)
            looks.append(experiment.role)
    for part in tables_of(item.table) if item.table else []:
        for name in paper_rows(part):
            ours = [e.title for e in spec.experiments if e.paper.get(item.table) == name]
            hint = f"beside {', '.join(ours)}" if ours else ""
            cells = [published(part, name, column) for column in ("miou", *classes)]
            split = part.removeprefix(f"{item.table}-")
            rows.append([Cell(f"{name}, paper", hint=hint), Cell(split), *cells])
            looks.append("paper")
    return Table(item.file, item.heading, caption(item, spec, scores), columns, rows, looks)


def of_class(quantity: Quantity, name: str) -> Quantity:
    """Return a quantity of one class, of which IoU is what mIoU is the mean of."""
    return quantity.of("iou" if quantity.metric == "miou" else quantity.metric, name)


def amounts_of_seeds(item: Item, spec: Spec, scores: Scores) -> Table:
    """Fig. 5 as data: one row for each panel, number of images, random part and training seed.

    mIoU in per cent, at the configured threshold on half B and on all images, and oracle.
    """
    columns = [Column("Panel", numeric=False), Column("D_in"), Column("D_ood")]
    columns += [Column("Experiment", numeric=False), Column("Training seed")]
    columns += [Column(label, "mIoU") for label in ("Half B", "All", "Oracle")]
    rows = []
    for experiment in spec.experiments:
        for panel, amount in experiment.panels.items():
            measures = [scores.measure(experiment, q) for q in (SEED_CLAIM, SEED, ORACLE)]
            for seed in measures[0].by_seed if measures[0] else ():
                values = [measure.by_seed[seed] for measure in measures]
                rows.append(
                    [
                        Cell(panel),
                        *(_amount(amount[domain]) for domain in ("in", "ood")),
                        Cell(experiment.name),
                        Cell(str(seed), seed),
                        *(Cell(f"{value:.1f}", round(value, 4)) for value in values),
                    ]
                )
    return Table(item.file, item.heading, caption(item, spec, scores), columns, rows)


def _amount(count: int | None) -> Cell:
    return Cell("all") if count is None else Cell(f"{count:,}", count)


def class_table(spec: Spec, scores: Scores, family: Sequence[Experiment]) -> Table | None:
    """Per class: IoU of seeds and of the segmentation without and with W-OoD, by improvement."""
    members = {role: member(family, role) for role in ("baseline", "control", "wood")}
    if members["baseline"] is None or members["wood"] is None:
        return None
    parts = {"Seed": SEED}
    if scores.any("segmentation", [members["wood"]]):
        parts["Segmentation"] = LAST
    labels = {"baseline": "without", "control": "control", "wood": "W-OoD"}
    shown = [role for role, experiment in members.items() if experiment]
    columns = [Column("Class", numeric=False)]
    for group in parts:
        columns += [Column(labels[role], group) for role in shown] + [Column("gain", group)]
    rows = []
    for name in ["background", *spec.class_names]:
        row = [Cell(name)]
        for quantity in parts.values():
            measures: dict[str, Measure | None] = {
                role: scores.measure(members[role], of_class(quantity, name)) for role in shown
            }
            row += [number(measures[role]) for role in shown]
            row.append(difference(measures["wood"], measures["baseline"]))
        rows.append(row)
    gain = 1 + len(shown)
    rows.sort(key=lambda row: -(row[gain].value if row[gain].value is not None else -1e9))
    caption = (
        f"IoU in per cent, {members['baseline'].title} against {members['wood'].title}, sorted by "
        "the gain of the seed over the baseline. If there is a control, its column is between "
        "them: a gain that the control has too is due to longer training."
    )
    return Table(f"classes-{family[0].family}", "Per class", caption, columns, rows)
