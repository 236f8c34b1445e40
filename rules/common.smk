# What the rule files share. The checked configuration, paths, and lists of results.

import os
import sys
from functools import cache

sys.path.insert(0, workflow.basedir)

from wood.workflow import config as settings
from wood.runtime.digest import code_digest
from wood.runtime.environment import share_with_jobs
from wood.runtime.errors import InputError
from wood.runtime.locks import hold_results, record_owner, remove_stale_locks

share_with_jobs(workflow.basedir)

# A run itself: neither one of its jobs, which read these files too, nor a dry run.
IS_RUN = workflow.is_main_process and not workflow.output_settings.dryrun

# Before Snakemake takes its lock, which then is never without a known owner.
if IS_RUN:
    if remove_stale_locks():
        print("Removed the lock of a run that was killed.", file=sys.stderr)
    record_owner()

config.update(settings.merge(config, settings.typed(workflow.config_settings.config)))

try:
    settings.check(config)
    settings.check_files(config)
except InputError as error:
    sys.exit(f"Error: {error}")

config.update(settings.expanded(config))
settings.sort_keys(config)


RESULTS = f"results/{config['dataset']}"

if IS_RUN:
    try:
        hold_results(RESULTS)
    except InputError as error:
        sys.exit(f"Error: {error}")
OOD = f"{RESULTS}/ood"
CLASSIFIER = f"{RESULTS}/classifiers/{{classifier}}/seed-{{seed}}"
EXPERIMENT = f"{RESULTS}/experiments/{{experiment}}/seed-{{seed}}"
PSEUDO = f"{EXPERIMENT}/pseudo"
SCORES = f"{RESULTS}/scores"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"

VOC = config["data"]["voc_root"] or f"{RESULTS}/demo/VOCdevkit/VOC2012"
MASKS = config["data"]["masks"] or f"{VOC}/SegmentationClass"
HAS_MASKS = settings.has_masks(config)
HAS_VAL = config["data"]["source"] != "csv" and config["data"]["val"] is not None

OPENIMAGES = config["ood"]["openimages"]
DOWNLOAD_SETTINGS = [
    "sources",
    "connections",
    "rate_limit",
    "retries",
    "timeout",
    "max_bytes",
    "max_pixels",
    "user_agent",
    "max_failed_fraction",
]
REVIEW = config["ood"]["review"]
POOL = OPENIMAGES["base"] or f"{RESULTS}/demo/openimages"

# Trainings use all GPUs of their job; shards use one, and run side by side.
TRAINING_GPUS = config["gpus"]
SHARD_GPUS = min(config["gpus"], 1)

SEEDS = config["seeds"]
SHARDS = {
    "images": [f"{number:04d}" for number in range(config["shards"]["images"])],
    "candidates": [f"{number:04d}" for number in range(config["shards"]["candidates"])],
}
CLASSES = config["classes"]
ALL_CLASSES = settings.data_set_classes(config)


wildcard_constraints:
    classifier="[^/]+",
    experiment="[^/]+",
    localization="[^/]+",
    seed=r"\d+",
    shard=r"\d+",


def memory(megabytes, per_thread=False):
    """The `mem_mb` of a rule: twice as much for a job that failed before (see profiles/)."""
    return lambda wildcards, threads, attempt: (
        megabytes * attempt * (threads if per_thread else 1)
    )


def image_set_files(name):
    """The files of a devkit that say which images belong to an image set."""
    if config["data"]["source"] == "demo":
        return [f"{VOC}/ImageSets"]
    folder = f"{VOC}/ImageSets/Segmentation"
    sbd = config["data"]["sbd_root"]
    if name == "train_aug" and sbd and not os.path.exists(f"{folder}/{name}.txt"):
        return [f"{folder}/train.txt", f"{folder}/val.txt", sbd]
    return [f"{folder}/{name}.txt"]


@cache
def classifier_named(name):
    return settings.classifier(config, name)


@cache
def experiment_named(name):
    return settings.experiment(config, name)


@cache
def experiments(stage):
    return settings.experiments(config, stage)


