"""The report's tables as data: what a cell shows, what it sorts by, and what stands above it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from wood.report.paper import other_values, paper_number, paper_rows
from wood.report.scores import (
    Measure,
    Score,
    Scores,
    final,
    half_b,
    half_of,
    member,
    paired,
    points,
    seed_miou,
)
from wood.report.spec import CLASSES_TABLE, SPLITS, Experiment, Spec

NONE = "-"
PAPER_COLUMNS = {
    "1": {"miou": "mIoU", "precision": "Prec.", "recall": "Recall", "f1": "F1"},
    "2": {"seed": "Seed", "seed_crf": "+ CRF", "mask": "Mask"},
    "3": {"val": "val", "test": "test"},
    "4": {"miou": "mIoU"},
    "5": {"miou": "mIoU", "sd": "sd"},
    "A1": {"val": "val"},
    "A2": {"miou": "mIoU"},
}
LOSSES = {
    "cls_in": ("cls", "D_in"),
    "cls_ood": ("cls", "D_ood"),
    "dist_in": ("d", "D_in"),
    "dist_ood": ("d", "D_ood"),
}
ABLATIONS = {
    "4": "Clusters of OoD images",
    "5": "Losses",
    "A2": "Hyper-parameters",
}
CAPTIONS = {
    "4": "Two ways to make the OoD clusters: by the class that F_in takes an image for, and by "
    "K-means of its feature.",
    "5": "Which terms of the loss take part. The paper's check marks are told from its Sec. 4.3.2; "
    "so (c) to (e) adds L_cls on D_ood, which the text calls a gain where its numbers fall. Two "
    "combinations are not in the paper.",
    "A2": "Lambda weighs the distance loss, tau is the share of the clusters that counts.",
}


@dataclass(frozen=True)
class Cell:
    """One cell: its text, the number it sorts by, and a class for its look."""

    text: str
    value: float | None = None
    look: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Column:
    """One column; `group` is the heading shared with its neighbours."""

    label: str
    group: str = ""
    numeric: bool = True
    hint: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page; `key` names its CSV file, `looks` has one class per row."""

    key: str
    title: str
    caption: str
    columns: list[Column]
    rows: list[list[Cell]]
    looks: list[str] = field(default_factory=list)

    def groups(self) -> list[tuple[str, int]]:
        """Return the headings over the columns and how many columns each spans."""
        groups: list[tuple[str, int]] = []
        for column in self.columns:
            if groups and groups[-1][0] == column.group:
                groups[-1] = (column.group, groups[-1][1] + 1)
            else:
                groups.append((column.group, 1))
        return groups


def number(measure: Measure | None) -> Cell:
    """Show a measure; a dash where there is none."""
    if measure is None:
        return Cell(NONE, look="none")
    values = ", ".join(f"{value:.2f}" for value in measure.values)
    return Cell(measure.text, round(measure.mean, 4), hint=f"per seed: {values}")


def difference(ours: Measure | None, reference: Measure | None) -> Cell:
    """Show how many points `ours` lies above `reference`, over the training seeds of both."""
    found = paired(ours, reference)
    if found is None:
        return Cell(NONE, look="none")
    text = points(found.mean)
    look = {"+": "up", "-": "down"}.get(text[0], "")
    seeds = f"over {found.runs} training seed{'s' if found.runs != 1 else ''}"
    return Cell(text, round(found.mean, 4), look, seeds)


def seeds_table(spec: Spec, scores: Scores) -> Table:
    """Table 1: quality of the initial seeds."""
    columns = [Column("Method", numeric=False)]
    columns += [Column(label, "Configured threshold") for label in PAPER_COLUMNS["1"].values()]
    columns += [
        Column("mIoU", "Half B", hint="images that chose no threshold or setting"),
        Column("mIoU", "Oracle", hint="at the best threshold on the scored masks themselves"),
        Column("at", "Oracle", hint="that threshold"),
    ]
    columns += _paper_headings("1")
    rows = []
    for experiment in spec.main():
        row = [_method(experiment)]
        for key in PAPER_COLUMNS["1"]:
            row.append(_cell(scores, experiment, "seeds", lambda s, key=key: s["configured"][key]))
        row.append(_cell(scores, experiment, "seeds", lambda s: (half_b(s) or {}).get("miou")))
        row.append(_cell(scores, experiment, "seeds", lambda s: s["oracle"]["summary"]["miou"]))
        row.append(_thresholds(scores.of(experiment, "seeds")))
        rows.append(row + _paper_cells("1", experiment))
    caption = (
        f"Seeds against the true masks ({_where(spec, scores, 'seeds')}), in per cent. "
        f"Configured threshold: {_configured_thresholds(spec, scores)}. Half B: the half of the "
        "images on which nothing was chosen; our claims rest on it. Oracle: the threshold that is "
        "best on the scored masks, which is how the paper's seed rows are made."
        + _disagreements("1", spec)
    )
    return _table(spec.main(), "table-1-seeds", "Initial seeds", caption, columns, rows)


