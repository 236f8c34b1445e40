"""What rules are told whatever their wildcards: parameters that several of them share."""

from pathlib import Path
from typing import Any

from wood.runtime.knobs import only_knobs
from wood.workflow import resolve as settings
from wood.workflow.functions import of_job
from wood.workflow.targets import Targets

DOWNLOAD_SETTINGS = ("sources", "max_bytes", "max_pixels", "max_failed_fraction")
DOWNLOAD_KNOBS = ("connections", "rate_limit", "retries", "timeout", "user_agent")


class Parameters:
    """The parameters of a configuration that depend on no wildcard."""

    def __init__(self, targets: Targets):
        self.targets = targets
        self.config = targets.config
        self.paths = targets.paths

    @property
    def classes(self) -> dict[str, Any]:
        """The foreground classes, and those of the devkit in the order of its mask indices."""
        return {
            "class_names": self.config["classes"],
            "all_classes": settings.data_set_classes(self.config),
        }

    @property
    def named(self) -> dict[str, Any]:
        """The foreground classes, the kernels, and how many unreadable images are borne."""
        return {"class_names": self.config["classes"], **self.kernels, **self.tolerance}

    @property
    def kernels(self) -> dict[str, Any]:
        """The instruction set and the precision that a job computes with."""
        return {key: self.config[key] for key in ("cpu_isa", "precision")}

    @property
    def scoring(self) -> dict[str, Any]:
        """How the masks of `evaluation` are scored."""
        return {**self.classes, "split": self.config["data"]["evaluation"]}

    @property
    def pruning(self) -> dict[str, Any]:
        """How the reviewers' answers are applied."""
        review = self.config["ood"]["review"]
        return {key: review[key] for key in ("policy", "max_unmatched_fraction")}

    @property
    def labels(self) -> dict[str, Any]:
        """How image-level labels are read."""
        return {
            # A function, since the linter takes a folder of inputs for a prefix that is typed in.
            "image_sets": lambda wildcards: self.config["data"]["image_sets"],
            **self.classes,
            **self.tolerance,
        }

    @property
    def inference(self) -> dict[str, Any]:
        """How a network is run on images."""
        threads = self.config["threads"]["inference"]
        return {"threads": threads, **self.kernels, **self.tolerance}

    @property
    def batches(self) -> dict[str, Any]:
        """How a network is run on batches of images."""
        return {"max_batch_pixels": self.config["max_batch_pixels"], **self.inference}

    @property
    def candidate_scores(self) -> dict[str, Any]:
        """How F_in is run on the candidates."""
        ood = self.config["ood"]
        return {
            **self.batches,
            "mirror": ood["select"]["mirror"],
            "long_side": ood["long_side"],
            "max_failed_fraction": ood["openimages"]["max_failed_fraction"],
        }

    @property
    def training(self) -> dict[str, Any]:
        """How a network is trained; the number of threads is part of what makes it repeatable."""
        return {
            "class_names": self.config["classes"],
            "threads": self.config["threads"]["training"],
            **self.kernels,
            **self.tolerance,
        }

    @property
    def tolerance(self) -> dict[str, Any]:
        """The share of unreadable images at which a stage fails."""
        return {"max_failed_fraction": self.config["data"]["max_failed_fraction"]}

    @property
    def candidates(self) -> dict[str, Any]:
        """Which photographs are candidates."""
        openimages = self.config["ood"]["openimages"]
        keys = (
            "class_map",
            "machine_threshold",
            "splits",
            "max_candidates",
            "max_unlabelled_fraction",
        )
        return {
            "classes": self.config["classes"],
            **{key: openimages[key] for key in keys},
            "seed": self.targets.seeds[0],
        }

    @property
    def download(self) -> dict[str, Any]:
        """Which photographs are downloaded."""
        return {key: self.config["ood"]["openimages"][key] for key in DOWNLOAD_SETTINGS}

    @of_job
    def download_knobs(self, wildcards: Any, input: Any) -> dict[str, Any]:
        """Return how photographs are downloaded."""
        knobs = only_knobs(self.config["ood"])["openimages"]
        return {key: knobs[key] for key in DOWNLOAD_KNOBS}

    @of_job
    def metadata_knobs(self, wildcards: Any, input: Any) -> dict[str, Any]:
        """Return how the lists of Open Images are downloaded."""
        return {"user_agent": self.config["ood"]["openimages"]["user_agent"]}

    @of_job
    def whole_configuration(self, wildcards: Any, input: Any) -> dict[str, Any]:
        """Return the configuration with its knobs, which reruns nothing."""
        return dict(self.config)

    @property
    def image_base(self) -> str:
        """The folder or address where the photographs lie."""
        return self.config["ood"]["openimages"]["image_base"] or f"{self.paths.pool}/images"

    @property
    def review_options(self) -> list[str]:
        """Return how a review opens: the reviewer's file is that of the name, else the first."""
        files, reviewer = self.targets.decisions_files(), self.config["reviewer"]
        own, *_ = [f for f in files if Path(f).name == f"{reviewer}.csv"] or files
        others = [file for file in files if file != own]
        wanted = self.config["ood"]["review"]["wanted"]
        options = ["--project", self.config["dataset"], "--decisions", own]
        options += ["--classes", *self.config["classes"]]
        options += ["--others", *others] if others else []
        options += ["--reviewer", reviewer] if reviewer else []
        options += ["--wanted", str(wanted)] if wanted else []
        return options
