# What the report page is made from.

from pathlib import Path

from wood.report import figure5
from wood.scoring.per_image import counts_path
from wood.report.items import ITEMS, experiments_of, what_to_add


def experiment_runs(name):
    """The files of each seed of an experiment, as far as the experiment goes."""
    folder = f"{RESULTS}/experiments/{name}"
    files = {
        seed: {"seed": seed, "maps": map_shards(name, seed)} for seed in seeds_of(name)
    }
    for seed, run in files.items():
        if name in experiments("pseudo_masks"):
            run["masks"] = pseudo_mask_folder(name, seed)
        if name in experiments("segmentation") and HAS_VAL:
            run["predictions"] = f"{folder}/seed-{seed}/predictions/plain"
        for stage in settings.STAGES:
            score = f"{SCORES}/{stage}/{name}/seed-{seed}.json"
            if score in scores(stage):
                run[stage] = score
    return list(files.values())


def training_logs():
    """The training curves of every classifier, IRNet and network."""
    logs = []
    for name in experiments("seeds"):
        chosen = experiment_named(name)
        role = chosen["role"] or "other"
        for seed in seeds_of(name):
            curves = {
                "classifier": f"{RESULTS}/classifiers/{chosen['classifier']}/seed-{seed}/training.jsonl"
            }
            if name in experiments("pseudo_masks"):
                folder = os.path.dirname(pseudo_mask_folder(name, seed))
                curves["irnet"] = f"{folder}/pseudo/irnet.jsonl"
            if name in experiments("segmentation"):
                folder = f"{RESULTS}/experiments/{name}/seed-{seed}"
                curves["segmentation"] = f"{folder}/network.jsonl"
            logs += [
                {"stage": stage, "name": name, "path": path, "role": role, "seed": seed}
                for stage, path in curves.items()
            ]
    return logs


def report_specification():
    """What `wood.report.page.build_page` makes the page from."""
    return {
        **described_data(),
        "experiments": [
            {**described_experiment(name), "settings": resolved_settings(name)}
            for name in experiments("seeds")
        ],
        "experiment_pages": "experiments",
        "train_images": f"{RESULTS}/data/train.csv",
        "val_images": f"{RESULTS}/data/val.csv" if HAS_VAL else None,
        "truth": MASKS if HAS_MASKS else None,
        "logs": training_logs(),
        "ood": described_collection(),
        "items": [
            {
                "title": item.title,
                "lacks": lacking(key) or "",
                "command": command_of_item(key),
            }
            for key, item in ITEMS.items()
        ],
        "commands": {
            "everything": command("all"),
            "hard OoD images": command("hard_ood"),
            "seeds": command("seeds"),
            "pseudo-masks": command("pseudo_masks"),
            "segmentation networks": command("segmentation"),
        },
    }


def described_collection():
    """The collection of hard OoD; None without one."""
    files = {**hard_ood_results(), **cluster_sheets()}
    return (
        {**files, "seconds_per_image": REVIEW["seconds_per_image"]} if files else None
    )


def counts_of_images():
    """The pixel counts beside the score files, for intervals over images."""
    return [
        str(counts_path(score)) for stage in settings.STAGES for score in scores(stage)
    ]


def described_data():
    """What every page says of the data."""
    return {
        "dataset": config["dataset"],
        "title": config["report"]["title"],
        "description": config["report"]["description"],
        "class_names": CLASSES,
        "mask_class_names": ALL_CLASSES,
        "picture_seed": config["report"]["seed"],
        "threshold": config["experiment"]["threshold"],
        "comparable": config["report"]["comparable"],
    }


@cache
def described_experiment(name):
    chosen = experiment_named(name)
    return {
        "name": name,
        "title": chosen["title"] or name,
        "role": chosen["role"] or "other",
        "family": chosen["family"],
        "classifier": chosen["classifier"],
        "paper": chosen["paper"],
        "ood": classifier_named(chosen["classifier"])["wood"],
        "data": classifier_named(chosen["classifier"])["data"],
        "panels": figure5.panels(config["figure5"], name),
        "test_miou": chosen["test_miou"],
        "runs": experiment_runs(name),
    }


def resolved_settings(name):
    """The settings of an experiment, of its classifier and of its localization maps."""
    chosen = experiment_named(name)
    return {
        "experiment": chosen,
        "classifier": classifier_named(chosen["classifier"]),
        "localization": config["localizations"][chosen["localization"]],
    }


@cache
def item_experiments(key):
    """The experiments that a table or figure shows."""
    item = ITEMS[key]
    if item.stage is None:
        return []
    reached = [described_experiment(name) for name in experiments(item.stage)]
    return experiments_of(item, reached)


