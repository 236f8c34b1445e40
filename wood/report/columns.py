"""What a column of a table shows, as data: a quantity of the score files or a word about a row."""

from dataclasses import dataclass, replace

MEAN = "mean"  # over the classes, background included
METRICS = {"miou": "mIoU", "precision": "Prec.", "recall": "Recall", "f1": "F1"}


@dataclass(frozen=True)
class Quantity:
    """A selection from the long table of scores: one value for each experiment and training seed.

    Steps are "configured", "oracle", "published" and "curve" of the stage seeds, "seed_crf" and
    "mask" of pseudo_masks, "network" and "crf" of segmentation. Of several `steps` and `halves`
    ("all", "A", "B" of the scored images) the first that a score file has counts. `class_name` is
    `MEAN` or a class, whose metrics are iou, precision and recall.
    """

    stage: str
    steps: tuple[str, ...]
    halves: tuple[str, ...] = ("all",)
    metric: str = "miou"
    class_name: str = MEAN

    def of(self, metric: str, class_name: str = MEAN) -> "Quantity":
        """Return another metric of the same masks."""
        return replace(self, metric=metric, class_name=class_name)

    def on(self, *halves: str) -> "Quantity":
        """Return the same on a half of the images, or on the first of several that there is."""
        return replace(self, halves=halves)


SEED = Quantity("seeds", ("configured",))
ORACLE = Quantity("seeds", ("oracle",))
PUBLISHED = Quantity("seeds", ("published",))
CURVE = Quantity("seeds", ("curve",))
SEED_CRF = Quantity("pseudo_masks", ("seed_crf",))
MASK = Quantity("pseudo_masks", ("mask",))
NETWORK = Quantity("segmentation", ("network",))
NETWORK_CRF = Quantity("segmentation", ("crf",))
LAST = Quantity("segmentation", ("crf", "network"))  # after the dense CRF where that was run
CLAIMED = ("B", "all")  # half B, on which nothing was chosen; all images where there are no halves


@dataclass(frozen=True)
class Column:
    """One column; `group` is the heading shared with its neighbours.

    `shows` is a quantity, or the name of a cell of `wood.report.item_tables.CELLS`.
    """

    label: str
    group: str = ""
    numeric: bool = True
    hint: str = ""
    shows: Quantity | str | None = None


METHOD = Column("Method", numeric=False, shows="method")


def group(heading: str, *columns: Column) -> tuple[Column, ...]:
    """Return columns under one heading."""
    return tuple(replace(column, group=heading) for column in columns)


def metrics(heading: str, quantity: Quantity, *names: str) -> tuple[Column, ...]:
    """Return a column for each metric of a quantity, all of them if none is named."""
    return group(
        heading, *(Column(METRICS[name], shows=quantity.of(name)) for name in names or METRICS)
    )


SEEDS_BY_HALF = (
    *group(
        "mIoU at the configured threshold",
        Column("All", shows=SEED),
        Column("Half A", hint="settings are chosen here", shows=SEED.on("A")),
        Column("Half B", hint="claims are made here", shows=SEED.on("B")),
        Column(
            "gain",
            hint="half B, minus the first row, over the training seeds of both",
            shows="gain",
        ),
    ),
    Column(
        "All",
        "Oracle",
        hint="mIoU at the best threshold on the scored masks themselves",
        shows=ORACLE,
    ),
)
CLUSTER_SETTINGS = group(
    "Settings", Column("lambda", shows="lambda"), Column("tau", shows="tau"), Column("K", shows="K")
)