def _configured_thresholds(spec: Spec, scores: Scores) -> str:
    """Say which thresholds the seeds have, one for all or one for each family."""
    used: dict[str, str] = {}
    for family, members in spec.families().items():
        shown = [experiment for experiment in members if not experiment.ablation_only]
        found = {score["threshold"] for e in shown for score in scores.of(e, "seeds")}
        if found:
            used[family] = " or ".join(f"{threshold:g}" for threshold in sorted(found))
    if not used:
        return "none"
    if len(set(used.values())) == 1:
        return f"{next(iter(used.values()))}, fixed before scoring and shared by all methods"
    each = ", ".join(f"{threshold} for {family}" for family, threshold in used.items())
    return f"{each}, fixed before scoring"


def masks_table(spec: Spec, scores: Scores) -> Table:
    """Table 2: from the seed to the pseudo ground-truth mask."""
    columns = [Column("Method", numeric=False)]
    columns += [Column(label, "All images") for label in PAPER_COLUMNS["2"].values()]
    columns += [Column("Mask", "Half B")]
    columns += [Column(label, "Mask, all images") for label in ("Prec.", "Recall")]
    columns += _paper_headings("2")
    rows = []
    for experiment in spec.main():
        row = [
            _method(experiment),
            _cell(scores, experiment, "seeds", lambda s: s["configured"]["miou"]),
            _cell(
                scores, experiment, "pseudo_masks",
                lambda s: ((s.get("stages") or {}).get("seed_crf") or {}).get("miou"),
            ),
            _cell(scores, experiment, "pseudo_masks", lambda s: s["miou"]),
            _cell(scores, experiment, "pseudo_masks", lambda s: (half_b(s) or {}).get("miou")),
            _cell(scores, experiment, "pseudo_masks", lambda s: s.get("precision")),
            _cell(scores, experiment, "pseudo_masks", lambda s: s.get("recall")),
        ]  # fmt: skip
        rows.append(row + _paper_cells("2", experiment))
    caption = (
        f"mIoU of the seed at the configured threshold, after the dense CRF, and of the mask that "
        f"the random walk of IRNet makes of it ({_where(spec, scores, 'pseudo_masks')}), in per "
        "cent." + _disagreements("2", spec)
    )
    return _table(
        spec.main(), "table-2-pseudo-masks", "Pseudo ground-truth masks", caption, columns, rows
    )


def segmentation_table(spec: Spec, scores: Scores) -> Table:
    """Table 3: the segmentation network."""
    columns = [
        Column("Method", numeric=False),
        Column("mIoU", "Network alone"),
        Column("mIoU", "With dense CRF"),
        Column("Prec.", "Last step"),
        Column("Recall", "Last step"),
        Column("mIoU", "Test", hint="what the evaluation server answered (test_miou)"),
        *_paper_headings("3"),
    ]
    rows = []
    for experiment in spec.main():
        row = [
            _method(experiment),
            _cell(scores, experiment, "segmentation", lambda s: s["miou"]),
            _cell(scores, experiment, "segmentation", lambda s: (s.get("crf") or {}).get("miou")),
            _cell(scores, experiment, "segmentation", lambda s: final(s).get("precision")),
            _cell(scores, experiment, "segmentation", lambda s: final(s).get("recall")),
            _tested(experiment),
        ]
        rows.append(row + _paper_cells("3", experiment))
    caption = (
        f"mIoU of DeepLab-v2 trained on the pseudo-masks "
        f"({_where(spec, scores, 'segmentation')}), in per cent. Test: only the Pascal VOC server "
        "can score its test set; its answer stands here once `test_miou` of the experiment has it."
    )
    return _table(spec.main(), "table-3-segmentation", "Segmentation", caption, columns, rows)


