"""The registry of tables and figures: what is in each, what it shows, and what builds it.

The page, the targets (`snakemake table1`), the rules' patterns, the early checks and the table in
docs/reproduction.md follow from `ITEMS`. To add a table, add an entry here; where its shape is new,
a function in `wood.report.builders`; where the paper has numbers for it, rows in
`paper_numbers.csv`. `python -m wood.report.items` prints the table for docs/reproduction.md.
"""

from typing import Any

from wood.report.columns import (
    CLUSTER_SETTINGS,
    LAST,
    MASK,
    METHOD,
    NETWORK,
    NETWORK_CRF,
    ORACLE,
    PUBLISHED,
    SEED,
    SEED_CRF,
    SEEDS_BY_HALF,
    Column,
    group,
    metrics,
)
from wood.report.entry import Item


def _pictures(*entry: Any, **options: Any) -> Item:
    """An item of pictures, for which the page has sections of its own."""
    standing: dict[str, Any] = {"formats": (), "on_page": False, "needs_masks": False}
    return Item(*entry, **standing | options)


ABLATION_CAPTION = (
    " Scores of the seeds against the true masks ({where}), in per cent. Rows can differ in their "
    "training seeds: a gain over the first row is the mean over the seeds that both have."
)
ORACLE_PROTOCOL = "oracle scores, at the threshold that is best on the scored masks"

