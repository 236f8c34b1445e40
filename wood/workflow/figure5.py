"""Fig. 5 as grids: its section of the configuration names numbers of images, parts are drawn.

Panel (a) has all of D_in and fewer hard OoD images, (b) one total of both, (c) few of both.
"""

from typing import Any

from wood.workflow.resolve import Tree, classifier, experiment

OWN_WEIGHTS = {"published": None, "keep_epochs": False}  # a part is trained, its last weights count


def asked_for(config: Tree) -> bool:
    """Return whether the section has sizes; without, there is no Fig. 5."""
    section = config["figure5"]
    return bool(section["ood"]) or section["few"] is not None


def grids(config: Tree) -> list[tuple[str, dict[str, Any]]]:
    """Return the grids of the runs on parts, for `wood.workflow.grids.expanded`."""
    if not asked_for(config):
        return []
    section = config["figure5"]
    baseline, wood = (
        experiment(config, section[role])["classifier"] for role in ("baseline", "wood")
    )
    clusters = classifier(config, wood)["wood"]["clusters"]
    found = [_of_all("a", size, section, wood, clusters) for size in section["ood"]]
    if section["total"] is not None:
        for size in section["ood"]:
            inside = section["total"] - size
            found.append(_starts("b", inside, section, baseline))
            found.append(_of_part("b", inside, size, section, wood, clusters))
    if section["few"] is not None:
        inside, size = section["few"]["in"], section["few"]["ood"]
        found.append(_starts("c", inside, section, baseline, scored=True))
        found.append(_of_part("c", inside, size, section, wood, clusters))
    return [("figure5", grid) for grid in found]


def members(config: Tree) -> dict[str, dict[str, Any]]:
    """Return the panels of the two experiments that the section names, by name."""
    if not asked_for(config):
        return {}
    section = config["figure5"]
    sizes = bool(section["ood"])
    without, with_all = {"in": None, "ood": 0}, {"in": None, "ood": None}
    shown = {
        "a": sizes,
        "b": sizes and section["total"] is not None,
        "c": section["few"] is not None,
    }
    baseline = {panel: without for panel, there in shown.items() if there}
    return {
        section["baseline"]: baseline,
        section["wood"]: {"a": with_all} if sizes else {},
    }


def _grid(section: Tree, name: str, own: dict[str, Any], shown: Tree | None) -> dict[str, Any]:
    grid = {
        "points": [{"part": list(range(section["repeats"]))}],
        "name": name,
        "classifier": {**OWN_WEIGHTS, **own},
    }
    if shown is not None:
        (amount,) = shown.values()
        inside = "all" if amount["in"] is None else f"{amount['in']:,}"
        title = f"{inside} of D_in, {amount['ood']:,} hard OoD, part {{part}}"
        grid["experiment"] = {
            "title": title,
            "family": "Figure 5",
            "until": "seeds",
            "panels": shown,
        }
    return grid


def _of_all(panel: str, size: int, section: Tree, wood: str, clusters: int) -> dict[str, Any]:
    own = {
        "like": wood,
        "data": {"in": None, "subset_seed": "{part}", "ood": size},
        # There are no more clusters than OoD images.
        "wood": {"clusters": min(clusters, size)},
    }
    return _grid(section, f"part-ood-{size}-{{part}}", own, {panel: {"in": None, "ood": size}})


def _starts(
    panel: str, inside: int, section: Tree, baseline: str, scored: bool = False
) -> dict[str, Any]:
    """F_in of the same images, which W-OoD of a part starts from."""
    own = {"like": baseline, "data": {"in": inside, "subset_seed": "{part}"}}
    shown = {panel: {"in": inside, "ood": 0}} if scored else None
    return _grid(section, f"part-in-{inside}-{{part}}", own, shown)


def _of_part(
    panel: str, inside: int, size: int, section: Tree, wood: str, clusters: int
) -> dict[str, Any]:
    own = {
        "like": wood,
        "init": f"part-in-{inside}-{{part}}",
        "data": {"in": inside, "subset_seed": "{part}", "ood": size},
        "wood": {"clusters": min(clusters, size)},
    }
    amount = {"in": inside, "ood": size}
    return _grid(section, f"part-in-{inside}-ood-{size}-{{part}}", own, {panel: amount})