def amounts_table(spec: Spec, scores: Scores) -> Table | None:
    """Table A1: the segmentation against the number of hard OoD images; None where none names it.

    The rows are the experiments that name it.
    """
    shown = [experiment for experiment in spec.experiments if "A1" in experiment.paper]
    if not shown:
        return None
    columns = [
        Column("Method", numeric=False),
        Column("mIoU", "Network alone"),
        Column("mIoU", "With dense CRF"),
        *_paper_headings("A1"),
    ]
    rows = [
        [
            _method(experiment),
            _cell(scores, experiment, "segmentation", lambda s: s["miou"]),
            _cell(scores, experiment, "segmentation", lambda s: (s.get("crf") or {}).get("miou")),
            *_paper_cells("A1", experiment),
        ]
        for experiment in shown
    ]
    caption = (
        f"The segmentation network ({_where(spec, scores, 'segmentation')}) where fewer hard OoD "
        "images were collected, in per cent. The paper's are of AdvCAM, with ResNet-101."
    )
    title = "Segmentation with fewer hard OoD images"
    return _table(shown, "table-A1-segmentation", title, caption, columns, rows)


def per_class_table(spec: Spec, scores: Scores) -> Table:
    """Table A3: the segmentation per class on val and test, and the paper's rows for our classes.

    Ours is the last step; on test only what the server answered.
    """
    classes = ["background", *spec.class_names]
    columns = [Column("Method", numeric=False), Column("Split", numeric=False), Column("mIoU")]
    columns += [Column(name) for name in classes]
    rows, looks = [], []
    for experiment in spec.experiments:
        row = [_method(experiment), Cell("val")]
        row.append(_cell(scores, experiment, "segmentation", lambda s: final(s)["miou"]))
        row += [
            _cell(scores, experiment, "segmentation", lambda s, n=name: class_value(final(s), n))
            for name in classes
        ]
        rows.append(row)
        looks.append(experiment.role)
        if experiment.test_miou is not None:
            nothing = [Cell(NONE, look="none")] * len(classes)
            rows.append([_method(experiment), Cell("test"), _tested(experiment), *nothing])
            looks.append(experiment.role)
    for split in SPLITS:
        table = f"{CLASSES_TABLE}-{split}"
        for name in paper_rows(table):
            cells = [_published(table, name, column) for column in ("miou", *classes)]
            ours = [e.title for e in spec.experiments if e.paper.get(CLASSES_TABLE) == name]
            hint = f"beside {', '.join(ours)}" if ours else ""
            rows.append([Cell(f"{name}, paper", hint=hint), Cell(split), *cells])
            looks.append("paper")
    caption = (
        f"IoU of the last step of the segmentation network per class "
        f"({_where(spec, scores, 'segmentation')}), in per cent. The paper's rows are of Pascal "
        "VOC 2012, shown for classes that are ours too; mIoU is over all of its 21."
    )
    return Table("table-A3-classes", "Segmentation per class", caption, columns, rows, looks)


def amounts_of_seeds(spec: Spec, scores: Scores) -> Table:
    """Fig. 5 as data: one row for each panel, number of images, random part and training seed.

    mIoU in per cent, at the configured threshold on all images and on half B, and oracle.
    """
    columns = [Column("Panel", numeric=False), Column("D_in"), Column("D_ood")]
    columns += [Column("Experiment", numeric=False), Column("Training seed")]
    columns += [Column(label, "mIoU") for label in ("Half B", "All", "Oracle")]
    picks = (
        seed_miou,
        lambda s: s["configured"]["miou"],
        lambda s: s["oracle"]["summary"]["miou"],
    )
    rows = []
    for experiment in spec.experiments:
        for panel, amount in experiment.panels.items():
            measures = [scores.measure(experiment, "seeds", pick) for pick in picks]
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
    caption = (
        f"Every run of Fig. 5: seeds against the true masks ({_where(spec, scores, 'seeds')}), in "
        "per cent. Half B: images on which no setting was chosen, which the boxes show."
    )
    return Table("figure-5-runs", "Amount of hard OoD images", caption, columns, rows)


def _amount(count: int | None) -> Cell:
    return Cell("all") if count is None else Cell(f"{count:,}", count)


