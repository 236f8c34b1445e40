"""Overlays put over one another, and classifiers and experiments resolved.

A classifier or experiment is named as what it overrides of a base, so that an ablation is one
line; its resolved parameters are what its rules depend on.
"""

import json
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import yaml

from wood.report.entry import STAGES
from wood.runtime.errors import InputError
from wood.runtime.knobs import without_knobs
from wood.scoring.thresholds import BESIDE_OOD, HALF_A, has_margins, with_margins

NAMED = ("classifiers", "localizations", "experiments")  # whose entries have names of the user's

Tree = Mapping[str, Any]


def merge(base: Tree, override: Tree) -> dict[str, Any]:
    """Return `base` with the entries of `override` put over it, mappings entry by entry."""
    merged = {key: _copied(value) for key, value in base.items() if key not in override}
    for key, value in override.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = merge(base[key], value) if both else _copied(value)
    return {key: merged[key] for key in [*base, *override]}


def over(config: Tree, overlays: Sequence[Tree]) -> dict[str, Any]:
    """Return `config` with overlays over it, which are first put together, as Snakemake does.

    An entry that one overlay sets to null and a later one gives a value has the rest from `config`.
    """
    return merge(config, reduce(merge, overlays, {}))


def _copied(value: Any) -> Any:
    """A copy of what a configuration holds, which `copy.deepcopy` takes six times as long for."""
    if isinstance(value, Mapping):
        return {key: _copied(entry) for key, entry in value.items()}
    return [_copied(entry) for entry in value] if isinstance(value, list) else value


