"""What the report is made from: plain values and paths, checked before anything is drawn."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from wood.data.masks import VOC_CLASSES
from wood.report.entry import STAGE_OF, Item
from wood.report.membership import experiments_of, full_rows, is_side
from wood.runtime.errors import InputError

ROLES = ("baseline", "control", "wood", "other")
TRAININGS = ("classifier", "irnet", "segmentation")  # stages that leave a log


@dataclass(frozen=True)
class Run:
    """The files of one training seed of one experiment; None or an empty list where there are none.

    `seeds`, `pseudo_masks` and `segmentation` are score files; `maps` are shards of localization
    maps; `masks` and `predictions` are folders of <image_id>.png, whose values are 1-based places
    in the report's class names.
    """

    seed: int
    seeds: str | None = None
    pseudo_masks: str | None = None
    segmentation: str | None = None
    maps: list[str] = field(default_factory=list)
    masks: str | None = None
    predictions: str | None = None


@dataclass(frozen=True)
class Experiment:
    """One row of the tables.

    `family` joins what is compared: one baseline, one control, and what W-OoD makes of them (for
    example "CAM" and "AdvCAM"). `paper` maps a table to the row that stands beside, None where the
    paper has none; `wood.report.membership` says which tables that puts it in. `ood` holds the
    settings of its OoD losses, None without, and `data` the parts of D_in and D_ood (`in`, `ood`,
    `subset_seed`) that its classifier sees. `panels` maps each panel of Fig. 5 it is in to its
    numbers of images, `in` and `ood`, None for all. `test_miou` is what the evaluation server
    answered, in per cent. `basis` are words on what its row rests on, shown beside its title: a
    preset, a threshold that is chosen on half A. `settings` are the resolved ones of the experiment
    and its classifier, for its own page.
    """

    name: str
    title: str
    role: str
    runs: list[Run]
    family: str = "CAM"
    classifier: str | None = None
    paper: dict[str, str | None] = field(default_factory=dict)
    wood: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    panels: dict[str, dict[str, int | None]] = field(default_factory=dict)
    test_miou: float | None = None
    basis: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def reaches(self, stage: str | None) -> bool:
        """Tell whether it has files of a stage."""
        names = [name for name, of in STAGE_OF.items() if of == stage]
        return any(getattr(run, name) for run in self.runs for name in names)


@dataclass(frozen=True)
class TrainingLog:
    """One training's log: one JSON object a line with iteration, loss and named terms."""

    stage: str
    name: str
    path: str
    role: str = "other"
    seed: int = 0


@dataclass(frozen=True)
class Collection:
    """The collection of hard OoD: its list, its statistics, and contact sheets.

    `contact_sheet` has a row for each class (Fig. 2), `cluster_sheet` for each cluster (Fig. A2).
    `seconds_per_image` is what a decision is assumed to take where its time was not recorded.
    """

    hard_ood: str | None = None
    review_stats: str | None = None
    contact_sheet: str | None = None
    cluster_sheet: str | None = None
    seconds_per_image: float | None = None


@dataclass(frozen=True)
class Spec:
    """Everything on the page; `class_names` are the foreground classes in their order.

    `comparable` says that data, classes and settings are the paper's. `mask_class_names` is the
    full class list of the true masks in `truth`. `threshold` is used for the pictures when there
    are no seed scores. `picture_seed` draws the random rows of the picture grid.
    """

    dataset: str
    class_names: list[str]
    experiments: list[Experiment]
    title: str | None = None
    description: str | None = None
    comparable: bool = False
    mask_class_names: list[str] = field(default_factory=lambda: list(VOC_CLASSES))
    threshold: float | None = None
    train_images: str | None = None
    val_images: str | None = None
    truth: str | None = None
    picture_seed: int = 0
    logs: list[TrainingLog] = field(default_factory=list)
    ood: Collection | None = None
    config: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)
    items: list[dict[str, str]] = field(default_factory=list)
    epoch_features: str | None = None
    experiment_pages: str | None = None

    def main(self) -> list[Experiment]:
        """Return the experiments that are not there for ablations alone."""
        return [experiment for experiment in self.experiments if not is_side(vars(experiment))]

    def only(self, item: Item) -> "Spec":
        """Return the same with the experiments of a table or figure alone."""
        reached = [vars(e) for e in self.experiments if e.reaches(item.stage)]
        names = set(experiments_of(item, reached))
        return replace(self, experiments=[e for e in self.experiments if e.name in names])

    def families(self) -> dict[str, list[Experiment]]:
        """Return the experiments by family, both in their order."""
        families: dict[str, list[Experiment]] = {}
        for experiment in self.experiments:
            families.setdefault(experiment.family, []).append(experiment)
        return families


