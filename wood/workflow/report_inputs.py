"""What the page, and each table and figure, are made from: their specifications and files."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from wood.report.entry import STAGES
from wood.report.items import ITEMS
from wood.report.membership import experiments_of, what_to_add
from wood.runtime.knobs import without_knobs
from wood.scoring.per_image import counts_path
from wood.workflow import resolve as settings
from wood.workflow.targets import Targets

REPORT = Path(__file__).parents[1] / "report"

TARGETS = {
    "everything": "all",
    "hard OoD images": "hard_ood",
    "seeds": "seeds",
    "pseudo-masks": "pseudo_masks",
    "segmentation networks": "segmentation",
}


def sources() -> list[str]:
    """Return what the page is made from beside code and results."""
    return sorted(str(path) for path in [*REPORT.glob("templates/*"), *REPORT.glob("*.csv")])


class ReportInputs:
    """The specifications of `wood.report.spec`, and the files that they name.

    Args:
        targets: the configuration's.
        overlays: the configuration files of this run, for the commands that the page shows.
    """

    def __init__(self, targets: Targets, overlays: Sequence[str] = ()):
        self.targets = targets
        self.config = targets.config
        self.paths = targets.paths
        self.overlays = list(overlays)
        self.experiment: Callable[[str], dict[str, Any]] = cache(self._experiment)
        self.item_experiments: Callable[[str], list[str]] = cache(self._item_experiments)
        self.item: Callable[[str], dict[str, Any]] = cache(self._item)
        self.lacking: Callable[[str], str | None] = cache(self._lacking)

    # The page.

    @cached_property
    def page(self) -> dict[str, Any]:
        """What `wood.report.page.build_page` makes the page from."""
        val = self.paths.data("val.csv") if self.targets.has_val else None
        return {
            **self._data(),
            "experiments": [
                {**self.experiment(name), "settings": self._settings(name)}
                for name in self.targets.experiments("seeds")
            ],
            "experiment_pages": "experiments",
            "train_images": self.paths.data("train.csv"),
            "val_images": val,
            "truth": self.paths.masks if self.targets.has_masks else None,
            "logs": self._training_logs(),
            "ood": self._collection(),
            "items": [self._entry(key) for key in ITEMS],
            "commands": {title: self.command(name) for title, name in TARGETS.items()},
        }

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The configuration as far as results depend on it."""
        return without_knobs(self.config)

    @property
    def page_files(self) -> list[str]:
        """The files that the page is made from."""
        return self.files(self.page)

    def counts(self) -> list[str]:
        """Return the pixel counts beside the score files, for intervals over images."""
        scores = (score for stage in STAGES for score in self.targets.scores(stage))
        return [str(counts_path(score)) for score in scores]

    def files(self, specification: Any) -> list[str]:
        """Return the results and masks that a specification names, whatever they are nested in."""
        if isinstance(specification, Mapping):
            specification = list(specification.values())
        if isinstance(specification, list):
            return [path for entry in specification for path in self.files(entry)]
        places = (self.paths.results, self.paths.masks)
        named = isinstance(specification, str) and specification.startswith(places)
        return [specification] if named else []

    def command(self, target: str, overlay: str | None = None) -> str:
        """Return the command that makes a target with this configuration, and an overlay."""
        overlays = [*self.overlays, overlay] if overlay else self.overlays
        chosen = f" --configfile {' '.join(overlays)} --" if overlays else ""
        return f"snakemake --cores all{chosen} {target}"

    def _data(self) -> dict[str, Any]:
        """What every page says of the data."""
        return {
            "dataset": self.config["dataset"],
            "title": self.config["report"]["title"],
            "description": self.config["report"]["description"],
            "class_names": self.config["classes"],
            "mask_class_names": settings.data_set_classes(self.config),
            "picture_seed": self.config["report"]["seed"],
            "threshold": settings.fixed_threshold(self.config["experiment"]),
            "comparable": self.config["report"]["comparable"],
        }

    def _collection(self) -> dict[str, Any] | None:
        """The collection of hard OoD; None without one."""
        files = self._sheets()
        seconds = self.config["ood"]["review"]["seconds_per_image"]
        return {**files, "seconds_per_image": seconds} if files else None

    def _sheets(self) -> dict[str, str]:
        """The files of the collection, by the names that the page uses."""
        return {**self.targets.hard_ood(), **self.targets.cluster_sheets()}

    def _entry(self, key: str) -> dict[str, str]:
        """What the page says of a table or figure."""
        return {
            "title": ITEMS[key].title,
            "lacks": self.lacking(key) or "",
            "command": self.command(key, self.overlay(key)),
        }

    def _training_logs(self) -> list[dict[str, Any]]:
        """The training curves of every classifier, IRNet and network."""
        return [
            {
                "stage": stage,
                "name": name,
                "path": path,
                "role": self.targets.experiment(name)["role"] or "other",
                "seed": seed,
            }
            for name, seed in self.targets.runs("seeds")
            for stage, path in self._curves(name, seed).items()
        ]

    def _curves(self, name: str, seed: int) -> dict[str, str]:
        chosen, reaches = self.targets.experiment(name), self.targets.experiments
        curves = {"classifier": self.paths.classifier("training.jsonl", chosen["classifier"], seed)}
        if name in reaches("pseudo_masks"):
            curves["irnet"] = self.targets.owned("pseudo/irnet.jsonl", name, seed)
        if name in reaches("segmentation"):
            curves["segmentation"] = self.paths.experiment("network.jsonl", name, seed)
        return curves

    # Experiments.

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Return the files of each seed of an experiment, as far as the experiment goes."""
        return [self._run(name, seed) for seed in self.targets.seeds_of(name)]

    def _run(self, name: str, seed: int) -> dict[str, Any]:
        reaches = self.targets.experiments
        run = {"seed": seed, "maps": self.targets.map_shards(name, seed)}
        if name in reaches("pseudo_masks"):
            run["masks"] = self.targets.pseudo_masks(name, seed)
        if name in reaches("segmentation") and self.targets.has_val:
            run["predictions"] = self.paths.experiment("predictions/plain", name, seed)
        for stage in STAGES:
            score = self.paths.score(stage, name, seed)
            if score in self.targets.scores(stage):
                run[stage] = score
        return run

    def _experiment(self, name: str) -> dict[str, Any]:
        chosen = self.targets.experiment(name)
        classifier = self.targets.classifier(chosen["classifier"])
        return {
            "name": name,
            "title": chosen["title"] or name,
            "role": chosen["role"] or "other",
            "family": chosen["family"],
            "classifier": chosen["classifier"],
            "paper": chosen["paper"],
            "wood": classifier["wood"],
            "data": classifier["data"],
            "panels": chosen["panels"],
            "test_miou": chosen["test_miou"],
            "basis": settings.basis(self.config, name),
            "runs": self.runs(name),
        }

    def _settings(self, name: str) -> dict[str, Any]:
        """The settings of an experiment, of its classifier and of its localization maps."""
        chosen = self.targets.experiment(name)
        return {
            "experiment": without_knobs(chosen),
            "classifier": without_knobs(self.targets.classifier(chosen["classifier"])),
            "localization": self.config["localizations"][chosen["localization"]],
        }

    # Tables and figures.

    def _item_experiments(self, key: str) -> list[str]:
        """The experiments that a table or figure shows."""
        item = ITEMS[key]
        if item.stage is None:
            return []
        reached = [self.experiment(name) for name in self.targets.experiments(item.stage)]
        return experiments_of(item, reached)

    def _item(self, key: str) -> dict[str, Any]:
        """What `wood.report.item.build_item` makes a table or figure from, and no more."""
        item = ITEMS[key]
        sheets = self._sheets()
        files = {name: self.paths.data(file) for name, file in self._lists(item.files).items()}
        judges = {"maps": self.targets.has_evaluation, "predictions": self.targets.has_masks}
        features = self.targets.epoch_features() if "epoch_features" in item.files else None
        return {
            **self._data(),
            "experiments": [
                {**self.experiment(name), "runs": self._parts(name, item.files)}
                for name in self.item_experiments(key)
            ],
            "train_images": files.get("train_images"),
            "val_images": files.get("val_images"),
            "truth": self.paths.masks if any(judges.get(f) for f in item.files) else None,
            "ood": {name: sheets[name] for name in item.files if name in sheets} or None,
            "epoch_features": features,
            "commands": {item.title: self.command(key)},
        }

    @staticmethod
    def _lists(files: Sequence[str]) -> dict[str, str]:
        """The image lists that pictures need."""
        needed = {"maps": ("train_images", "train.csv"), "predictions": ("val_images", "val.csv")}
        return dict(needed[kind] for kind in needed if kind in files)

    def _parts(self, name: str, files: Sequence[str]) -> list[dict[str, Any]]:
        """The files of an experiment's runs that an item shows."""
        kept = ("seed", *files)
        return [{part: run[part] for part in kept if part in run} for run in self.runs(name)]

    def _lacking(self, key: str) -> str | None:
        """What the configuration lacks to make a table or figure; None where it lacks nothing."""
        item = ITEMS[key]
        of_networks = item.stage == "segmentation"
        if item.needs_masks and not self.targets.has_masks:
            return "true masks to score against"
        if of_networks and not self.targets.has_val:
            return "validation images (data.val)"
        if item.needs_masks and not of_networks and not self.targets.has_evaluation:
            return "images that seeds are scored on (data.evaluation)"
        made: Any = self.item_experiments(key)
        if "epoch_features" in item.files:
            made = self.targets.epoch_features()
        elif item.stage is None:
            sheets = self._sheets()
            made = sheets.get(item.files[-1])
        return None if made else what_to_add(item)

    def overlay(self, key: str) -> str | None:
        """Return the overlay that fills a table or figure, where experiments are what it lacks."""
        item = ITEMS[key]
        if item.overlay and self.lacking(key) == what_to_add(item):
            return f"configs/{item.overlay}.yaml"
        return None

    def item_page(self, key: str) -> str:
        """Return the page of a table or figure.

        Raises:
            SystemExit: it cannot be made, with a sentence that says what the configuration lacks.
        """
        if self.lacking(key):
            overlay = self.overlay(key)
            hint = f" {self.command(key, overlay)} makes it." if overlay else ""
            raise SystemExit(
                f"Error: {key} needs what this configuration lacks: {self.lacking(key)}.{hint}"
            )
        return self.paths.report(f"items/{key}.html")

    def target(self, key: str) -> Callable[[Any], str | list[str]]:
        """Return the input function of an item's target: it fails only where it is asked for.

        While a review is pending that the item depends on, the target is what comes before it.
        """

        def files(wildcards: Any) -> str | list[str]:
            if self._waits(key):
                stage = ITEMS[key].stage
                return self.targets.results(stage) if stage else self.targets.to_review()
            return self.item_page(key)

        return files

    def _waits(self, key: str) -> bool:
        """Whether a table or figure cannot be made before the review."""
        if not self.targets.is_pending:
            return False
        shown = self.item_experiments(key)
        return ITEMS[key].stage is None or any(map(self.targets.takes_answers, shown))

    def item_files(self, wildcards: Any) -> list[str]:
        """Return the files that a table or figure is made from."""
        self.item_page(wildcards.item)
        return self.files(self.item(wildcards.item))

    def item_specification(self, wildcards: Any) -> dict[str, Any]:
        """Return what a table or figure is made from."""
        return self.item(wildcards.item)