def typed(value: Any) -> Any:
    """Return what `--config` gives with its numbers, truth values and nulls as such.

    Snakemake reads what stands in brackets, like `figure5='{total: 445}'`, as strings throughout.
    """
    if isinstance(value, Mapping):
        return {key: typed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    return _scalar(value) if isinstance(value, str) else value


def _scalar(text: str) -> Any:
    """What a string says in YAML; itself where that is not a single value."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if value is None or isinstance(value, bool | int | float) else text


def in_order_of(config: Tree, files: Sequence[Tree]) -> dict[str, Any]:
    """Return a configuration whose classifiers and experiments are in the order of the files.

    Snakemake puts the names of the overlays before those of `config.yaml`. An experiment that an
    overlay adds would so come first and make the pseudo-masks that it shares, which exist already
    under the name of another one (`owners`). Names that no file has come last.
    """
    ordered = dict(config)
    for kind in NAMED:
        named = [file[kind] for file in files if isinstance(file.get(kind), Mapping)]
        names = dict.fromkeys(name for entries in [*named, config[kind]] for name in entries)
        ordered[kind] = {name: config[kind][name] for name in names if name in config[kind]}
    return ordered


def sort_keys(config: dict[str, Any]) -> None:
    """Put the keys of a configuration, and of all in it, in alphabetical order, in place.

    Snakemake leaves them in the order of the overlays, and compares parameters as they are
    written: without this, a value that is given once more would rerun what depends on it. The
    order of classifiers, localizations and experiments is the user's, and stays.
    """
    for key in sorted(config):
        value = config[key] = config.pop(key)
        if key in NAMED:
            for entry in value.values():
                _sort_entry(entry)
        else:
            _sort_entry(value)


def _sort_entry(value: Any) -> None:
    if isinstance(value, dict):
        sort_keys(value)


def classifier(config: Tree, name: str) -> dict[str, Any]:
    """Return a classifier's resolved parameters; `wood` is a dictionary or None.

    Over `classifier` come, for each classifier that this one is `like` and at last for itself, the
    preset that it names and what it says itself; over `wood` comes what these have below `wood`.

    Raises:
        InputError: there is no preset of this name, or no classifier that it is `like`.
    """
    resolved = merge(config["classifier"], {})
    for link in likes(config, name):
        resolved = merge(merge(resolved, _preset(config, link)), config["classifiers"][link])
    for how_it_is_written in ("like", "preset"):
        resolved.pop(how_it_is_written, None)
    own = resolved["wood"]
    resolved["wood"] = None if own == "none" else merge(config["wood"], own)
    return resolved


def basis(config: Tree, name: str) -> list[str]:
    """Return words on what the row of an experiment rests on, for the report's tables.

    The presets of its classifier, photographs that D_in does not have, and a threshold that is not
    a number of the configuration.
    """
    chosen = experiment(config, name)
    links = likes(config, chosen["classifier"])
    presets = dict.fromkeys(config["classifiers"][link].get("preset") for link in links)
    words = [f"preset {preset}" for preset in presets if preset is not None]
    if classifier(config, chosen["classifier"])["data"]["rejects"]:
        words.append("rejected candidates as labelled photographs")
    if chosen["threshold"] == HALF_A:
        words.append("threshold chosen on the masks of half A")
    if chosen["threshold"] == BESIDE_OOD:
        words.append("threshold chosen beside OoD images, without masks")
    return words


def _preset(config: Tree, name: str) -> Tree:
    preset = config["classifiers"][name].get("preset")
    if preset is None:
        return {}
    if preset not in present(config["presets"]):
        raise InputError(
            f"Configuration: classifiers.{name}.preset is {preset!r}, which is not one of the "
            f"presets ({', '.join(present(config['presets']))})."
        )
    return config["presets"][preset]


def likes(config: Tree, name: str) -> list[str]:
    """The classifiers that a classifier is like, the first of them first, and itself."""
    chain = [name]
    while (other := config["classifiers"][chain[0]].get("like")) is not None:
        if other not in present(config["classifiers"]) or other in chain:
            raise InputError(
                f"Configuration: classifiers.{chain[0]}.like is {other!r}, which is not another "
                "of the classifiers."
            )
        chain.insert(0, other)
    return chain


def experiment(config: Tree, name: str) -> dict[str, Any]:
    """Return an experiment's resolved parameters.

    Where its `threshold` is a number, the thresholds of its IR labels are numbers too; with
    a word those that are null stay margins, until the threshold is chosen.
    """
    resolved = merge(config["experiment"], config["experiments"][name] or {})
    if not isinstance(resolved["threshold"], str) or not has_margins(resolved["pseudo"]):
        resolved["pseudo"] = with_margins(resolved["pseudo"], resolved["threshold"])
    return resolved


def threshold_baseline(config: Tree, name: str) -> str | None:
    """Return the experiment on whose seeds the threshold of `name` is chosen; None for a number.

    It is the baseline of its family, and of the base's family where its own has none.

    Raises:
        InputError: there is no such baseline.
    """
    chosen = experiment(config, name)
    if not isinstance(chosen["threshold"], str):
        return None
    for family in (chosen["family"], config["experiment"]["family"]):
        for other in present(config["experiments"]):
            settings = experiment(config, other)
            if (settings["role"], settings["family"]) == ("baseline", family):
                return other
    raise InputError(
        f"Configuration: experiments.{name}.threshold is {chosen['threshold']}, but no baseline of "
        f"its family {chosen['family']!r} is among the experiments."
    )


def fixed_threshold(settings: Tree) -> float | None:
    """Return an experiment's threshold where it is a number."""
    return None if isinstance(settings["threshold"], str) else settings["threshold"]


def owners(config: Tree) -> dict[str, str]:
    """Return, for each experiment with pseudo-masks, the first whose masks are made as its own are.

    A stage runs once for all the experiments that share it, under that experiment's name.
    """
    first: dict[str, str] = {}
    return {
        name: first.setdefault(_pseudo_mask_settings(config, name), name)
        for name in experiments(config, "pseudo_masks")
    }


def _pseudo_mask_settings(config: Tree, name: str) -> str:
    settings = experiment(config, name)
    # Instances are made beside the masks, which are the same without them.
    settings["pseudo"].pop("instances")
    made_from = [without_knobs(settings[key]) for key in ("classifier", "localization", "pseudo")]
    if has_margins(settings["pseudo"]):
        made_from.append(threshold_baseline(config, name))
    return json.dumps(made_from, sort_keys=True, default=str)


def experiments(config: Tree, stage: str) -> list[str]:
    """Return the names of the experiments that run at least to `stage`."""
    needed = STAGES.index(stage)
    return [
        name
        for name in present(config["experiments"])
        if STAGES.index(_last_stage(config, name)) >= needed
    ]


def _last_stage(config: Tree, name: str) -> str:
    return {**config["experiment"], **(config["experiments"][name] or {})}["until"]


def trained(config: Tree) -> dict[str, int]:
    """Return the classifiers that a run trains, each with its number of seeds.

    They are those of experiments, F_in, and what these start from.
    """
    wanted: list[tuple[str, int]] = []
    for name in experiments(config, "seeds"):
        chosen = experiment(config, name)
        wanted.append((chosen["classifier"], repeats(config, chosen)))
    if config["ood"]["source"] == "openimages":
        wanted.append((config["ood"]["classifier"], config["ood"]["select"]["seeds"]))
    found: dict[str, int] = {}
    for name, seed_count in wanted:
        if found.get(name, 0) < seed_count:
            found[name] = seed_count
            parent = classifier(config, name)["init"]
            wanted += [(parent, seed_count)] if parent else []
    return found


def used(config: Tree) -> dict[str, set[str]]:
    """Return the classifiers and localizations that a run uses, or that others are like."""
    kept = (n for n in present(config["classifiers"]) if classifier(config, n)["keep_epochs"])
    trained_or_kept = {*trained(config), *kept}
    shown = [experiment(config, name) for name in present(config["experiments"])]
    return {
        "classifiers": {link for name in trained_or_kept for link in likes(config, name)},
        "localizations": {settings["localization"] for settings in shown},
    }


def repeats(config: Tree, settings: Tree) -> int:
    """Return how many training seeds an experiment is run with."""
    return len(config["seeds"][: settings["repeats"]])


def needed_hard_ood(config: Tree) -> int:
    """Return how many hard OoD images the classifiers need at least: one per cluster, a batch."""
    needed = [1]
    for name in present(config["classifiers"]):
        settings = classifier(config, name)
        if settings["wood"]:
            needed.append(settings["wood"]["batch_size"])
        if uses_distance(settings) and settings["wood"]["grouping"] == "kmeans":
            needed.append(settings["wood"]["clusters"])
    for name in experiments(config, "segmentation"):
        needed.append(experiment(config, name)["segmentation"]["ood"]["batch_size"])
    return max(needed)


def network_sees_ood(config: Tree, name: str) -> bool:
    """Return whether an experiment's segmentation network is trained with OoD images too."""
    if _last_stage(config, name) != "segmentation":
        return False
    return experiment(config, name)["segmentation"]["ood"]["batch_size"] > 0


def uses_distance(settings: Tree) -> bool:
    """Return whether a classifier's losses need centres (Eq. 2)."""
    return bool(settings["wood"]) and any(
        loss.startswith("dist_") for loss in settings["wood"]["losses"]
    )


def ood_images(settings: Tree) -> str | None:
    """Return which OoD images a classifier takes: hard, random or unreviewed; None without."""
    return settings["wood"]["images"] if settings["wood"] else None


def data_set_classes(config: Tree) -> list[str]:
    """Return the data set's full class list, in the order of its mask indices."""
    from wood.data.masks import VOC_CLASSES

    data = config["data"]
    own = config["classes"] if data["source"] == "csv" else VOC_CLASSES
    return list(data["all_classes"] or own)


def present(named: Tree) -> list[str]:
    """An overlay drops a name by setting it to null."""
    return [name for name, value in named.items() if value is not None]
