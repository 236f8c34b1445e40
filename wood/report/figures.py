"""The report's figures as inline SVG."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from wood.data.tables import read_lines
from wood.report import plots
from wood.report.columns import CURVE, SEED
from wood.report.comparison import SEED_CLAIM, member
from wood.report.embedding import Embedding
from wood.report.scores import Scores, points
from wood.report.spec import Experiment, Spec, TrainingLog
from wood.runtime.errors import InputError

ROLE_COLOURS = {
    "baseline": plots.BASELINE,
    "control": plots.CONTROL,
    "wood": plots.WOOD,
}
PANELS = {
    "a": ("(a) all of D_in", "hard OoD images"),
    "b": ("(b) one total", "hard OoD images"),
    "c": ("(c) few", "D_in + hard OoD images"),
}
NOT_TERMS = ("iteration", "epoch", "lr")
TERM_TITLES = {
    "loss": "total loss",
    "cls_in": "classification, in-distribution",
    "cls_ood": "classification, hard OoD",
    "dist_in": "distance to the class centres",
    "dist_ood": "distance to the OoD centres",
    "cls_small": "classification, SEAM's smaller view",
    "min_pool": "SEAM's min-pooling",
    "er": "SEAM's ER",
    "ecr": "SEAM's ECR",
}


def colours(roles: Mapping[str, str]) -> dict[str, str]:
    """Give every name a colour: its role's, or the next free one."""
    taken: dict[str, str] = {}
    free = 0
    for name, role in roles.items():
        colour = ROLE_COLOURS.get(role)
        if colour is None or colour in taken.values():
            colour = plots.OTHERS[free % len(plots.OTHERS)]
            free += 1
        taken[name] = colour
    return taken


def class_bars(spec: Spec, scores: Scores, family: Sequence[Experiment]) -> str | None:
    """Fig. 6: IoU of the seeds per class without and with W-OoD, sorted by improvement."""
    members = {role: member(family, role) for role in ("baseline", "control", "wood")}
    if members["baseline"] is None or members["wood"] is None:
        return None
    ious: dict[str, dict[str, float]] = {}
    for role, experiment in members.items():
        if experiment is None:
            continue
        for name in ["background", *spec.class_names]:
            measure = scores.measure(experiment, SEED.of("iou", name))
            if measure is not None:
                ious.setdefault(name, {})[role] = measure.mean
    names = [name for name, values in ious.items() if {"baseline", "wood"} <= values.keys()]
    if not names:
        return None
    names.sort(key=lambda name: ious[name]["baseline"] - ious[name]["wood"])
    places = np.arange(len(names))
    with plots.figure(max(480, 110 + 44 * len(names)), 380) as (drawn, axes):
        axis = axes[0, 0]
        for role, shift in (("baseline", -0.2), ("wood", 0.2)):
            heights = [ious[name][role] for name in names]
            axis.bar(
                places + shift, heights, 0.38, color=ROLE_COLOURS[role], label=members[role].title
            )
        if members["control"]:
            found = [
                (x, ious[name]["control"])
                for x, name in zip(places, names, strict=True)
                if "control" in ious[name]
            ]
            for number, (x, height) in enumerate(found):
                label = members["control"].title if number == 0 else None
                axis.plot([x - 0.42, x + 0.42], [height] * 2, color=plots.CONTROL, label=label)
        for x, name in zip(places, names, strict=True):
            gain = ious[name]["wood"] - ious[name]["baseline"]
            axis.text(x, max(ious[name].values()) + 1.5, points(gain), ha="center", size=11)
        axis.set_xticks(places, names, rotation=35, ha="right", rotation_mode="anchor")
        axis.tick_params(axis="x", length=0)
        axis.grid(axis="x", visible=False)
        axis.set_ylabel("seed IoU (%)")
        top = max(max(values.values()) for values in ious.values())
        axis.set_ylim(0, min(110, top + 10))
        handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        titles = [experiment.title for experiment in members.values() if experiment]
        titles = [title for title in titles if title in handles]
        # One below the other: titles can be long.
        drawn.legend([handles[title] for title in titles], titles, loc="outside upper left")
        return plots.svg(
            drawn, f"bars-{_word(family[0].family)}", "Seed IoU per class without and with W-OoD"
        )


