"""The configuration: checked before anything runs; classifiers and experiments resolved.

A classifier or experiment is named as what it overrides of a base, so that an ablation is one
line; its resolved parameters are what its rules depend on.
"""

import copy
import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from wood.report import figure5
from wood.report.membership import full_rows
from wood.runtime.errors import InputError
from wood.runtime.knobs import without_knobs
from wood.seeds.methods import METHODS

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"

STAGES = ("seeds", "pseudo_masks", "segmentation")

Tree = Mapping[str, Any]


def merge(base: Tree, override: Tree) -> dict[str, Any]:
    """Return `base` with the entries of `override` put over it, mappings entry by entry."""
    merged = copy.deepcopy(dict(base))
    for key, value in override.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


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


def sort_keys(config: dict[str, Any]) -> None:
    """Put the keys of a configuration, and of all in it, in alphabetical order, in place.

    Snakemake leaves them in the order of the overlays, and compares parameters as they are
    written: without this, a value that is given once more would rerun what depends on it. The
    order of classifiers, localizations and experiments is the user's, and stays.
    """
    for key in sorted(config):
        value = config[key] = config.pop(key)
        if key in ("classifiers", "localizations", "experiments"):
            for entry in value.values():
                _sort_entry(entry)
        else:
            _sort_entry(value)


def _sort_entry(value: Any) -> None:
    if isinstance(value, dict):
        sort_keys(value)


def check(config: Tree) -> None:
    """Check a configuration against the schema and against itself.

    Raises:
        InputError: names the key and what is wrong with it.
    """
    _check_renamed(config)
    schema = yaml.safe_load(SCHEMA.read_text())
    _check_schema(config, schema)
    _check_localizations(config)
    _check_complete(config, schema, schema["$defs"], "")
    _check_names(config)
    _check_figures(config)
    if figure5.runs(config["figure5"]):
        _check_names(expanded(config))
    _check_data(config)


def expanded(config: Tree) -> dict[str, Any]:
    """Return the configuration with the classifiers and experiments of Fig. 5 by their names.

    Twice is the same as once.
    """
    section = config["figure5"]
    if not figure5.runs(section):
        return dict(config)
    baseline, wood = (
        experiment(config, section[role])["classifier"] for role in ("baseline", "wood")
    )
    clusters = classifier(config, wood)["wood"]["clusters"]
    classifiers, experiments = figure5.classifiers_and_experiments(
        section, baseline, wood, clusters
    )
    return {
        **config,
        "classifiers": {**config["classifiers"], **classifiers},
        "experiments": {**config["experiments"], **experiments},
    }


def classifier(config: Tree, name: str) -> dict[str, Any]:
    """Return a classifier's resolved parameters; `wood` is a dictionary or None.

    Over `classifier` come, for each classifier that this one is `like` and at last for itself, the
    preset that it names and what it says itself; over `wood` comes what these have below `wood`.

    Raises:
        InputError: there is no preset of this name, or no classifier that it is `like`.
    """
    resolved = merge(config["classifier"], {})
    for link in _like(config, name):
        own = config["classifiers"][link]
        resolved = merge(merge(resolved, _preset(config, link)), own)
    for how_it_is_written in ("like", "preset"):
        resolved.pop(how_it_is_written, None)
    if resolved["wood"] == "none":
        resolved["wood"] = None
    elif resolved["wood"] is not None:
        resolved["wood"] = merge(config["wood"], resolved["wood"])
    return resolved


def basis(config: Tree, name: str) -> list[str]:
    """Return words on what the row of an experiment rests on, for the report's tables.

    The presets of its classifier, and a threshold that is not a number of the configuration.
    """
    chosen = experiment(config, name)
    links = _like(config, chosen["classifier"])
    presets = dict.fromkeys(config["classifiers"][link].get("preset") for link in links)
    words = [f"preset {preset}" for preset in presets if preset is not None]
    if isinstance(chosen["threshold"], str):
        words.append(f"threshold {chosen['threshold']}")
    return words