def csv_text(table: Table) -> str:
    """Return a table as CSV: numbers in full, nothing where a number is missing."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(
        f"{column.group}: {column.label}" if column.group else column.label
        for column in table.columns
    )
    for row in table.rows:
        writer.writerow(
            cell.value if cell.value is not None else "" if cell.text == NONE else cell.text
            for cell in row
        )
    return file.getvalue()


def ablation_table(spec: Spec, scores: Scores, table: str) -> Table | None:
    """Table 4, 5 or A2: seeds of the experiments that name it; None where none does.

    They stand in the paper's order; of those without a row there, baseline and control come first.
    """
    order = paper_rows(table)

    def place(experiment: Experiment) -> int:
        row = experiment.paper[table]
        if row is not None:
            return order.index(row)
        return -1 if experiment.role in ("baseline", "control") else len(order)

    shown = sorted((e for e in spec.experiments if table in e.paper), key=place)
    if not shown:
        return None
    columns = [Column("Method", numeric=False)]
    if table == "5":
        columns += [Column(domain, f"L_{loss}", numeric=False) for loss, domain in LOSSES.values()]
    else:
        columns += [Column(label, "Settings") for label in ("lambda", "tau", "K")]
    columns += [
        Column("All", "mIoU at the configured threshold"),
        Column("Half A", "mIoU at the configured threshold", hint="settings are chosen here"),
        Column("Half B", "mIoU at the configured threshold", hint="claims are made here"),
        Column(
            "gain",
            "mIoU at the configured threshold",
            hint="half B, minus the first row, over the training seeds of both",
        ),
        Column("All", "Oracle", hint="mIoU at the best threshold on the scored masks themselves"),
        *_paper_headings(table),
    ]
    rows = []
    for experiment in shown:
        settings = _losses if table == "5" else _cluster_settings
        rows.append(
            [
                _method(experiment),
                *settings(experiment),
                _cell(scores, experiment, "seeds", lambda s: s["configured"]["miou"]),
                _cell(scores, experiment, "seeds", lambda s: (half_of(s, "A") or {}).get("miou")),
                _cell(scores, experiment, "seeds", lambda s: (half_of(s, "B") or {}).get("miou")),
                difference(
                    *(scores.measure(e, "seeds", seed_miou) for e in (experiment, shown[0]))
                ),
                _cell(scores, experiment, "seeds", lambda s: s["oracle"]["summary"]["miou"]),
                *_paper_cells(table, experiment),
            ]
        )
    caption = (
        f"{CAPTIONS[table]} Seeds against the true masks ({_where(spec, scores, 'seeds')}), in per "
        "cent; the paper's are of the kind called oracle. Rows can differ in their training seeds: "
        "a gain over the first row is over the seeds of both."
    )
    return _table(shown, f"table-{table}-ablation", ABLATIONS[table], caption, columns, rows)


def _losses(experiment: Experiment) -> list[Cell]:
    """Check marks; a classifier without OoD images has the in-distribution term of L_cls alone."""
    named = experiment.ood["losses"] if experiment.ood else ["cls_in"]
    return [Cell("✓", 1) if loss in named else Cell("", 0) for loss in LOSSES]


def _cluster_settings(experiment: Experiment) -> list[Cell]:
    ood = experiment.ood
    if not ood or not any(loss.startswith("dist_") for loss in ood["losses"]):
        return [Cell(NONE, look="none")] * 3
    tau = 100 * ood["top_fraction"]
    by_class = ood["grouping"] == "predicted_class"
    return [
        Cell(f"{ood['distance_weight']:g}", ood["distance_weight"], hint=ood["normalize"]),
        Cell(f"{tau:g} %", tau),
        Cell("by class") if by_class else Cell(str(ood["clusters"]), ood["clusters"]),
    ]


def class_table(spec: Spec, scores: Scores, family: Sequence[Experiment]) -> Table | None:
    """Per class: IoU of seeds and of the segmentation without and with W-OoD, by improvement."""
    members = {role: member(family, role) for role in ("baseline", "control", "wood")}
    if members["baseline"] is None or members["wood"] is None:
        return None
    columns = [Column("Class", numeric=False)]
    parts = [("Seed", "seeds", lambda s: s["configured"])]
    if scores.of(members["wood"], "segmentation"):
        parts.append(("Segmentation", "segmentation", final))
    labels = {"baseline": "without", "control": "control", "wood": "W-OoD"}
    shown = [role for role, experiment in members.items() if experiment]
    for group, _, _ in parts:
        columns += [Column(labels[role], group) for role in shown] + [Column("gain", group)]
    rows = []
    for name in ["background", *spec.class_names]:
        row = [Cell(name)]
        for _, kind, summary in parts:
            measures = {
                role: scores.measure(
                    members[role], kind, lambda s, f=summary, n=name: class_value(f(s), n)
                )
                for role in shown
            }
            row += [number(measures[role]) for role in shown]
            row.append(difference(measures["wood"], measures["baseline"]))
        rows.append(row)
    gain = 1 + len(shown)
    rows.sort(key=lambda row: -(row[gain].value if row[gain].value is not None else -1e9))
    caption = (
        f"IoU in per cent, {members['baseline'].title} against {members['wood'].title}, sorted by "
        "the gain of the seed over the baseline. The control stands between them where there is "
        "one: a gain that it shows too is due to longer training."
    )
    return Table(f"classes-{family[0].family}", "Per class", caption, columns, rows)


def class_value(summary: Score, name: str, key: str = "iou") -> float | None:
    """Return one class's IoU, precision or recall; None where the class does not occur."""
    return (summary["per_class"].get(name) or {}).get(key)