def amounts(spec: Spec, scores: Scores) -> dict[str, list[tuple[str, list[float]]]]:
    """The boxes of Fig. 5: for each panel pairs of a label and the mIoU of its runs, in per cent.

    Runs of one number of images make a box, whatever their random part and training seed. mIoU is
    that of half B where there is one. Within a panel the boxes stand by the number of OoD images
    ("all" last), in (c) by the number of D_in first.
    """
    found: dict[str, dict[tuple[float, float], list[float]]] = {}
    for experiment in spec.experiments:
        measure = scores.measure(experiment, SEED_CLAIM)
        for panel, images in experiment.panels.items():
            inside, outside = (
                float("inf") if images[domain] is None else images[domain]
                for domain in ("in", "ood")
            )
            key = (inside, outside) if panel == "c" else (outside, inside)
            if measure is not None:
                found.setdefault(panel, {}).setdefault(key, []).extend(measure.values)
    return {
        panel: [(_box_label(panel, *key), values) for key, values in sorted(boxes.items())]
        for panel, boxes in sorted(found.items())
    }


def _box_label(panel: str, first: float, second: float) -> str:
    shown = ["all" if count == float("inf") else f"{count:,.0f}" for count in (first, second)]
    return f"{shown[0]} + {shown[1]}" if panel == "c" else shown[0]


def amount_boxes(spec: Spec, scores: Scores) -> str | None:
    """Fig. 5: mIoU of the seeds against the number of images, quantiles over the random parts."""
    panels = amounts(spec, scores)
    if not panels:
        return None
    widths = [len(boxes) + 1 for boxes in panels.values()]
    ratios = {"width_ratios": widths}
    drawing = plots.figure(
        max(360, 62 * sum(widths)), 340, 1, len(panels), sharey=True, gridspec_kw=ratios
    )
    with drawing as (drawn, axes):
        for axis, (panel, boxes) in zip(axes[0], panels.items(), strict=True):
            line = {"color": plots.WOOD, "linewidth": 1.5}
            axis.boxplot(
                [values for _, values in boxes],
                widths=0.55,
                whis=(0, 100),
                boxprops=line,
                whiskerprops=line,
                capprops=line,
                medianprops={"color": plots.INK, "linewidth": 2},
            )
            for place, (_, values) in enumerate(boxes, start=1):
                axis.plot([place] * len(values), values, "o", color=plots.WOOD, markersize=4)
            axis.set_xticks(range(1, len(boxes) + 1), [label for label, _ in boxes])
            axis.grid(axis="x", visible=False)
            title, label = PANELS[panel]
            axis.set(title=title, xlabel=label)
        axes[0, 0].set_ylabel("seed mIoU (%)")
        return plots.svg(drawn, "amounts", "Seed mIoU against the number of images")