def _preset(config: Tree, name: str) -> Tree:
    preset = config["classifiers"][name].get("preset")
    if preset is None:
        return {}
    if preset not in _present(config["presets"]):
        raise InputError(
            f"Configuration: classifiers.{name}.preset is {preset!r}, which is not one of the "
            f"presets ({', '.join(_present(config['presets']))})."
        )
    return config["presets"][preset]


def _like(config: Tree, name: str) -> list[str]:
    """The classifiers that a classifier is like, the first of them first, and itself."""
    chain = [name]
    while (other := config["classifiers"][chain[0]].get("like")) is not None:
        if other not in _present(config["classifiers"]) or other in chain:
            raise InputError(
                f"Configuration: classifiers.{chain[0]}.like is {other!r}, which is not another "
                "of the classifiers."
            )
        chain.insert(0, other)
    return chain


def experiment(config: Tree, name: str) -> dict[str, Any]:
    """Return an experiment's resolved parameters."""
    return merge(config["experiment"], config["experiments"][name] or {})


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
    return json.dumps(made_from, sort_keys=True, default=str)


def experiments(config: Tree, stage: str) -> list[str]:
    """Return the names of the experiments that run at least to `stage`."""
    needed = STAGES.index(stage)
    return [
        name
        for name in _present(config["experiments"])
        if STAGES.index(_last_stage(config, name)) >= needed
    ]


def _last_stage(config: Tree, name: str) -> str:
    return {**config["experiment"], **(config["experiments"][name] or {})}["until"]


def needed_hard_ood(config: Tree) -> int:
    """Return how many hard OoD images the classifiers need at least: one per cluster, a batch."""
    needed = [1]
    for name in _present(config["classifiers"]):
        settings = classifier(config, name)
        if settings["wood"]:
            needed.append(settings["wood"]["batch_size"])
        if uses_distance(settings) and settings["wood"]["grouping"] == "kmeans":
            needed.append(settings["wood"]["clusters"])
    return max(needed)


def uses_distance(settings: Tree) -> bool:
    """Return whether a classifier's losses need centres (Eq. 2)."""
    return bool(settings["wood"]) and any(
        loss.startswith("dist_") for loss in settings["wood"]["losses"]
    )


def ood_images(settings: Tree) -> str | None:
    """Return which OoD images a classifier takes: hard, random or unreviewed; None without."""
    return settings["wood"]["images"] if settings["wood"] else None


def check_files(config: Tree) -> None:
    """Check that the data that the configuration names is there, before anything runs.

    Raises:
        InputError: names the folder or file and its key.
    """
    from wood.data.voc import check_devkit

    data = config["data"]
    if data["source"] == "voc":
        check_devkit(data["voc_root"])
        for role in ("train", "evaluation", "val", "test"):
            _check_image_set(data, role)
    for key, place in named_inputs(config).items():
        if not Path(place).exists():
            raise InputError(f"Configuration: {key} is {place}, which does not exist.")


def named_inputs(config: Tree) -> dict[str, str]:
    """Return the files and folders that the configuration names and a run reads, by their keys."""
    data, ood = config["data"], config["ood"]
    places = {
        "data.labels_csv": data["labels_csv"] if data["source"] == "csv" else None,
        "data.images": data["images"] if data["source"] == "csv" else None,
        "data.masks": data["masks"],
        "data.sbd_root": data["sbd_root"],
        "ood.list": ood["list"] if ood["source"] == "list" else None,
        "ood.images": ood["images"] if ood["source"] == "list" else None,
        "ood.openimages.class_map": ood["openimages"]["class_map"],
    }
    for name in _present(config["classifiers"]):
        places[f"classifiers.{name}.published"] = classifier(config, name)["published"]
    if ood["source"] == "openimages" and ood["review"]["policy"] == "truth":
        places["ood.review.truth"] = ood["review"]["truth"]
    base = ood["openimages"]["base"]
    if ood["source"] == "openimages" and base and "://" not in base:
        places["ood.openimages.base"] = base
    if data["source"] == "voc":
        places["data.voc_root"] = data["voc_root"]
    return {key: place for key, place in places.items() if isinstance(place, str)}