def seeds_of(experiment):
    """The training seeds that an experiment is run with."""
    return SEEDS[: experiment_named(experiment)["repeats"]]


@cache
def runs(stage):
    """The experiments that run at least to a stage, each with each of its training seeds."""
    return [(name, seed) for name in experiments(stage) for seed in seeds_of(name)]


def classifier_settings(wildcards):
    return classifier_named(wildcards.classifier)


def experiment_settings(wildcards):
    return experiment_named(wildcards.experiment)


def classifier_weights(classifier, seed):
    return f"{RESULTS}/classifiers/{classifier}/seed-{seed}/model.safetensors"


@cache
def map_shards(experiment, seed):
    """The localization maps that an experiment uses."""
    chosen = experiment_named(experiment)
    return expand(
        "{results}/classifiers/{classifier}/seed-{seed}/maps/{localization}/{shard}.safetensors",
        results=RESULTS,
        classifier=chosen["classifier"],
        localization=chosen["localization"],
        seed=seed,
        shard=SHARDS["images"],
    )


@cache
def pseudo_mask_owner(experiment):
    return settings.sharing(config, experiment)


def pseudo_mask_folder(experiment, seed):
    """The pseudo-masks that an experiment uses; experiments that share them have one folder."""
    owner = pseudo_mask_owner(experiment)
    return f"{RESULTS}/experiments/{owner}/seed-{seed}/pseudo_masks"


def review_answers():
    """The file with the reviewer's answers; an empty list where nobody prunes, or nobody has yet."""
    review = config["ood"]["review"]
    if review["policy"] == "truth":
        return review["truth"] or f"{RESULTS}/demo/review-truth.csv"
    if review["policy"] == "decisions":
        return [path for path in decisions_files() if os.path.exists(path)]
    return []


def decisions_files():
    """The reviewers' decisions; the first is the one that a review on this machine goes to."""
    files = config["ood"]["review"]["decisions"] or f"{OOD}/decisions.csv"
    return [files] if isinstance(files, str) else files


def scores(stage):
    """The score files of a stage; none for data without masks."""
    if not HAS_MASKS or (stage == "segmentation" and not HAS_VAL):
        return []
    return [f"{SCORES}/{stage}/{name}/seed-{seed}.json" for name, seed in runs(stage)]


def hard_ood_results():
    """The list of hard OoD images, and what shows it, by the names the page uses."""
    if config["ood"]["source"] == "none":
        return {}
    found = {
        "hard_ood": f"{OOD}/hard_ood.csv",
        "contact_sheet": f"{OOD}/contact_sheet.jpg",
    }
    if config["ood"]["source"] == "openimages":
        found["review_stats"] = f"{OOD}/review_stats.json"
    return found


def seed_results():
    maps = [shard for run in runs("seeds") for shard in map_shards(*run)]
    return [*maps, *scores("seeds")]


def pseudo_mask_results():
    masks = {pseudo_mask_folder(*run) for run in runs("pseudo_masks")}
    return [*sorted(masks), *instance_files(), *scores("pseudo_masks")]


def instance_files():
    """The instance masks of the experiments that ask for them."""
    folders = {
        os.path.dirname(pseudo_mask_folder(name, seed))
        for name, seed in runs("pseudo_masks")
        if experiment_named(name)["pseudo"]["instances"]
    }
    return [f"{folder}/instances.json" for folder in sorted(folders)]


def segmentation_results():
    networks = [
        f"{RESULTS}/experiments/{name}/seed-{seed}/network.safetensors"
        for name, seed in runs("segmentation")
    ]
    return [*networks, *scores("segmentation")]


def fully_supervised_results():
    if not HAS_MASKS or not HAS_VAL:
        return []
    return expand(
        "{scores}/fully_supervised/seed-{seed}.json", scores=SCORES, seed=SEEDS
    )


def submission_archives():
    if config["data"]["test"] is None:
        return []
    return [
        f"{RESULTS}/experiments/{name}/seed-{seed}/comp6_test_cls.tar.gz"
        for name, seed in runs("segmentation")
    ]


def pool_folder():
    """The folder of Open Images, if it is one and not an address."""
    return [] if "://" in POOL else [POOL]


