"""What a configuration asks for: its experiments, their runs, and the files of each target."""

import os
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any

from wood.report.entry import STAGES
from wood.workflow import files, review
from wood.workflow import resolve as settings
from wood.workflow.paths import Paths


class Targets:
    """A checked and expanded configuration (`wood.workflow.start.configuration`), resolved.

    `classifier` and `experiment` return the resolved parameters of a name; they are the same
    dictionary at each call, so nobody may change them.
    """

    def __init__(self, config: Mapping[str, Any]):
        self.config = config
        self.paths = Paths.of(config)
        self.seeds: list[int] = config["seeds"]
        self.classifier: Callable[[str], dict[str, Any]] = cache(
            lambda name: settings.classifier(config, name)
        )
        self.experiment: Callable[[str], dict[str, Any]] = cache(
            lambda name: settings.experiment(config, name)
        )
        self.experiments: Callable[[str], list[str]] = cache(
            lambda stage: settings.experiments(config, stage)
        )
        self.runs: Callable[[str], list[tuple[str, int]]] = cache(self._runs)
        self.map_shards: Callable[[str, int | str], list[str]] = cache(self._map_shards)

    @cached_property
    def gpus(self) -> int:
        """GPUs that a training asks a scheduler for; with `auto` it takes one by itself."""
        return 0 if self.config["gpus"] == "auto" else self.config["gpus"]

    @cached_property
    def has_masks(self) -> bool:
        """Whether there are pixel masks to score against."""
        return files.has_masks(self.config)

    @cached_property
    def has_evaluation(self) -> bool:
        """Whether there are images, with masks, that seeds and pseudo-masks are scored on."""
        return files.has_evaluation(self.config)

    @cached_property
    def has_val(self) -> bool:
        """Whether there are validation images."""
        return files.has_val(self.config)

    @cached_property
    def image_shards(self) -> list[str]:
        """The numbers of the shards of D_in's images."""
        return _numbers(self.config["shards"]["images"])

    @cached_property
    def candidate_shards(self) -> list[str]:
        """The numbers of the shards of the candidates."""
        return _numbers(self.config["shards"]["candidates"])

    @cached_property
    def owners(self) -> dict[str, str]:
        """Of each experiment with pseudo-masks the one whose masks it uses (`settings.owners`)."""
        return settings.owners(self.config)

    @cached_property
    def needed_hard_ood(self) -> int:
        """How many hard OoD images the classifiers need at least."""
        return settings.needed_hard_ood(self.config)

    @property
    def scoring_weights(self) -> str:
        """The weights of F_in, which scores the candidates."""
        return self.classifier_weights(self.config["ood"]["classifier"], self.seeds[0])

    def scores_by_seed(self) -> list[str]:
        """Return the scores of a shard by F_in of each training seed that selects, with {shard}."""
        first = self.seeds[0]
        others = range(first + 1, first + self.config["ood"]["select"]["seeds"])
        folders = ["scores", *(f"scores-of-seed-{seed}" for seed in others)]
        return [self.paths.ood(f"{folder}/{{shard}}.parquet") for folder in folders]

    @property
    def candidate_scores(self) -> str:
        """The scores of a shard that the ranking goes by, with {shard}."""
        several = self.config["ood"]["select"]["seeds"] > 1
        return self.paths.ood(f"{'mean_scores' if several else 'scores'}/{{shard}}.parquet")

    def of_images(self, path: str) -> list[str]:
        """Return the files of all shards of D_in's images, for a path with {shard}."""
        return [path.replace("{shard}", shard) for shard in self.image_shards]

    def of_candidates(self, path: str) -> list[str]:
        """Return the files of all shards of the candidates, for a path with {shard}."""
        return [path.replace("{shard}", shard) for shard in self.candidate_shards]

    def seeds_of(self, name: str) -> list[int]:
        """Return the training seeds that an experiment is run with."""
        return self.seeds[: self.experiment(name)["repeats"]]

    def _runs(self, stage: str) -> list[tuple[str, int]]:
        """The experiments that run at least to a stage, each with each of its training seeds.

        While a review is pending, those that do not depend on it.
        """
        return [
            (name, seed)
            for name in self.experiments(stage)
            if not (self.is_pending and self.takes_answers(name))
            for seed in self.seeds_of(name)
        ]

    @cached_property
    def is_pending(self) -> bool:
        """Whether a person has yet to review the hard OoD images."""
        return review.is_pending(self.config, self.decisions_files())

    def takes_answers(self, name: str) -> bool:
        """Return whether an experiment depends on the reviewer's answers."""
        if settings.network_sees_ood(self.config, name):
            return True
        return review.takes_answers(self.config, self.experiment(name)["classifier"])

    def to_review(self) -> list[str]:
        """Return what a pending review shows; nothing where no review is pending."""
        return list(self.hard_ood().values()) if self.is_pending else []

    def before_review(self) -> list[str]:
        """Return everything that does not depend on the review, and what the review shows."""
        return [path for stage in STAGES for path in self.results(stage)]

    def results(self, stage: str) -> list[str]:
        """Return what the target of a stage makes; while a review is pending, what it can."""
        made = {
            "seeds": self.seed_results,
            "pseudo_masks": self.pseudo_mask_results,
            "segmentation": self.segmentation_results,
        }[stage]
        return [*self.to_review(), *made()]

    def classifier_weights(self, name: str, seed: int | str) -> str:
        """Return the weights of a classifier."""
        return self.paths.classifier("model.safetensors", name, seed)

    def _map_shards(self, name: str, seed: int | str) -> list[str]:
        """The localization maps that an experiment uses."""
        chosen = self.experiment(name)
        return [
            self.paths.classifier(
                f"maps/{chosen['localization']}/{shard}.safetensors", chosen["classifier"], seed
            )
            for shard in self.image_shards
        ]

    def threshold(self, name: str, seed: int | str) -> float | str:
        """Return the threshold of an experiment's seeds: a number, or the file of its choice."""
        threshold = self.experiment(name)["threshold"]
        if not isinstance(threshold, str):
            return threshold
        baseline = settings.threshold_baseline(self.config, name)
        return self.paths.threshold(threshold, baseline, seed)

    def owned(self, file: str, name: str, seed: int | str) -> str:
        """Return a file of the experiment whose pseudo-masks another one uses."""
        return self.paths.experiment(file, self.owners[name], seed)

    def pseudo_masks(self, name: str, seed: int | str) -> str:
        """Return the pseudo-masks of an experiment; those that share them have one folder."""
        return self.owned("pseudo_masks", name, seed)

    def decisions_files(self) -> list[str]:
        """Return the reviewers' decisions; a review on this machine writes to the first."""
        files = self.config["ood"]["review"]["decisions"] or self.paths.ood("decisions.csv")
        return [files] if isinstance(files, str) else files

    def review_answers(self) -> str | list[str]:
        """Return the file of true answers, or those of the reviewers that there are by now."""
        review = self.config["ood"]["review"]
        if review["policy"] == "truth":
            return review["truth"] or self.paths.demo("review-truth.csv")
        if review["policy"] == "decisions":
            return [path for path in self.decisions_files() if os.path.exists(path)]
        return []

    def scores(self, stage: str) -> list[str]:
        """Return the score files of a stage; none without masks or images to score."""
        images = self.has_val if stage == "segmentation" else self.has_evaluation
        if not self.has_masks or not images:
            return []
        return [self.paths.score(stage, name, seed) for name, seed in self.runs(stage)]

    def hard_ood(self) -> dict[str, str]:
        """Return the list of hard OoD images, and what shows it, by the names the page uses."""
        source = self.config["ood"]["source"]
        if source == "none":
            return {}
        if self.is_pending:
            return {"ranking": self.paths.ood("ranking.csv")}
        found = {"hard_ood": "hard_ood.csv", "contact_sheet": "contact_sheet.jpg"}
        if source == "openimages":
            found["review_stats"] = "review_stats.json"
        return {name: self.paths.ood(file) for name, file in found.items()}

    def seed_results(self) -> list[str]:
        """Return the localization maps of every experiment, and their scores."""
        maps = [shard for run in self.runs("seeds") for shard in self.map_shards(*run)]
        return [*maps, *self.scores("seeds")]

    def pseudo_mask_results(self) -> list[str]:
        """Return the pseudo-masks of every experiment, and their scores."""
        masks = {self.pseudo_masks(*run) for run in self.runs("pseudo_masks")}
        return [*sorted(masks), *self.instances(), *self.scores("pseudo_masks")]

    def instances(self) -> list[str]:
        """Return the instance masks of the experiments that ask for them."""
        asked = (
            (name, seed)
            for name, seed in self.runs("pseudo_masks")
            if self.experiment(name)["pseudo"]["instances"]
        )
        return sorted({self.owned("instances.json", *run) for run in asked})

    def segmentation_results(self) -> list[str]:
        """Return the network of every experiment, and their scores."""
        runs = self.runs("segmentation")
        networks = [self.paths.experiment("network.safetensors", *run) for run in runs]
        return [*networks, *self.scores("segmentation")]

    def fully_supervised_results(self) -> list[str]:
        """Return the scores of the upper bound."""
        if not self.has_evaluation or not self.has_val:
            return []
        return [self.paths.supervised_score(seed=seed) for seed in self.seeds]

    def submission_archives(self) -> list[str]:
        """Return the archives for VOC's evaluation server."""
        if self.config["data"]["test"] is None:
            return []
        runs = self.runs("segmentation")
        archives = [self.paths.experiment("comp6_test_cls.tar.gz", *run) for run in runs]
        return [*self.to_review(), *archives]

    def cluster_sheets(self) -> dict[str, str]:
        """Return the clusters of the first experiment that has some, by the name the page uses."""
        for name in self.experiments("seeds"):
            chosen = self.experiment(name)["classifier"]
            if settings.uses_distance(self.classifier(chosen)):
                sheet = self.paths.classifier("clusters.jpg", chosen, self.seeds[0])
                return {"cluster_sheet": sheet}
        return {}

    def epoch_features(self) -> str | None:
        """Return the features that Fig. 7 shows, of the first classifier that keeps its epochs."""
        for name, given in self.config["classifiers"].items():
            if given is None:
                continue
            chosen = self.classifier(name)
            if chosen["keep_epochs"] and chosen["init"] and chosen["wood"]:
                return self.paths.classifier("epoch-features.safetensors", name, self.seeds[0])
        return None


def _numbers(count: int) -> list[str]:
    return [f"{number:04d}" for number in range(count)]