def _check_image_set(data: Tree, role: str) -> None:
    path = Path(data["voc_root"]) / "ImageSets" / "Segmentation" / f"{data[role]}.txt"
    derived = data[role] == "train_aug" and data["sbd_root"] is not None
    if data[role] is not None and not derived and not path.is_file():
        hint = " (data.sbd_root: SBD, from which it can be derived)" * (data[role] == "train_aug")
        raise InputError(
            f"Configuration: data.{role} is {data[role]}, but there is no {path}{hint}."
        )


def has_masks(config: Tree) -> bool:
    """Return whether there are pixel masks to score against; without, evaluation drops out."""
    data = config["data"]
    if data["source"] == "csv" or data["evaluation"] is None:
        return False
    if data["source"] == "demo" or data["masks"] is not None:
        return True
    return (Path(data["voc_root"]) / "SegmentationClass").is_dir()


def data_set_classes(config: Tree) -> list[str]:
    """Return the full class list of the devkit, in the order of its mask indices."""
    from wood.data.masks import VOC_CLASSES

    return list(config["data"]["all_classes"] or VOC_CLASSES)


def _present(named: Tree) -> list[str]:
    """An overlay drops a name by setting it to null."""
    return [name for name, value in named.items() if value is not None]


def _check_renamed(config: Tree) -> None:
    """Name the new key where an old one stands."""
    places = [("", config, "wood_presets", "presets.<name>.wood")]
    places += [("wood.", config.get("wood"), "preset", "classifiers.<name>.preset")]
    named = {"classifier": config.get("classifier")}
    for name, own in (config.get("classifiers") or {}).items():
        named[f"classifiers.{name}"] = own
    for where, own in named.items():
        inner = own.get("wood") if isinstance(own, Mapping) else None
        places += [(f"{where}.", own, "ood", f"{where}.wood")]
        places += [(f"{where}.wood.", inner, "preset", f"{where}.preset")]
    for prefix, part, old, new in places:
        if isinstance(part, Mapping) and old in part:
            raise InputError(f"Configuration: {prefix}{old} is now called {new}.")
    for key in ("like", "preset"):
        if isinstance(named["classifier"], Mapping) and named["classifier"].get(key) is not None:
            raise InputError(
                f"Configuration: classifier.{key} is the base's and stays null; "
                f"it is for one of the classifiers (classifiers.<name>.{key})."
            )


def _check_schema(config: Tree, schema: Tree, prefix: Sequence[str] = ()) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(config))
    if error is None:
        return
    key = ".".join([*prefix, *(str(part) for part in error.absolute_path)])
    where = f"Configuration: {key}" if key else "Configuration"
    if error.validator == "additionalProperties":
        known = list(error.schema["properties"])
        unknown = next(name for name in error.instance if name not in known)
        near = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f" (known: {', '.join(known)})."
        full = f"{key}.{unknown}" if key else unknown
        raise InputError(f"Configuration: {full} is not a known key{hint}")
    raise InputError(f"{where}: {error.message}.")


def _check_localizations(config: Tree) -> None:
    """Every localization has a known method, with the settings of that method and no others."""
    for name in _present(config["localizations"]):
        chosen = config["localizations"][name]
        if chosen["method"] not in METHODS:
            raise InputError(
                f"Configuration: localizations.{name}.method is {chosen['method']!r}, which is not "
                f"one of {', '.join(METHODS)}."
            )
        _check_schema(chosen, METHODS[chosen["method"]].schema(), ("localizations", name))


