"""The paper's tables and figures by name: what each is made from, and who is in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wood.report.spec import ABLATION_TABLES

SHOWS_ROLES = ("1", "2", "3")  # tables of every baseline, control and W-OoD of the configuration


@dataclass(frozen=True)
class Item:
    """One table or figure.

    `files` are the fields of `wood.report.spec.Run` and `Collection`, or `epoch_features`, that it
    is made from. `table` is the paper's table whose experiments are in it. With `pair` it compares
    baselines with W-OoD. `overlay` is the overlay that fills it, where the configuration does not.
    """

    key: str
    title: str
    files: tuple[str, ...]
    table: str | None = None
    pair: bool = False
    overlay: str | None = None

    @property
    def scored(self) -> bool:
        """Whether it needs true masks."""
        return bool({"seeds", "pseudo_masks", "segmentation"} & set(self.files))

    @property
    def stage(self) -> str | None:
        """The stage that its experiments must reach; None where it shows no experiment."""
        stages = {"seeds": "seeds", "maps": "seeds", "pseudo_masks": "pseudo_masks",
                  "segmentation": "segmentation", "predictions": "segmentation"}  # fmt: skip
        found = [stages[name] for name in self.files if name in stages]
        return found[-1] if found else None


ITEMS = {
    item.key: item
    for item in (
        Item("table1", "Table 1. Initial seeds", ("seeds",), "1"),
        Item("table2", "Table 2. Pseudo ground-truth masks", ("seeds", "pseudo_masks"), "2"),
        Item("table3", "Table 3. Segmentation", ("segmentation",), "3"),
        Item("table4", "Table 4. Clusters of OoD images", ("seeds",), "4",
             overlay="ablations"),
        Item("table5", "Table 5. Losses", ("seeds",), "5", overlay="ablations"),
        Item("tableA1", "Table A1. Segmentation with fewer hard OoD images", ("segmentation",),
             "A1", overlay="table-a1"),
        Item("tableA2", "Table A2. Hyper-parameters tau and lambda", ("seeds",), "A2",
             overlay="table-a2"),
        Item("tableA3", "Table A3. Segmentation per class", ("segmentation",), "3"),
        Item("figure2", "Figure 2. Hard OoD images per class",
             ("hard_ood", "review_stats", "contact_sheet")),
        Item("figure3", "Figure 3. Localization maps", ("maps", "seeds"), "1", pair=True),
        Item("figure4", "Figure 4. Segmentation", ("predictions",), "3", pair=True),
        Item("figure5", "Figure 5. Amount of hard OoD images", ("seeds",), overlay="figure5"),
        Item("figure6", "Figure 6. Seeds per class", ("seeds",), "1", pair=True),
        Item("figure7", "Figure 7. Features over the training", ("epoch_features",),
             overlay="figure7"),
        Item("figureA1", "Figure A1. The class that loses most", ("maps", "seeds"), "1", pair=True),
        Item("figureA2", "Figure A2. Hard OoD images per cluster", ("cluster_sheet",)),
        Item("figureA3", "Figure A3. More localization maps", ("maps", "seeds"), "1", pair=True),
        Item("figureA4", "Figure A4. More segmentations", ("predictions",), "3", pair=True),
    )
}  # fmt: skip


def carries(experiment: Mapping[str, Any], table: str) -> bool:
    """Return whether an experiment is in a table of the paper, as on the page of all of them.

    It is where its `paper` names the table. One with a role is in all of `SHOWS_ROLES`, unless it
    is there for ablations alone.
    """
    named = experiment["paper"]
    if table in named:
        return True
    only_ablations = bool(named) and all(other in ABLATION_TABLES for other in named)
    return table in SHOWS_ROLES and experiment["role"] != "other" and not only_ablations


def experiments_of(item: Item, experiments: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the experiments that an item shows, in their order.

    Args:
        item: one of `ITEMS`.
        experiments: `name`, `role`, `family`, `paper`, and `panels` of Fig. 5, of those that run
            at least to the item's stage.
    """
    if item.key == "figure5":
        panels = [experiment for experiment in experiments if experiment["panels"]]
        return [experiment["name"] for experiment in panels]
    if item.table is None:
        return []
    found = [experiment for experiment in experiments if carries(experiment, item.table)]
    if item.pair:
        families = [
            {e["family"] for e in found if e["role"] == role} for role in ("baseline", "wood")
        ]
        found = [
            e for e in found if e["family"] in families[0] & families[1] and e["role"] != "other"
        ]
    return [experiment["name"] for experiment in found]


def what_to_add(item: Item) -> str:
    """Return what the configuration lacks where no experiment is in an item."""
    if item.key == "figure2":
        return "hard OoD images: ood.source is none"
    if item.key == "figureA2":
        return "an experiment whose classifier has a distance loss (wood.losses)"
    if item.key == "figure5":
        return "sizes (figure5.ood)"
    if item.key == "figure7":
        return "a classifier with OoD images, `init` and `keep_epochs: true`"
    reach = f"runs to {item.stage} (until)"
    if item.pair:
        return f"a baseline and a W-OoD experiment of one family (role, family) that {reach}"
    role = "" if item.table in ABLATION_TABLES else ", or has a role,"
    return f'an experiment that names table "{item.table}" (paper){role} and {reach}'