Kind = TypeVar("Kind")


def parse_spec(values: Mapping[str, Any], *, need_experiments: bool = True) -> Spec:
    """Turn nested plain dictionaries into a `Spec`.

    Some figures show no experiment (`need_experiments`).

    Raises:
        InputError: a key is unknown or missing, a role, stage or paper row does not exist, a name
            stands twice, or a file that is named is not there.
    """
    values = dict(values)
    experiments = [_experiment(value) for value in values.pop("experiments", [])]
    logs = [_build(TrainingLog, value, "logs") for value in values.pop("logs", [])]
    ood = values.pop("ood", None)
    collection = _build(Collection, ood, "ood") if ood is not None else None
    spec = _build(
        Spec, {**values, "experiments": experiments, "logs": logs, "ood": collection}, "report"
    )
    if need_experiments and not spec.experiments:
        raise InputError("report: no experiment is named.")
    _check(spec)
    for path in _paths(spec):
        if not Path(path).exists():
            raise InputError(f"{path}: no such file or folder.")
    return replace(spec, experiments=_in_order(spec))


def _in_order(spec: Spec) -> list[Experiment]:
    """The families one after another, and in each baseline, control and W-OoD first."""
    return [
        experiment
        for family in spec.families().values()
        for experiment in sorted(family, key=lambda e: ROLES.index(e.role))
    ]


def _experiment(values: Mapping[str, Any]) -> Experiment:
    name = values.get("name", "experiments")
    runs = [_build(Run, run, f"{name}.runs") for run in values.get("runs", [])]
    paper = full_rows(str(name), values.get("paper", {}))
    return _build(Experiment, {**values, "runs": runs, "paper": paper}, str(name))


def _build(kind: type[Kind], values: Mapping[str, Any], where: str) -> Kind:
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    unknown = [key for key in values if key not in known]
    if unknown:
        raise InputError(f"{where}: the report does not know the key {unknown[0]!r}.")
    for name, f in known.items():
        if name not in values and f.default is MISSING and f.default_factory is MISSING:
            raise InputError(f"{where}: the key {name!r} is missing.")
    return kind(**values)


def _check(spec: Spec) -> None:
    if not spec.class_names:
        raise InputError("report: no class is named.")
    names = [experiment.name for experiment in spec.experiments]
    for experiment in spec.experiments:
        if names.count(experiment.name) > 1:
            raise InputError(f"report: the experiment {experiment.name!r} is named twice.")
        if not experiment.runs:
            raise InputError(f"{experiment.name}: the experiment has no runs.")
        _check_role(experiment.role, experiment.name)
    for family, members in spec.families().items():
        for role in ("baseline", "control"):
            if sum(member.role == role for member in members) > 1:
                raise InputError(f"report: the family {family!r} has more than one {role}.")
    for log in spec.logs:
        _check_role(log.role, log.name)
        if log.stage not in TRAININGS:
            raise InputError(
                f"{log.name}: the stage {log.stage!r} is not one of {', '.join(TRAININGS)}."
            )


def _check_role(role: str, name: str) -> None:
    if role not in ROLES:
        raise InputError(f"{name}: the role {role!r} is not one of {', '.join(ROLES)}.")


def _paths(spec: Spec) -> list[str]:
    paths = [spec.train_images, spec.val_images, spec.truth, *(log.path for log in spec.logs)]
    for experiment in spec.experiments:
        for run in experiment.runs:
            paths += [run.seeds, run.pseudo_masks, run.segmentation]
            paths += [run.masks, run.predictions, *run.maps]
    if spec.ood:
        paths += [spec.ood.hard_ood, spec.ood.review_stats]
        paths += [spec.ood.contact_sheet, spec.ood.cluster_sheet]
    paths.append(spec.epoch_features)
    return [str(path) for path in paths if path is not None]
