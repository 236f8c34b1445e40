"""The table of differences: who beats whom at which stage, and whether images and seeds bear it."""

from collections.abc import Sequence
from functools import partial

from wood.report.columns import Column, group
from wood.report.comparison import CLAIMS, ONE_RUN_MARGIN, WHOLE, Claim, member, paired
from wood.report.membership import is_side
from wood.report.scores import Interval, Scores, points
from wood.report.spec import Experiment, Spec
from wood.report.tables import NOTHING, Cell, Table
from wood.scoring.bootstrap import RESAMPLES

COLUMNS = [
    *(Column(label, numeric=False) for label in ("Family", "Stage", "Scored on", "Difference of")),
    Column("mIoU", "In points", hint="mean over the shared training seeds"),
    *group("95 % over images", Column("from"), Column("to")),
    *group("95 % over training seeds", Column("from"), Column("to")),
    Column("Reading", numeric=False),
]
PAIRS = (("wood", "baseline"), ("wood", "control"), ("control", "baseline"))
NAMES = {"wood": "W-OoD", "control": "control", "baseline": "baseline"}
LOOKS = {"gain": "up", "loss": "down"}


def differences_table(spec: Spec, scores: Scores) -> Table | None:
    """W-OoD, control and baseline of each family against one another, others against the last two.

    None where nothing is shared.

    Raises:
        InputError: two that are compared were not scored on the same images.
    """
    claims = [c for claim in CLAIMS for c in (claim, *WHOLE) if c.title == claim.title]
    rows: list[list[Cell]] = []
    families = spec.families().values()
    for family in families:
        for claim in claims:
            # Without a half B, a claim rests on all images, and says the same.
            pairs = _pairs(family, others=claim in CLAIMS)
            rows += [row for row in _rows(scores, family, claim, pairs) if row not in rows]
    caption = (
        "mIoU of the first experiment minus that of the second, in points; both are scored on the "
        f"same images. Interval over images: paired bootstrap, {RESAMPLES:,} resamples. It says "
        "how much the difference depends on the scored images, and nothing about other training "
        "runs. Interval over training seeds: paired t. It says how much the difference depends on "
        "the training run, and nothing about other images; with one run it is a dash. A difference "
        "is called a gain or a loss if neither interval contains 0. With one run it must also "
        f"exceed {ONE_RUN_MARGIN:g} point. If half B and all images are both shown, the claim is "
        "made on half B."
    )
    first = int(len(families) == 1)  # one family needs no column
    shown = [row[first:] for row in rows]
    return Table("differences", "Differences", caption, COLUMNS[first:], shown) if rows else None


def _pairs(family: Sequence[Experiment], others: bool) -> list[tuple[Experiment, Experiment, str]]:
    """Who is compared with whom, and how that is called.

    With `others` the experiments of no role too, except what is there for ablation tables alone.
    """
    members = {role: member(family, role) for role in NAMES}
    pairs = [
        (members[ours], members[reference], f"{NAMES[ours]} - {NAMES[reference]}")
        for ours, reference in PAIRS
    ]
    for experiment in family if others else []:
        if experiment.role == "other" and not is_side(vars(experiment)):
            pairs += [
                (experiment, members[role], f"{experiment.title} - {NAMES[role]}")
                for role in ("baseline", "control")
            ]
    return [pair for pair in pairs if None not in pair]


def _rows(
    scores: Scores,
    family: Sequence[Experiment],
    claim: Claim,
    pairs: Sequence[tuple[Experiment, Experiment, str]],
) -> list[list[Cell]]:
    rows = []
    for ours, reference, name in pairs:
        found = paired(
            scores.measure(ours, claim.quantity),
            scores.measure(reference, claim.quantity),
            partial(scores.over_images, claim.quantity, ours, reference),
        )
        if found is None:
            continue
        look = LOOKS.get(found.word, "")
        rows.append(
            [
                Cell(family[0].family),
                Cell(claim.title),
                Cell(scores.scope(claim.quantity, [ours])),
                Cell(name, hint=f"{ours.title} - {reference.title}"),
                Cell(points(found.mean), round(found.mean, 4), look),
                *_ends(found.images),
                *_ends(found.seeds),
                Cell(found.word, look=look),
            ]
        )
    return rows


def _ends(interval: Interval | None) -> list[Cell]:
    if interval is None:
        return [NOTHING] * 2
    return [Cell(points(end), round(end, 4)) for end in interval]