TABLES = (
    Item(
        "table1",
        "Table 1. Initial seeds",
        "mIoU, precision, recall, F1 of the seeds",
        "stage_table",
        ("seeds",),
        table="1",
        file="table-1-seeds",
        caption="Scores of the seeds against the true masks ({where}), in per cent. Configured "
        "threshold: {thresholds}. Half B: the half of the images on which nothing was chosen; our "
        "claims are made on it. Oracle: at the threshold that is best on the scored masks.",
        columns=(
            METHOD,
            *metrics("Configured threshold", SEED),
            Column(
                "mIoU",
                "Half B",
                hint="images that chose no threshold or setting",
                shows=SEED.on("B"),
            ),
            *group(
                "Oracle",
                Column(
                    "mIoU",
                    hint="at the best threshold on the scored masks themselves",
                    shows=ORACLE,
                ),
                Column("at", hint="that threshold", shows="oracle threshold"),
            ),
            *group(
                "Published protocol",
                Column(
                    "mIoU",
                    hint="at the best threshold on the scored masks, of those that the published "
                    "program tries",
                    shows=PUBLISHED,
                ),
                Column("at", hint="that threshold", shows="published threshold"),
            ),
        ),
        paper={"miou": "mIoU", "precision": "Prec.", "recall": "Recall", "f1": "F1"},
        filled="none: CAM and AdvCAM; `voc12` and `voc-mini-study` have SEAM too",
        protocol=ORACLE_PROTOCOL,
    ),
    Item(
        "table2",
        "Table 2. Pseudo ground-truth masks",
        "experiments with pseudo-masks: mIoU of seed, seed + CRF, mask",
        "stage_table",
        ("seeds", "pseudo_masks"),
        table="2",
        file="table-2-pseudo-masks",
        caption="mIoU of the seed at the configured threshold, of the seed after the dense CRF, "
        "and of the mask after IRNet's random walk ({where}), in per cent.",
        columns=(
            METHOD,
            *group(
                "All images",
                Column("Seed", shows=SEED),
                Column("+ CRF", shows=SEED_CRF),
                Column("Mask", shows=MASK),
            ),
            Column("Mask", "Half B", shows=MASK.on("B")),
            *metrics("Mask, all images", MASK, "precision", "recall"),
        ),
        paper={"seed": "Seed", "seed_crf": "+ CRF", "mask": "Mask"},
        protocol="oracle scores for the seeds",
    ),
    Item(
        "table3",
        "Table 3. Segmentation",
        "experiments with a network, on val; on test the score from VOC's server "
        "(`experiments.<name>.test_miou`)",
        "stage_table",
        ("segmentation",),
        table="3",
        file="table-3-segmentation",
        caption="mIoU of DeepLab-v2 trained on the pseudo-masks ({where}), in per cent. Test: only "
        "the Pascal VOC server can score the test set; enter its score as the experiment's "
        "test_miou.",
        columns=(
            METHOD,
            Column("mIoU", "Network alone", shows=NETWORK),
            Column("mIoU", "With dense CRF", shows=NETWORK_CRF),
            *metrics("Last step", LAST, "precision", "recall"),
            Column(
                "mIoU", "Test", hint="score from the evaluation server (test_miou)", shows="test"
            ),
        ),
        paper={"val": "val", "test": "test"},
    ),
    Item(
        "table4",
        "Table 4. Clusters of OoD images",
        "clusters by predicted class and by K-means",
        "stage_table",
        ("seeds",),
        "named",
        table="4",
        file="table-4-ablation",
        caption="Two ways to cluster the OoD images: by the class that F_in predicts, and by "
        "K-means of their features." + ABLATION_CAPTION,
        columns=(METHOD, *CLUSTER_SETTINGS, *SEEDS_BY_HALF),
        paper={"miou": "mIoU"},
        overlay="ablations",
        protocol=ORACLE_PROTOCOL,
    ),
    Item(
        "table5",
        "Table 5. Losses",
        "terms of the loss; standard deviations with several `seeds`",
        "stage_table",
        ("seeds",),
        "named",
        table="5",
        file="table-5-ablation",
        caption="Terms of the loss that are used. The paper's check marks are inferred from its "
        "Sec. 4.3.2: (e) is (c) with L_cls on D_ood added. The paper's text calls this step a "
        "gain, but its numbers fall. Two combinations are not in the paper." + ABLATION_CAPTION,
        columns=(
            METHOD,
            *group(
                "L_cls",
                Column("D_in", numeric=False, shows="cls_in"),
                Column("D_ood", numeric=False, shows="cls_ood"),
            ),
            *group(
                "L_d",
                Column("D_in", numeric=False, shows="dist_in"),
                Column("D_ood", numeric=False, shows="dist_ood"),
            ),
            *SEEDS_BY_HALF,
        ),
        paper={"miou": "mIoU", "sd": "sd"},
        overlay="ablations",
        filled="none: (a), (b), (f); all: `ablations`",
        protocol=ORACLE_PROTOCOL,
    ),
    Item(
        "tableA1",
        "Table A1. Segmentation with fewer hard OoD images",
        "networks of collections with fewer hard OoD images",
        "stage_table",
        ("segmentation",),
        "named",
        table="A1",
        file="table-A1-segmentation",
        caption="The segmentation network ({where}) with fewer hard OoD images, in per cent. The "
        "paper's numbers are for AdvCAM with ResNet-101.",
        columns=(
            METHOD,
            Column("mIoU", "Network alone", shows=NETWORK),
            Column("mIoU", "With dense CRF", shows=NETWORK_CRF),
        ),
        paper={"val": "val"},
        overlay="tables/tableA1-few",
    ),
    Item(
        "tableA2",
        "Table A2. Hyper-parameters tau and lambda",
        "tau and lambda at the corners and in the centre",
        "stage_table",
        ("seeds",),
        "named",
        table="A2",
        file="table-A2-ablation",
        caption="Lambda is the weight of the distance loss, tau the share of the clusters (the "
        "nearest) that it uses." + ABLATION_CAPTION,
        columns=(METHOD, *CLUSTER_SETTINGS, *SEEDS_BY_HALF),
        paper={"miou": "mIoU"},
        overlay="tables/tableA2-corners",
        filled="`tables/tableA2-corners`; all of it: `paper`",
        protocol=ORACLE_PROTOCOL,
    ),
    Item(
        "tableA3",
        "Table A3. Segmentation per class",
        "the network per class on val, beside all rows of the paper for val and test",
        "class_columns",
        ("segmentation",),
        table="A3",
        file="table-A3-classes",
        caption="IoU of the segmentation network's last step per class ({where}), in per cent. The "
        "paper's rows are for Pascal VOC 2012. They show only the classes that we have too; their "
        "mIoU is over all 21 classes.",
        per_class={"val": LAST},
    ),
    Item(
        "recall",
        "Recall and precision per class",
        "the seeds: how much of each class they find, and how much of what they find is right; "
        "not in the paper",
        "class_columns",
        ("seeds",),
        file="recall",
        caption="Scores of the seeds at the configured threshold ({where}), in per cent. Recall: "
        "the share of a class's pixels that the seed finds. Precision: the share of the seed's "
        "pixels that belong to the class. Precision is low where a seed covers surroundings too.",
        per_class={"recall": SEED.of("recall"), "precision": SEED.of("precision")},
    ),
)

