"""An entry of the registry of tables and figures: the class that `wood.report.items` fills."""

from collections.abc import Mapping
from dataclasses import dataclass

from wood.report.columns import Column, Quantity

STAGES = ("seeds", "pseudo_masks", "segmentation")  # that are scored, in their order
STAGE_OF = {
    "seeds": "seeds",
    "maps": "seeds",
    "pseudo_masks": "pseudo_masks",
    "segmentation": "segmentation",
    "predictions": "segmentation",
}


@dataclass(frozen=True)
class Item:
    """One table or figure.

    `builder` is a function of `wood.report.builders`. `files` are the fields of
    `wood.report.spec.Run` and `Collection`, or `epoch_features`, that it is made from; the
    experiments in it run to the stage of the last. `members` says which these are:

    - "all": those that are not there for ablations alone (`membership.is_side`), and those whose
      `paper` names `table`
    - "named": those whose `paper` names `table`, in the paper's order
    - "pairs": as "all", of the families that have both a baseline and a W-OoD
    - "panels": the runs of Fig. 5

    `paper` are the paper's columns that stand beside ours, by their names in `paper_numbers.csv`.
    `per_class` are the quantities that a table with a column for each class shows, by the label of
    their rows. `formats` are the files beside the page. `on_page`: part of the page's scores; the
    page has sections of its own for pictures. In the documentation, `shows` says what is in it and
    `protocol` how the paper's numbers beside it were made; `filled` says which configuration fills
    it where that is not `overlay`.
    """

    key: str
    title: str
    shows: str
    builder: str
    files: tuple[str, ...]
    members: str = "all"
    table: str | None = None
    file: str = ""
    caption: str = ""
    columns: tuple[Column, ...] = ()
    paper: Mapping[str, str] | None = None
    per_class: Mapping[str, Quantity] | None = None
    formats: tuple[str, ...] = ("csv",)
    on_page: bool = True
    needs_masks: bool = True
    lacks: str | None = None
    overlay: str | None = None
    filled: str | None = None
    protocol: str = ""

    @property
    def number(self) -> str:
        """The short name: "Table 1"; of an item that the paper lacks, the title."""
        return self.title.split(". ")[0]

    @property
    def heading(self) -> str:
        """The title without the number."""
        return self.title.split(". ")[-1]

    @property
    def stage(self) -> str | None:
        """The stage that its experiments must reach; None where it shows no experiment."""
        return next((STAGE_OF[name] for name in reversed(self.files) if name in STAGE_OF), None)
