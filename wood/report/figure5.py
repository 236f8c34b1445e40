"""Fig. 5: classifiers on random parts of the images, named from one section of the configuration.

Panel (a) has all of D_in and fewer hard OoD images, (b) one total of both, (c) few of both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Tree = Mapping[str, Any]

TRAINED = {"published": None, "keep_epochs": False}  # a part has weights of its own, the last


@dataclass(frozen=True)
class Run:
    """One experiment of a panel: its numbers of images, None for all, and the part that is drawn.

    `part` is None where nothing is drawn: these are the experiments that the section names.
    """

    panel: str
    images_in: int | None
    images_ood: int | None
    part: int | None = None


def runs(settings: Tree) -> list[Run]:
    """Return the runs of Fig. 5 for its section, panel by panel; none without sizes."""
    sizes, total, few = settings["ood"], settings["total"], settings["few"]
    parts = range(settings["repeats"])
    found = [Run("a", None, size, part) for size in sizes for part in parts]
    if found:
        found = [Run("a", None, 0), *found, Run("a", None, None)]
    if total is not None and sizes:
        found.append(Run("b", None, 0))
        found += [Run("b", total - size, size, part) for size in sizes for part in parts]
    if few is not None:
        found += [Run("c", few["in"], size, part) for size in (0, few["ood"]) for part in parts]
        found.append(Run("c", None, 0))
    return found


def experiment_of(run: Run, settings: Tree) -> str:
    """Return the name of a run's experiment; a W-OoD classifier of a part has the same name."""
    if run.part is None:
        return settings["baseline"] if run.images_ood == 0 else settings["wood"]
    inside = "" if run.images_in is None else f"in-{run.images_in}-"
    outside = f"ood-{run.images_ood}-" if run.images_ood else ""
    return f"part-{inside}{outside}{run.part}"


def panels(settings: Tree, experiment: str) -> dict[str, dict[str, int | None]]:
    """Return the panels that an experiment is in, with its numbers of images `in` and `ood`."""
    return {
        run.panel: {"in": run.images_in, "ood": run.images_ood}
        for run in runs(settings)
        if experiment_of(run, settings) == experiment
    }


def classifiers_and_experiments(
    settings: Tree, baseline: str, wood: str, clusters: int
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return the classifiers and experiments of the runs on parts, as overrides by their names.

    Args:
        settings: the section.
        baseline, wood: the classifiers without and with OoD images that they are like.
        clusters: K of the latter; there are no more clusters than OoD images.
    """
    classifiers: dict[str, dict[str, Any]] = {}
    experiments: dict[str, dict[str, Any]] = {}
    for run in runs(settings):
        if run.part is None:
            continue
        name = experiment_of(run, settings)
        data = {"in": run.images_in, "subset_seed": run.part}
        start = None
        if run.images_in is not None:
            start = f"part-in-{run.images_in}-{run.part}"
            classifiers[start] = {"like": baseline, **TRAINED, "data": data}
        if run.images_ood:
            classifiers[name] = {
                "like": wood,
                **TRAINED,
                **({"init": start} if start else {}),
                "data": {**data, "ood": run.images_ood},
                "wood": {"clusters": min(clusters, run.images_ood)},
            }
        experiments[name] = {
            "classifier": name,
            "title": _title(run),
            "family": "Figure 5",
            "until": "seeds",
        }
    return classifiers, experiments


def _title(run: Run) -> str:
    inside = "all" if run.images_in is None else f"{run.images_in:,}"
    return f"{inside} of D_in, {run.images_ood:,} hard OoD, part {run.part}"
