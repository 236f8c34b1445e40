"""Which experiments are in which table or figure: decided here, for the page and the targets."""

from collections.abc import Mapping, Sequence
from typing import Any

from wood.report.entry import Item
from wood.report.items import ITEMS
from wood.report.paper import find_row
from wood.runtime.errors import InputError


def is_side(experiment: Mapping[str, Any]) -> bool:
    """Return whether an experiment is there for ablation tables or Fig. 5 alone."""
    if not experiment["paper"]:
        return bool(experiment["panels"]) and experiment["role"] == "other"
    return set(experiment["paper"]) <= {i.table for i in ITEMS.values() if i.members == "named"}


def experiments_of(item: Item, experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the experiments that an item shows, in their order.

    Args:
        item: one of `ITEMS`.
        experiments: `name`, `role`, `family`, `paper`, and `panels` of Fig. 5, of those that run
            at least to the item's stage.
    """
    if item.stage is None:
        return []
    if item.members == "panels":
        found = [experiment for experiment in experiments if experiment["panels"]]
    elif item.members == "named":
        found = [experiment for experiment in experiments if item.table in experiment["paper"]]
    else:
        found = [e for e in experiments if item.table in e["paper"] or not is_side(e)]
    if item.members == "pairs":
        families = [
            {e["family"] for e in found if e["role"] == role} for role in ("baseline", "wood")
        ]
        both = families[0] & families[1]
        found = [e for e in found if e["family"] in both and e["role"] != "other"]
    return [experiment["name"] for experiment in found]


def full_rows(experiment: str, paper: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the paper's rows that an experiment names, in full, by their tables.

    Raises:
        InputError: no such table is made, or the paper's has no such row.
    """
    known = {item.table for item in ITEMS.values() if item.table}
    for table, row in paper.items():
        if table not in known:
            raise InputError(
                f"{experiment}: the paper's Table {table} has no row {row!r}; "
                f"the tables are {', '.join(sorted(known))}."
            )
    try:
        return {table: find_row(table, row) for table, row in paper.items()}
    except InputError as error:
        raise InputError(f"{experiment}: {error}") from error


def what_to_add(item: Item) -> str:
    """Return what the configuration lacks where no experiment is in an item."""
    if item.lacks:
        return item.lacks
    reach = f"runs to {item.stage} (until)"
    if item.members == "pairs":
        return f"a baseline and a W-OoD experiment of one family (role, family) that {reach}"
    if item.members == "all":
        return f"an experiment that {reach} and is not there for ablations alone (paper)"
    return f'an experiment that names table "{item.table}" (paper) and {reach}'