def initial_weights(wildcards):
    """The classifier to start from, if any."""
    parent = classifier_settings(wildcards)["init"]
    return {"init": classifier_weights(parent, wildcards.seed)} if parent else {}


def ood_list(wildcards):
    """The OoD images that a classifier is trained with."""
    return image_list(ood_domain(wildcards), wildcards.seed)


def ood_domain(wildcards):
    """The images that a classifier takes for D_ood: ood (the hard ones), random or unreviewed."""
    images = settings.ood_images(classifier_settings(wildcards))
    return "ood" if images == "hard" else images


def image_list(domain, seed):
    """The images of D_in, or those that stand for D_ood."""
    return {
        "in": f"{RESULTS}/data/train.csv",
        "ood": f"{OOD}/hard_ood.csv",
        "random": f"{OOD}/random_ood/seed-{seed}.csv",
        "unreviewed": f"{OOD}/unreviewed_ood.csv",
    }[domain]


def features_of_ood(wildcards):
    """Features of a classifier's OoD images, by the classifier that it starts from."""
    return parent_file(wildcards, f"features-{ood_domain(wildcards)}.safetensors")


def settings_of_centers(wildcards):
    """What the centres depend on."""
    chosen = classifier_settings(wildcards)["wood"]
    return {
        key: chosen[key] for key in ("clusters", "grouping", "kmeans", "min_long_side")
    }


def whole_images_to_refresh(wildcards):
    """How whole images are taken, for a classifier that finds its centres anew; else None."""
    chosen = classifier_settings(wildcards)
    if not settings.uses_distance(chosen) or not chosen["wood"]["refresh_epochs"]:
        return None
    return {
        "long_side": config["ood"]["long_side"],
        "max_batch_pixels": config["max_batch_pixels"],
        "max_failed_fraction": config["data"]["max_failed_fraction"],
    }


def ood_inputs(wildcards):
    """What the losses on OoD images need."""
    chosen = classifier_settings(wildcards)
    if not chosen["wood"]:
        return {}
    found = {"ood_list": ood_list(wildcards)}
    if settings.uses_distance(chosen):
        found["centers"] = f"{CLASSIFIER}/centers.safetensors".format(**wildcards)
    return found


def parent_file(wildcards, name):
    """A file of the classifier that this one starts from."""
    parent = classifier_settings(wildcards)["init"]
    return f"{RESULTS}/classifiers/{parent}/seed-{wildcards.seed}/{name}"


def pseudo_settings(wildcards):
    return experiment_settings(wildcards)["pseudo"]


def walk_settings(wildcards):
    """The settings of the random walk and of the masks made from it."""
    keys = ("radius", "beta", "exp_times", "mask_threshold", "power")
    return {key: pseudo_settings(wildcards)[key] for key in keys}


def classifier_of_experiment(wildcards):
    """The weights whose localization maps an experiment uses."""
    return classifier_weights(
        experiment_settings(wildcards)["classifier"], wildcards.seed
    )


def browsed_experiments():
    """The files that `browse` shows of each experiment with pseudo-masks, for the first seed."""
    found = {}
    for name in experiments("pseudo_masks"):
        masks = pseudo_mask_folder(name, SEEDS[0])
        folder = f"{os.path.dirname(masks)}/pseudo"
        found[name] = {
            "maps": map_shards(name, SEEDS[0]),
            "masks": masks,
            "threshold": experiment_named(name)["threshold"],
        }
        for kind in ("ir_labels", "boundaries"):
            found[name][kind] = [
                f"{folder}/{kind}/{shard}" for shard in SHARDS["images"]
            ]
    return found


def shard_of_maps(wildcards):
    """The shard of localization maps of an experiment that has the wildcards' number."""
    number = SHARDS["images"].index(wildcards.shard)
    return map_shards(wildcards.experiment, wildcards.seed)[number]


def training_of_network(chosen):
    """What a network's training depends on, of its settings."""
    return {key: value for key, value in chosen.items() if key != "inference"}


def segmentation_settings(wildcards):
    return experiment_settings(wildcards)["segmentation"]
