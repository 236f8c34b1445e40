"""Grids: classifiers and experiments that differ in a few values, described once.

    grids:
      table4:
        points: [{K: [20, 30, 70]}]
        name: "k{K}"
        classifier: {like: cam-wood, wood: {clusters: "{K}"}}
        experiment: {title: "K-means, K = {K}", paper: {"4": "K-means, K = {K}"}, until: seeds}

is three classifiers, k20, k30 and k70, and an experiment of each. A list of values in a point
stands for as many points. "{K}" alone is the value itself, within other text it is written out.
What `classifiers` and `experiments` say under a generated name comes over it; null drops it.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from wood.runtime.errors import InputError
from wood.workflow import figure5
from wood.workflow.overlays import read_overlay
from wood.workflow.pipeline import pipeline_file
from wood.workflow.resolve import Tree, merge

ADDED = ("grids", "classifiers", "experiments")  # by a table or figure


def with_items(config: Tree) -> dict[str, Any]:
    """Return the configuration over the overlays of the tables and figures that `items` names.

    Raises:
        InputError: there is no such overlay.
    """
    merged: dict[str, Any] = {kind: {} for kind in ADDED}
    for name in config["items"]:
        configs = pipeline_file("configs")
        found = sorted(configs.glob(f"*/{name}.yaml"))
        if not found:
            known = ", ".join(sorted(path.stem for path in configs.glob("*/*.yaml")))
            raise InputError(
                f"Configuration: items names {name!r}, which is not one of the overlays in "
                f"configs/tables and configs/figures ({known})."
            )
        item = read_overlay(found[0])
        if set(item) - set(ADDED):
            raise InputError(
                f"Configuration: items names {name!r}, which has more than "
                f"{', '.join(ADDED)}; give its file to --configfile."
            )
        merged = merge(merged, item)
    # What the configuration says comes over the items, and first.
    together = {}
    for kind in ADDED:
        named = merge(merged[kind], config[kind])
        together[kind] = {name: named[name] for name in [*config[kind], *merged[kind]]}
    return {**config, **together}


def expanded(config: Tree) -> dict[str, Any]:
    """Return the configuration with the classifiers and experiments of its grids by their names.

    Twice is the same as once.

    Raises:
        InputError: a grid asks for a value that a point lacks, or two make the same name.
    """
    config = with_items(config)
    named = {kind: dict(config[kind]) for kind in ("classifiers", "experiments")}
    for name, panels in figure5.members(config).items():
        named["experiments"][name] = merge(named["experiments"][name], {"panels": panels})
    made: dict[tuple[str, str], Any] = {}
    for where, grid in [*_own_grids(config), *figure5.grids(config)]:
        for kind, name, entry in _entries(grid, where):
            if made.setdefault((kind, name), entry) != entry:
                raise InputError(
                    f"Configuration: {where} makes {name!r}, which another grid makes."
                )
    for (kind, name), entry in made.items():
        own = named[kind].get(name, {})
        named[kind][name] = None if own is None else merge(entry, own)
    return {**config, **named}


def _own_grids(config: Tree) -> list[tuple[str, Tree]]:
    grids = config["grids"]
    return [(f"grids.{name}", grid) for name, grid in grids.items() if grid is not None]


def _points(described: list[Tree]) -> Iterator[dict[str, Any]]:
    """Each combination of the values of each point."""
    for point in described:
        values = [value if isinstance(value, list) else [value] for value in point.values()]
        for combination in itertools.product(*values):
            yield dict(zip(point, combination, strict=True))


def _entries(grid: Tree, where: str) -> Iterator[tuple[str, str, Any]]:
    """Each classifier and experiment of a grid, with its name."""
    for point in _points(grid["points"]):
        name = _filled(grid["name"], point, where)
        if "classifier" in grid:
            yield "classifiers", name, _filled(grid["classifier"], point, where)
        if "experiment" in grid:
            own = {"classifier": name} if "classifier" in grid else {}
            yield "experiments", name, {**own, **_filled(grid["experiment"], point, where)}


def _filled(template: Any, point: Tree, where: str) -> Any:
    """Return a template with a point's values at the places of their names."""
    if isinstance(template, Mapping):
        return {
            _filled(key, point, where): _filled(value, point, where)
            for key, value in template.items()
        }
    if isinstance(template, list):
        return [_filled(value, point, where) for value in template]
    if not isinstance(template, str):
        return template
    try:
        if template.startswith("{") and template.endswith("}") and template[1:-1] in point:
            return point[template[1:-1]]
        return template.format_map(dict(point))
    except (KeyError, ValueError, IndexError):
        raise InputError(
            f"Configuration: {where} has {template!r}, which does not fit the values of its "
            f"points ({', '.join(map(str, point))})."
        ) from None