def feature_panels(embedding: Embedding) -> str:
    """Fig. 7: the features of two classes and of their OoD images, one panel an epoch.

    All panels have the same axes, for they show one embedding.
    """
    epochs = len(embedding.points)
    columns = min(3, epochs)
    rows = -(-epochs // columns)
    colours = dict(zip(embedding.classes, plots.OTHERS, strict=False))
    drawing = plots.figure(250 * columns, 250 * rows + 40, rows, columns, sharex=True, sharey=True)
    with drawing as (drawn, axes):
        for axis, (epoch, points) in zip(axes.flat, embedding.points.items(), strict=False):
            for name, colour in colours.items():
                for domain, marker in (("in", "o"), ("ood", "x")):
                    chosen = (embedding.class_of == name) & (embedding.domain_of == domain)
                    label = f"{name}, {'in-distribution' if domain == 'in' else 'hard OoD'}"
                    axis.plot(
                        *points[chosen].T,
                        marker,
                        color=colour,
                        markersize=4,
                        alpha=0.75,
                        linestyle="none",
                        label=label,
                    )
            axis.set_title(f"epoch {epoch}")
            axis.set(xticks=[], yticks=[])
        for axis in axes.flat[epochs:]:
            axis.set_axis_off()
        handles, labels = axes[0, 0].get_legend_handles_labels()
        drawn.legend(handles, labels, loc="outside lower center", ncols=2)
        return plots.svg(drawn, "features", "Features of two classes and of their OoD images")


def threshold_curves(
    spec: Spec, scores: Scores, experiments: Sequence[Experiment] | None = None
) -> str | None:
    """The seeds over all thresholds: mIoU against the threshold, precision against recall.

    Of `experiments`, or of all that are not there for ablations alone.
    """
    chosen = spec.main() if experiments is None else experiments
    shown = [e for e in chosen if scores.any("seeds", [e])]
    if not any(scores.thresholds(e, CURVE) for e in shown):
        return None
    palette = colours({e.name: e.role for e in shown})
    configured = {e.name: scores.thresholds(e, SEED) for e in shown}
    with plots.figure(900, 340, 1, 2) as (drawn, axes):
        left, right = axes[0]
        for experiment in shown:
            colour = palette[experiment.name]
            for number, (seed, curve) in enumerate(scores.curves(experiment).items()):
                label = experiment.title if number == 0 else None
                left.plot(curve.index, 100 * curve["miou"], color=colour, label=label)
                recall, precision = 100 * curve["recall"], 100 * curve["precision"]
                right.plot(recall, precision, color=colour)
                place = abs(curve.index - configured[experiment.name][seed]).argmin()
                right.plot(
                    recall.iloc[place], precision.iloc[place], "o", color=colour, markersize=7
                )
        for threshold in {at for found in configured.values() for at in found.values()}:
            left.axvline(threshold, color=plots.MUTED, linewidth=1, linestyle=(0, (4, 3)))
        left.set(xlabel="threshold", ylabel="mIoU (%)", title="mIoU over thresholds")
        right.set(xlabel="recall (%)", ylabel="precision (%)", title="Precision against recall")
        drawn.legend(loc="outside lower center", ncols=min(3, len(shown)))
        return plots.svg(drawn, "thresholds", "Seed quality over all thresholds")


def training_curves(logs: Sequence[TrainingLog], stage: str) -> str | None:
    """The loss and its named terms over the iterations, one panel a term; smoothed, raw behind.

    A training that several experiments share is drawn once, under all their names.
    """
    logs = _shared([log for log in logs if log.stage == stage])
    lines = {(log.name, log.seed): read_log(log.path) for log in logs}
    found = {key: None for rows in lines.values() for row in rows for key in row}
    terms = sorted((key for key in found if key not in NOT_TERMS), key=lambda key: key != "loss")
    if not terms:
        return None
    palette = colours({log.name: log.role for log in logs})
    columns = min(3, len(terms))
    rows = -(-len(terms) // columns)
    with plots.figure(300 * columns, 230 * rows + 40, rows, columns) as (drawn, axes):
        labelled: set[str] = set()
        for axis, term in zip(axes.flat, terms, strict=False):
            for log in logs:
                points = [
                    (row["iteration"], row[term])
                    for row in lines[log.name, log.seed]
                    if isinstance(row.get(term), int | float)
                ]
                if not points:
                    continue
                x, y = zip(*points, strict=True)
                colour = palette[log.name]
                axis.plot(x, y, color=colour, linewidth=0.8, alpha=0.35)
                label = None if log.name in labelled else log.name
                labelled.add(log.name)
                axis.plot(x, plots.running_mean(y, max(1, len(y) // 10)), color=colour, label=label)
            axis.set_title(TERM_TITLES.get(term, term.replace("_", " ")))
            axis.set_xlabel("iteration")
            axis.locator_params(nbins=5)
        for axis in axes.flat[len(terms) :]:
            axis.set_axis_off()
        drawn.legend(loc="outside lower center", ncols=4)
        return plots.svg(drawn, f"training-{_word(stage)}", f"Training curves of the {stage}")


def _shared(logs: Sequence[TrainingLog]) -> list[TrainingLog]:
    """One log for each file, with the names of all that have it."""
    names: dict[str, list[str]] = {}
    for log in logs:
        names.setdefault(log.path, []).append(log.name)
    firsts = {log.path: log for log in reversed(logs)}
    return [replace(firsts[path], name=", ".join(of)) for path, of in names.items()]


def read_log(path: str) -> list[dict[str, Any]]:
    """Read a training log: one JSON object a line; a last line cut short by a kill is left out.

    Raises:
        InputError: a line before the last is not a JSON object with an iteration.
    """
    lines = read_lines(path, "training log")
    rows = []
    for number, line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            if number == lines[-1][0]:
                break
            row = None
        if not isinstance(row, dict) or "iteration" not in row:
            raise InputError(f"{path}: line {number} is not a line of a training log.")
        rows.append(row)
    return rows


def _word(text: str) -> str:
    """Make a name fit for an identifier."""
    return "".join(letter if letter.isalnum() else "-" for letter in text.lower())