FIGURES = (
    _pictures(
        "figure2",
        "Figure 2. Hard OoD images per class",
        "the hardest OoD images of each class, by score",
        "collection",
        ("hard_ood", "review_stats", "contact_sheet"),
        lacks="hard OoD images: ood.source is none",
    ),
    _pictures(
        "figure3",
        "Figure 3. Localization maps",
        "for each class and method three training images: the largest gain, the largest loss, one "
        "at random",
        "localization",
        ("maps", "seeds"),
        "pairs",
        table="1",
    ),
    _pictures(
        "figure4",
        "Figure 4. Segmentation",
        "six validation images: the two largest gains, the two largest losses, two at random",
        "segmentation",
        ("predictions",),
        "pairs",
        table="3",
    ),
    Item(
        "figure5",
        "Figure 5. Amount of hard OoD images",
        "seeds with random parts of D_in and D_ood",
        "amounts",
        ("seeds",),
        "panels",
        file="figure-5-runs",
        caption="Every run of Fig. 5: scores of the seeds against the true masks ({where}), in per "
        "cent. The boxes show half B, the images on which no setting was chosen.",
        formats=("csv", "svg"),
        lacks="sizes (figure5.ood)",
        overlay="figures/figure5",
    ),
    Item(
        "figure6",
        "Figure 6. Seeds per class",
        "IoU of the seeds per class, sorted by the gain",
        "class_bars",
        ("seeds",),
        "pairs",
        table="1",
    ),
    Item(
        "figure7",
        "Figure 7. Features over the training",
        "features of two classes and their OoD images over the epochs, in one t-SNE",
        "features",
        ("epoch_features",),
        formats=("csv", "svg"),
        on_page=False,
        needs_masks=False,
        lacks="a classifier with OoD images, `init` and `keep_epochs: true`",
        overlay="figures/figure7",
    ),
    _pictures(
        "figureA1",
        "Figure A1. The class that loses most",
        "three images of the class whose seed IoU loses most (the paper: dining table), those that "
        "lose most",
        "worst_class",
        ("maps", "seeds"),
        "pairs",
        table="1",
        needs_masks=True,
    ),
    _pictures(
        "figureA2",
        "Figure A2. Hard OoD images per cluster",
        "OoD images of each cluster, drawn at random",
        "collection",
        ("cluster_sheet",),
        lacks="an experiment whose classifier has a distance loss (wood.losses)",
    ),
    _pictures(
        "figureA3",
        "Figure A3. More localization maps",
        "three training images of each class, drawn at random",
        "more_localization",
        ("maps", "seeds"),
        "pairs",
        table="1",
    ),
    _pictures(
        "figureA4",
        "Figure A4. More segmentations",
        "six validation images, drawn at random",
        "more_segmentation",
        ("predictions",),
        "pairs",
        table="3",
    ),
)

ITEMS = {item.key: item for item in (*TABLES, *FIGURES)}


def pattern(*formats: str) -> str:
    """Return the regular expression of the items with these files beside their page."""
    return "|".join(key for key, item in ITEMS.items() if item.formats == formats)


def documented() -> str:
    """Return the table of items in docs/reproduction.md, as Markdown."""
    lines = ["| item | target | overlay that fills it | what is in it | the paper's numbers |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for item in ITEMS.values():
        name = item.number.replace("Figure", "Fig.")
        filled = item.filled or (f"`{item.overlay}`" if item.overlay else "none")
        lines.append(f"| {name} | `{item.key}` | {filled} | {item.shows} | {item.protocol} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(documented(), end="")