def published_table(table: str) -> Table:
    """One of the paper's tables, every published row."""
    labels = PAPER_COLUMNS[table]
    rows: list[list[Cell]] = []
    for name in paper_rows(table):
        cells = [_published(table, name, column) for column in labels]
        rows.append([Cell(name), *cells])
    columns = [Column("Method", numeric=False)] + [Column(label) for label in labels.values()]
    looks = ["wood" if "W-OoD" in name else "" for name in paper_rows(table)]
    return Table(
        f"paper-table-{table}", f"The paper's Table {table}, all rows", "", columns, rows, looks
    )


def _published(table: str, row: str | None, column: str) -> Cell:
    found = paper_number(table, row, column)
    if found is None:
        return Cell(NONE, look="paper none")
    digits = 2 if column == "sd" else 1
    return Cell(f"{found.value:.{digits}f}", found.value, "paper", found.place)


def _paper_headings(table: str) -> list[Column]:
    labels = PAPER_COLUMNS[table].values()
    return [Column(label, f"Paper, Table {table}") for label in labels]


def _paper_cells(table: str, experiment: Experiment) -> list[Cell]:
    row = experiment.paper.get(table)
    return [_published(table, row, column) for column in PAPER_COLUMNS[table]]


def _disagreements(table: str, spec: Spec) -> str:
    """Say where the paper itself prints another value for a number shown beside ours."""
    rows = dict.fromkeys(e.paper[table] for e in spec.experiments if e.paper.get(table))
    parts = []
    for row in rows:
        for column, label in PAPER_COLUMNS[table].items():
            parts += [
                f"{other.value:.1f} for {row} ({label}) in {other.place}"
                for other in other_values(table, row, column)
            ]
    return f" The paper also prints {' and '.join(parts)}." if parts else ""


def _cell(scores: Scores, experiment: Experiment, kind: str, pick) -> Cell:
    return number(scores.measure(experiment, kind, pick))


def _thresholds(files: Sequence[Score]) -> Cell:
    values = [score["oracle"]["threshold"] for score in files]
    if not values:
        return Cell(NONE, look="none")
    low, high = min(values), max(values)
    text = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return Cell(text, sum(values) / len(values))


def _tested(experiment: Experiment) -> Cell:
    found = experiment.test_miou
    return Cell(NONE, look="none") if found is None else Cell(f"{found:.1f}", found)


def _method(experiment: Experiment) -> Cell:
    return Cell(experiment.title, hint=experiment.name)


def _where(spec: Spec, scores: Scores, kind: str) -> str:
    for experiment in spec.experiments:
        for score in scores.of(experiment, kind):
            images = score.get("images")
            count = f", {images:,} images" if isinstance(images, int) else ""
            return f"{score.get('split', 'split not named')}{count}"
    return "not scored yet"


def _table(
    experiments: Sequence[Experiment],
    key: str,
    title: str,
    caption: str,
    columns: list[Column],
    rows: list[list[Cell]],
) -> Table:
    keep = [
        index
        for index, column in enumerate(columns)
        if not column.group.startswith(("Paper", "Test")) or any(row[index].value for row in rows)
    ]
    looks = [experiment.role for experiment in experiments]
    return Table(
        key,
        title,
        caption,
        [columns[index] for index in keep],
        [[row[index] for index in keep] for row in rows],
        looks,
    )
