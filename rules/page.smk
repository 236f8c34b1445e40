# What the report page is made from.

from pathlib import Path

from wood.per_image import counts_path


def experiment_runs(name):
    """The files of each seed of an experiment, as far as the experiment goes."""
    folder = f"{RESULTS}/experiments/{name}"
    files = {seed: {"seed": seed, "maps": map_shards(name, seed)} for seed in SEEDS}
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
        for seed in SEEDS:
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
    described = []
    for name in experiments("seeds"):
        chosen = experiment_named(name)
        described.append(
            {
                "name": name,
                "title": chosen["title"] or name,
                "role": chosen["role"] or "other",
                "family": chosen["family"],
                "classifier": chosen["classifier"],
                "paper": chosen["paper"],
                "ood": classifier_named(chosen["classifier"])["ood"],
                "data": classifier_named(chosen["classifier"])["data"],
                "runs": experiment_runs(name),
            }
        )
    return {
        "dataset": config["dataset"],
        "title": config["report"]["title"],
        "description": config["report"]["description"],
        "class_names": CLASSES,
        "mask_class_names": ALL_CLASSES,
        "experiments": described,
        "train_images": f"{RESULTS}/data/train.csv",
        "val_images": f"{RESULTS}/data/val.csv" if HAS_VAL else None,
        "truth": MASKS if HAS_MASKS else None,
        "picture_seed": config["report"]["seed"],
        "logs": training_logs(),
        "threshold": config["experiment"]["threshold"],
        "ood": described_collection(),
        "comparable": config["report"]["comparable"],
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
    return {**files, "seconds_per_image": REVIEW["seconds_per_image"]} if files else None


def counts_of_images():
    """The pixel counts beside the score files, for intervals over images."""
    return [
        str(counts_path(score)) for stage in settings.STAGES for score in scores(stage)
    ]


def cluster_sheets():
    """The clusters of the first experiment that has some, by the name the page uses."""
    for name in experiments("seeds"):
        chosen = experiment_named(name)["classifier"]
        if settings.uses_distance(classifier_named(chosen)):
            folder = f"{RESULTS}/classifiers/{chosen}/seed-{SEEDS[0]}"
            return {"cluster_sheet": f"{folder}/clusters.jpg"}
    return {}


def command(target):
    """The command that makes a target with the configuration of this run."""
    overlays = [os.path.relpath(path) for path in workflow.overwrite_configfiles or []]
    chosen = f" --configfile {' '.join(overlays)}" if overlays else ""
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