@cache
def item_specification(key):
    """What `wood.report.item.build_item` makes a table or figure from, and no more."""
    item = ITEMS[key]
    shown = [
        {
            **described_experiment(name),
            "runs": [
                {part: run[part] for part in ("seed", *item.files) if part in run}
                for run in experiment_runs(name)
            ],
        }
        for name in item_experiments(key)
    ]
    sheets = {**hard_ood_results(), **cluster_sheets()}
    pictures = {"maps", "predictions"} & set(item.files)
    return {
        **described_data(),
        "experiments": shown,
        "train_images": (f"{RESULTS}/data/train.csv" if "maps" in item.files else None),
        "val_images": (
            f"{RESULTS}/data/val.csv" if "predictions" in item.files else None
        ),
        "truth": MASKS if HAS_MASKS and pictures else None,
        "ood": {name: sheets[name] for name in item.files if name in sheets} or None,
        "epoch_features": epoch_features() if key == "figure7" else None,
        "commands": {item.title: command(key)},
    }


def epoch_features():
    """The features that Fig. 7 shows, of the first classifier that keeps its epochs."""
    for name in config["classifiers"]:
        if config["classifiers"][name] is None:
            continue
        chosen = classifier_named(name)
        if chosen["keep_epochs"] and chosen["init"] and chosen["wood"]:
            return f"{RESULTS}/classifiers/{name}/seed-{SEEDS[0]}/epoch-features.safetensors"
    return None


@cache
def lacking(key):
    """What the configuration lacks to make a table or figure; None where it lacks nothing."""
    item = ITEMS[key]
    if item.scored and not HAS_MASKS:
        if "maps" not in item.files or key == "figureA1":
            return "true masks to score against"
    if item.stage == "segmentation" and not HAS_VAL:
        return "validation images (data.val)"
    if key == "figure7":
        made = epoch_features()
    elif item.stage is None:
        made = {**hard_ood_results(), **cluster_sheets()}.get(item.files[-1])
    else:
        made = item_experiments(key)
    return None if made else what_to_add(item)


def overlay_of_item(key):
    """The overlay that fills a table or figure, where experiments are what it lacks."""
    item = ITEMS[key]
    if item.overlay and lacking(key) == what_to_add(item):
        return f"configs/{item.overlay}.yaml"
    return None


def command_of_item(key):
    """The command that makes a table or figure, with its overlay where it lacks something."""
    return command(key, overlay_of_item(key))


def item_files(key):
    """The page of a table or figure; a sentence and the end where it cannot be made."""
    if lacking(key):
        hint = f" {command_of_item(key)} makes it." if overlay_of_item(key) else ""
        sys.exit(
            f"Error: {key} needs what this configuration lacks: {lacking(key)}.{hint}"
        )
    return f"{RESULTS}/report/items/{key}.html"


def item_output(ending, kind, caption):
    """A file of a table or figure, for Snakemake's own report."""
    return report(
        f"{RESULTS}/report/items/{{item}}.{ending}",
        caption=caption,
        category="Tables and figures of the paper",
        labels={"item": "{item}", "kind": kind},
    )


def item_inputs(wildcards):
    """What a table or figure is made from."""
    item_files(wildcards.item)
    return specified_files(item_specification(wildcards.item))


def cluster_sheets():
    """The clusters of the first experiment that has some, by the name the page uses."""
    for name in experiments("seeds"):
        chosen = experiment_named(name)["classifier"]
        if settings.uses_distance(classifier_named(chosen)):
            folder = f"{RESULTS}/classifiers/{chosen}/seed-{SEEDS[0]}"
            return {"cluster_sheet": f"{folder}/clusters.jpg"}
    return {}


def command(target, overlay=None):
    """The command that makes a target with the configuration of this run, and an overlay over it."""
    overlays = [os.path.relpath(path) for path in workflow.overwrite_configfiles or []]
    overlays += [overlay] if overlay else []
    chosen = f" --configfile {' '.join(overlays)} --" if overlays else ""
    return f"snakemake --cores all{chosen} {target}"


def specified_files(value):
    """The paths in a specification, whatever they are nested in."""
    if isinstance(value, dict):
        return [path for entry in value.values() for path in specified_files(entry)]
    if isinstance(value, list):
        return [path for entry in value for path in specified_files(entry)]
    return (
        [value] if isinstance(value, str) and value.startswith((RESULTS, MASKS)) else []
    )


def report_sources():
    """What the page is made from beside code."""
    folder = Path(workflow.basedir) / "wood" / "report"
    return sorted(
        str(path) for path in [*folder.glob("templates/*"), *folder.glob("*.csv")]
    )