def _check_complete(config: Tree, schema: Tree, definitions: Tree, prefix: str) -> None:
    """Every key that the schema names has a value once the overlays are merged."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
    for key, part in schema.get("properties", {}).items():
        if key not in config:
            raise InputError(f"Configuration: {prefix}{key} is missing.")
        if isinstance(config[key], Mapping):
            _check_complete(config[key], part, definitions, f"{prefix}{key}.")


def _check_classifier(config: Tree, name: str) -> None:
    seen = [name]
    while (parent := classifier(config, seen[-1])["init"]) is not None:
        if parent not in _present(config["classifiers"]):
            raise InputError(
                f"Configuration: classifiers.{seen[-1]}.init is {parent!r}, "
                "which is not one of the classifiers."
            )
        if parent in seen:
            raise InputError(f"Configuration: classifiers.{name}.init leads back to itself.")
        seen.append(parent)
    settings = classifier(config, name)
    if settings["init"] is not None:
        _check_same_network(config, name, settings["init"])
    if settings["published"] is not None and (settings["init"] or settings["wood"]):
        raise InputError(
            f"Configuration: classifiers.{name} is `published`, so it takes no `init`, no `wood`."
        )
    if settings["wood"] and config["ood"]["source"] == "none":
        raise InputError(
            f"Configuration: classifiers.{name} uses OoD images, but ood.source is none."
        )
    if uses_distance(settings) and settings["init"] is None:
        raise InputError(
            f"Configuration: classifiers.{name} has a distance loss, so it needs `init`, the "
            "classifier whose features give the centres."
        )
    _check_parts(config, name, settings)


def _check_names(config: Tree) -> None:
    """Check every classifier, and that every experiment names what there is and what fits."""
    names = _present(config["classifiers"])
    for name in names:
        _check_classifier(config, name)
    for name in _present(config["experiments"]):
        settings = experiment(config, name)
        full_rows(f"Configuration: experiments.{name}.paper", settings["paper"])
        for key, known in (
            ("classifier", names),
            ("localization", _present(config["localizations"])),
        ):
            if settings[key] not in known:
                raise InputError(
                    f"Configuration: experiments.{name}.{key} is {settings[key]!r}, which is not "
                    f"one of the {key}s ({', '.join(known)})."
                )
        architecture = classifier(config, settings["classifier"])["architecture"]
        method = METHODS[config["localizations"][settings["localization"]]["method"]]
        if architecture not in method.architectures:
            raise InputError(
                f"Configuration: experiments.{name} takes {method.title} of a classifier of "
                f"architecture {architecture!r}; it is for {', '.join(method.architectures)} only."
            )


def _check_figures(config: Tree) -> None:
    """Fig. 5 and 7: experiments and classes that there are, and numbers that leave some images."""
    section = config["figure5"]
    pair = config["figure7"]["classes"] or []
    unknown = [name for name in pair if name not in config["classes"]]
    if unknown:
        raise InputError(
            f"Configuration: figure7.classes names {unknown[0]!r}, which is not one of the classes."
        )
    if not figure5.runs(section):
        return
    for role in ("baseline", "wood"):
        name = section[role]
        if name not in _present(config["experiments"]):
            raise InputError(
                f"Configuration: figure5.{role} is {name!r}, which is not one of the experiments."
            )
        trained = experiment(config, name)["classifier"]
        if bool(classifier(config, trained)["wood"]) != (role == "wood"):
            raise InputError(
                f"Configuration: figure5.{role} is {name!r}, whose classifier {trained!r} is "
                f"trained {'without' if role == 'wood' else 'with'} OoD images."
            )
    if section["total"] is not None and section["ood"] and section["total"] <= max(section["ood"]):
        raise InputError(
            f"Configuration: figure5.total is {section['total']}, which leaves no image of D_in "
            f"beside {max(section['ood'])} of D_ood (figure5.ood)."
        )


def _check_parts(config: Tree, name: str, settings: Tree) -> None:
    """The images of a classifier: those of its `init`, enough for K, and of a kind that exists."""
    parent, data, wood = settings["init"], settings["data"], settings["wood"]
    if parent is not None:
        before = classifier(config, parent)["data"]
        seeds_differ = data["in"] is not None and before["subset_seed"] != data["subset_seed"]
        if before["in"] != data["in"] or seeds_differ:
            raise InputError(
                f"Configuration: classifiers.{name}.data.in is not that of its init {parent!r}, "
                "which would have seen other images; give both the same data.in and subset_seed."
            )
    if not wood:
        return
    if wood["target"] == "background" and settings["architecture"] != "cam":
        raise InputError(
            f"Configuration: classifiers.{name}.wood.target is background, which is for the "
            f"architecture cam, not {settings['architecture']}."
        )
    clustered = uses_distance(settings) and wood["grouping"] == "kmeans"
    if clustered and data["ood"] is not None and data["ood"] < wood["clusters"]:
        raise InputError(
            f"Configuration: classifiers.{name}.data.ood is {data['ood']}, fewer images than "
            f"the {wood['clusters']} clusters (wood.clusters)."
        )
    if wood["images"] != "hard" and config["ood"]["source"] != "openimages":
        raise InputError(
            f"Configuration: classifiers.{name}.wood.images is {wood['images']}, but ood.source is "
            f"{config['ood']['source']}: there are no candidates to take."
        )
    named = [("wood", config["wood"])] + [
        (f"classifiers.{link}.wood", config["classifiers"][link].get("wood") or {})
        for link in _like(config, name)
    ]
    for where, own in named:
        unknown = [] if own == "none" else own.get("leave_out", [])
        unknown = [name for name in unknown if name not in config["classes"]]
        if unknown:
            raise InputError(
                f"Configuration: {where}.leave_out names {unknown[0]!r}, which is not one of the "
                "classes."
            )


def _check_same_network(config: Tree, name: str, parent: str) -> None:
    settings, started = classifier(config, name), classifier(config, parent)
    for key in ("architecture", "backbone", "output_stride", "detach_stages"):
        if settings[key] != started[key]:
            raise InputError(
                f"Configuration: classifiers.{name}.{key} is {settings[key]!r}, but that of "
                f"{parent}, which it starts from, is {started[key]!r}."
            )


def _check_data(config: Tree) -> None:
    from wood.data.masks import VOC_CLASSES

    data, ood = config["data"], config["ood"]
    if data["test"] is not None and data["source"] != "voc":
        raise InputError("Configuration: data.test is an image set of a devkit (data.source: voc).")
    if data["test"] is not None and tuple(config["classes"]) != VOC_CLASSES:
        raise InputError(
            "Configuration: data.test is for VOC's evaluation server, which takes masks of VOC's "
            "20 classes only, in their order (classes)."
        )
    needed = {
        "voc": [("data.voc_root", data["voc_root"])],
        "csv": [("data.labels_csv", data["labels_csv"]), ("data.images", data["images"])],
        "demo": [],
    }[data["source"]]
    if ood["source"] == "list":
        needed += [("ood.list", ood["list"]), ("ood.images", ood["images"])]
    if ood["source"] == "openimages" and data["source"] != "demo":
        needed += [("ood.openimages.base", ood["openimages"]["base"])]
    for key, value in needed:
        if value is None:
            raise InputError(f"Configuration: {key} is needed with this source, and is null.")
    if ood["source"] != "none":
        scoring = ood["classifier"]
        if scoring not in _present(config["classifiers"]):
            raise InputError(
                f"Configuration: ood.classifier is {scoring!r}, which is not one of the "
                "classifiers."
            )
        if classifier(config, scoring)["wood"]:
            raise InputError(
                f"Configuration: ood.classifier is {scoring!r}, which itself needs OoD images."
            )
    if isinstance(ood["threshold"], Mapping):
        unknown = [name for name in ood["threshold"] if name not in config["classes"]]
        if unknown:
            raise InputError(
                f"Configuration: ood.threshold names {unknown[0]!r}, which is not one of the "
                "classes."
            )
