"""What single jobs read and are told: functions of their wildcards, for the rules."""

from collections.abc import Mapping
from typing import Any

from wood.data.voc import FETCHED_SETS, IMAGE_SETS
from wood.runtime.knobs import only_knobs, without_knobs
from wood.scoring.thresholds import has_margins
from wood.workflow import resolve as settings
from wood.workflow.downloads import weights_file
from wood.workflow.files import image_set_file, is_derived
from wood.workflow.functions import of_job
from wood.workflow.parameters import Parameters

DOMAINS = {"hard": "ood", "random": "random", "unreviewed": "unreviewed"}


class Inputs(Parameters):
    """The input and parameter functions of the rules; `wildcards` has the rule's attributes."""

    # Data.

    @property
    def devkit(self) -> dict[str, str]:
        """The folders of a devkit; its masks are not among them."""
        folders = {"annotations": "Annotations", "images": "JPEGImages"}
        return {name: f"{self.paths.voc}/{folder}" for name, folder in folders.items()}

    @property
    def labelled(self) -> dict[str, str]:
        """The images of D_in and their image-level labels."""
        return {
            "images": self.paths.data("train.csv"),
            "labels": self.paths.data("labels.parquet"),
        }

    @property
    def with_rejects(self) -> dict[str, str]:
        """The same with the candidates that the review rejects."""
        return {
            "images": self.paths.ood("labelled_rejects/train.csv"),
            "labels": self.paths.ood("labelled_rejects/labels.parquet"),
        }

    def image_set_files(self, role: str) -> list[str]:
        """Return the files of a devkit that say which images belong to `role`'s image set."""
        name = self.config["data"][role]
        if self.config["data"]["source"] == "demo":
            return [f"{self.paths.voc}/ImageSets"]
        data = self.config["data"]
        if is_derived(data, name):
            lists = [f"{self.paths.voc}/{IMAGE_SETS}/{part}.txt" for part in ("train", "val")]
            return [*lists, data["sbd_root"]]
        return [image_set_file(data, name)]

    @property
    def fetched_devkit(self) -> dict[str, str]:
        """The folders of a devkit that is fetched."""
        return {**self.devkit, "masks": self.paths.devkit_masks}

    @property
    def fetched_sets(self) -> list[str]:
        """The image sets of a devkit that is fetched."""
        return [f"{self.paths.voc}/{IMAGE_SETS}/{name}.txt" for name in FETCHED_SETS]

    def image_list(self, domain: str, seed: int | str) -> str:
        """Return the list of the images of D_in, or of those that stand for D_ood."""
        if domain == "in":
            return self.paths.data("train.csv")
        lists = {
            "ood": "hard_ood.csv",
            "random": f"random_ood/seed-{seed}.csv",
            "unreviewed": "unreviewed_ood.csv",
        }
        return self.paths.ood(lists[domain])

    def pool_folder(self) -> list[str]:
        """Return the folder of Open Images, if it is one and not an address."""
        return [] if "://" in self.paths.pool else [self.paths.pool]

    def class_map_file(self) -> list[str]:
        """Return the file of the classes' Open Images labels, if it is one."""
        class_map = self.config["ood"]["openimages"]["class_map"]
        return [class_map] if isinstance(class_map, str) else []

    @of_job
    def needed_hard_ood(self, wildcards: Any, input: Any) -> int:
        """Return how many hard OoD images there must be; another classifier makes no list anew.

        Where a list that is there has too few for its clusters, `centers` says so.
        """
        return self.targets.needed_hard_ood

    # Classifiers.

    @of_job
    def classifier(self, wildcards: Any) -> Mapping[str, Any]:
        """Return a classifier's resolved parameters, without knobs."""
        return without_knobs(self.targets.classifier(wildcards.classifier))

    @of_job
    def classifier_knobs(self, wildcards: Any, input: Any) -> dict[str, Any]:
        """Return the knobs of a classifier's training."""
        return only_knobs(self.targets.classifier(wildcards.classifier))

    def parent_file(self, wildcards: Any, file: str) -> str:
        """Return a file of the classifier that this one starts from."""
        return self.paths.classifier(file, self.classifier(wildcards)["init"], wildcards.seed)

    @of_job
    def parent_weights(self, wildcards: Any) -> str:
        """Return the weights that a classifier starts from."""
        return self.parent_file(wildcards, "model.safetensors")

    @of_job
    def features_in(self, wildcards: Any) -> str:
        """Return the features of D_in, by the classifier that this one starts from."""
        return self.parent_file(wildcards, "features-in.safetensors")

    @of_job
    def features_ood(self, wildcards: Any) -> str:
        """Return the features of its OoD images, by the classifier that this one starts from."""
        return self.parent_file(wildcards, f"features-{self.ood_domain(wildcards)}.safetensors")

    @of_job
    def ood_domain(self, wildcards: Any) -> str:
        """Return the images that stand for D_ood: ood (the hard ones), random or unreviewed."""
        return DOMAINS[settings.ood_images(self.classifier(wildcards))]

    @of_job
    def ood_list(self, wildcards: Any) -> str:
        """Return the list of the OoD images that a classifier is trained with."""
        return self.image_list(self.ood_domain(wildcards), wildcards.seed)

    @of_job
    def feature_images(self, wildcards: Any) -> str:
        """Return the list of the images whose features are taken."""
        return self.image_list(wildcards.domain, wildcards.seed)

    @of_job
    def training_files(self, wildcards: Any) -> dict[str, str]:
        """Return what a classifier is trained with: D_in, initial weights, D_ood, centres."""
        chosen = self.classifier(wildcards)
        found = self.with_rejects if chosen["data"]["rejects"] else self.labelled
        if chosen["published"]:
            return {**found, "published": chosen["published"]}
        found = found if chosen["init"] else {**found, **pretrained(chosen)}
        if chosen["init"]:
            found["init"] = self.parent_weights(wildcards)
        if chosen["wood"]:
            found["ood_list"] = self.ood_list(wildcards)
        if settings.uses_distance(chosen):
            place = (wildcards.classifier, wildcards.seed)
            found["centers"] = self.paths.classifier("centers.safetensors", *place)
        return found

    def irnet_files(self, wildcards: Any) -> dict[str, str]:
        """Return the weights that IRNet starts from."""
        return pretrained(self.experiment(wildcards)["pseudo"]["irnet"])

    def network_files(self, wildcards: Any) -> dict[str, str]:
        """Return the weights that a segmentation network starts from, and its OoD images."""
        found = pretrained(self.experiment(wildcards)["segmentation"])
        if settings.network_sees_ood(self.config, wildcards.experiment):
            found["ood_list"] = self.paths.ood("hard_ood.csv")
        return found

    @property
    def supervised_files(self) -> dict[str, str]:
        """The weights that the upper bound starts from."""
        return pretrained(self.config["experiment"]["segmentation"])

    @of_job
    def centers(self, wildcards: Any) -> dict[str, Any]:
        """Return what the centres depend on."""
        chosen = self.classifier(wildcards)["wood"]
        return {key: chosen[key] for key in ("clusters", "grouping", "kmeans", "min_long_side")}

    @of_job
    def parts(self, wildcards: Any) -> Mapping[str, Any]:
        """Return the parts of D_in and D_ood that a classifier is trained with."""
        data = self.classifier(wildcards)["data"]
        return {key: data[key] for key in ("in", "ood", "subset_seed")}

    @of_job
    def whole_images(self, wildcards: Any) -> dict[str, Any] | None:
        """Return how whole images are taken, for a classifier that finds its centres anew."""
        chosen = self.classifier(wildcards)
        if not settings.uses_distance(chosen) or not chosen["wood"]["refresh_epochs"]:
            return None
        return {
            "long_side": self.config["ood"]["long_side"],
            "max_batch_pixels": self.config["max_batch_pixels"],
            **self.tolerance,
        }

    @of_job
    def localization(self, wildcards: Any) -> Mapping[str, Any]:
        """Return the settings of a localization method."""
        return self.config["localizations"][wildcards.localization]

    @of_job
    def localization_of_experiment(self, wildcards: Any) -> Mapping[str, Any]:
        """Return the settings of an experiment's localization method."""
        return self.config["localizations"][self.experiment(wildcards)["localization"]]

    # Experiments.

    @of_job
    def experiment(self, wildcards: Any) -> Mapping[str, Any]:
        """Return an experiment's resolved parameters."""
        return self.targets.experiment(wildcards.experiment)

    @of_job
    def threshold(self, wildcards: Any) -> float | str:
        """Return the threshold of an experiment's seeds: a number, or the file of its choice."""
        return self.targets.threshold(wildcards.experiment, wildcards.seed)

    @of_job
    def chosen_threshold(self, wildcards: Any) -> list[str]:
        """Return the file of a threshold that the run chooses; none for a number."""
        threshold = self.threshold(wildcards)
        return [threshold] if isinstance(threshold, str) else []

    @of_job
    def threshold_of_ir_labels(self, wildcards: Any) -> list[str]:
        """Return that file where thresholds of the IR labels follow from it."""
        waits = has_margins(self.experiment(wildcards)["pseudo"])
        return self.chosen_threshold(wildcards) if waits else []

    @of_job
    def ood_share(self, wildcards: Any) -> float:
        """Return the share of OoD images that may be active at a threshold chosen beside them."""
        return self.experiment(wildcards)["ood_share"]

    @of_job
    def published_sweep(self, wildcards: Any) -> list[float] | None:
        """Return the thresholds that a published program tries on all scored images."""
        return self.experiment(wildcards)["published_sweep"]

    @of_job
    def maps(self, wildcards: Any) -> list[str]:
        """Return the localization maps of an experiment."""
        return self.targets.map_shards(wildcards.experiment, wildcards.seed)

    @of_job
    def maps_of_shard(self, wildcards: Any) -> str:
        """Return the shard of an experiment's localization maps that has the wildcards' number."""
        return self.maps(wildcards)[int(wildcards.shard)]

    @of_job
    def weights(self, wildcards: Any) -> str:
        """Return the classifier whose localization maps an experiment uses."""
        name = self.experiment(wildcards)["classifier"]
        return self.targets.classifier_weights(name, wildcards.seed)

    @of_job
    def ir_labels(self, wildcards: Any) -> dict[str, Any]:
        """Return the settings of the IR labels; margins, where a threshold is chosen later."""
        chosen = self.experiment(wildcards)["pseudo"]
        sides = ("foreground_", "background_")
        return {k: v for k, v in chosen.items() if k == "gt_prob" or k.startswith(sides)}

    @of_job
    def gt_prob(self, wildcards: Any) -> float:
        """Return the probability of the labels in the CRF."""
        return self.experiment(wildcards)["pseudo"]["gt_prob"]

    @of_job
    def irnet(self, wildcards: Any) -> Mapping[str, Any]:
        """Return the settings of IRNet, without knobs."""
        return without_knobs(self.experiment(wildcards)["pseudo"]["irnet"])

    @of_job
    def irnet_knobs(self, wildcards: Any, input: Any) -> dict[str, Any]:
        """Return the knobs of IRNet's training."""
        return only_knobs(self.experiment(wildcards)["pseudo"]["irnet"])

    @of_job
    def walk(self, wildcards: Any) -> dict[str, Any]:
        """Return the settings of the random walk and of the masks made from it."""
        keys = ("radius", "beta", "exp_times", "mask_threshold", "power")
        chosen = self.experiment(wildcards)["pseudo"]
        return {key: chosen[key] for key in keys}

    @of_job
    def pseudo_masks(self, wildcards: Any) -> str:
        """Return the pseudo-masks of an experiment."""
        return self.targets.pseudo_masks(wildcards.experiment, wildcards.seed)

    @of_job
    def network(self, wildcards: Any) -> dict[str, Any]:
        """Return what the training of a segmentation network depends on."""
        return training_of_network(self.experiment(wildcards)["segmentation"])

    @of_job
    def network_knobs(self, wildcards: Any, input: Any) -> dict[str, Any]:
        """Return the knobs of a segmentation network's training."""
        return only_knobs(self.experiment(wildcards)["segmentation"])

    @property
    def supervised_network(self) -> dict[str, Any]:
        """What the training of the fully supervised upper bound depends on."""
        return training_of_network(self.config["experiment"]["segmentation"])

    @of_job
    def supervised_knobs(self, wildcards: Any, input: Any) -> dict[str, Any]:
        """Return the knobs of the training of the fully supervised upper bound."""
        return only_knobs(self.config["experiment"]["segmentation"])

    @of_job
    def segment(self, wildcards: Any) -> Mapping[str, Any]:
        """Return how a segmentation network's predictions are made."""
        return self.experiment(wildcards)["segmentation"]["inference"]

    def browsed(self) -> dict[str, dict[str, Any]]:
        """Return what `browse` shows of each experiment with pseudo-masks, for the first seed."""
        seed = self.targets.seeds[0]
        return {
            name: {
                "maps": self.targets.map_shards(name, seed),
                "masks": self.targets.pseudo_masks(name, seed),
                "threshold": self.targets.threshold(name, seed),
                **{
                    kind: [
                        self.targets.owned(f"pseudo/{kind}/{shard}", name, seed)
                        for shard in self.targets.image_shards
                    ]
                    for kind in ("ir_labels", "boundaries")
                },
            }
            for name in self.targets.experiments("pseudo_masks")
        }


def training_of_network(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a segmentation network's training depends on, of its settings."""
    return without_knobs({key: value for key, value in chosen.items() if key != "inference"})


def pretrained(chosen: Mapping[str, Any]) -> dict[str, str]:
    """Return the file of weights that a network starts from, if it is one."""
    path = weights_file(chosen["weights"])
    return {"pretrained": path} if path else {}
