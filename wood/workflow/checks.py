"""The configuration is checked before anything runs, against its schema and against itself."""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from wood.models.architectures import ARCHITECTURES
from wood.report.membership import full_rows
from wood.runtime.errors import InputError
from wood.seeds.methods import METHODS
from wood.workflow import figure5
from wood.workflow.data_checks import check_data
from wood.workflow.grids import expanded, with_items
from wood.workflow.pipeline import pipeline_file
from wood.workflow.resolve import (
    Tree,
    classifier,
    experiment,
    likes,
    present,
    threshold_baseline,
    uses_distance,
)

SCHEMA = "schemas/config.schema.yaml"


def check(config: Tree) -> None:
    """Check a configuration against the schema and against itself.

    Raises:
        InputError: names the key and what is wrong with it.
    """
    if not isinstance(config, Mapping):
        raise InputError(f"Configuration: it is {config!r}, not a list of keys with values.")
    _check_renamed(config)
    _check_finite(config)
    schema = yaml.safe_load(pipeline_file(SCHEMA).read_text())
    _check_schema(config, schema)
    _check_localizations(config)
    _check_complete(config, schema, schema["$defs"], "")
    config = with_items(config)
    _check_figures(config)
    whole = expanded(config)
    if whole != config:
        _check_renamed(whole)
        _check_finite(whole)
        _check_schema(whole, schema)
    _check_names(whole)
    _check_families(whole)
    _check_gpus(whole)
    _check_scales(whole)
    check_data(whole)


def _check_renamed(config: Tree) -> None:
    """Name the new key where an old one stands."""
    places = [("", config, "wood_presets", "presets.<name>.wood")]
    places += [("wood.", config.get("wood"), "preset", "classifiers.<name>.preset")]
    named = {"classifier": config.get("classifier")}
    classifiers = config.get("classifiers")
    if isinstance(classifiers, Mapping):
        named |= {f"classifiers.{name}": own for name, own in classifiers.items()}
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


def _check_finite(value: Any, key: str = "") -> None:
    """No number is infinite or none, which YAML can say (.inf, .nan)."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"Configuration: {key} is {value}, which is no finite number.")
    if isinstance(value, Mapping):
        for name, part in value.items():
            _check_finite(part, f"{key}.{name}" if key else str(name))
    if isinstance(value, list):
        for part in value:
            _check_finite(part, key)


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
    for name in present(config["localizations"]):
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
        if parent not in present(config["classifiers"]):
            raise InputError(
                f"Configuration: classifiers.{seen[-1]}.init is {parent!r}, "
                "which is not one of the classifiers."
            )
        if parent in seen:
            raise InputError(f"Configuration: classifiers.{name}.init leads back to itself.")
        seen.append(parent)
    settings = classifier(config, name)
    if settings["architecture"] not in ARCHITECTURES:
        raise InputError(
            f"Configuration: classifiers.{name}.architecture is {settings['architecture']!r}, "
            f"which is not one of {', '.join(ARCHITECTURES)}."
        )
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
    names = present(config["classifiers"])
    for name in names:
        _check_classifier(config, name)
    for name in present(config["experiments"]):
        settings = experiment(config, name)
        for key, known in (
            ("classifier", names),
            ("localization", present(config["localizations"])),
        ):
            if settings[key] not in known:
                raise InputError(
                    f"Configuration: experiments.{name}.{key} is {settings[key]!r}, which is not "
                    f"one of the {key}s ({', '.join(known)})."
                )
        architecture = classifier(config, settings["classifier"])["architecture"]
        method = METHODS[config["localizations"][settings["localization"]]["method"]]
        if method.architectures and architecture not in method.architectures:
            raise InputError(
                f"Configuration: experiments.{name} takes {method.title} of a classifier of "
                f"architecture {architecture!r}; it is for {', '.join(method.architectures)} only."
            )


def _check_families(config: Tree) -> None:
    """Rows that the paper has, one baseline and control a family, a baseline for a threshold."""
    members: dict[tuple[str, str], str] = {}
    for name in present(config["experiments"]):
        settings = experiment(config, name)
        full_rows(f"Configuration: experiments.{name}.paper", settings["paper"])
        if settings["role"] in ("baseline", "control"):
            other = members.setdefault((settings["family"], settings["role"]), name)
            if other != name:
                raise InputError(
                    f"Configuration: experiments.{name} is a second {settings['role']} of the "
                    f"family {settings['family']!r}, beside {other}."
                )
        threshold_baseline(config, name)
        sweep = settings["published_sweep"]
        if sweep is not None and sweep[0] > sweep[1]:
            raise InputError(
                f"Configuration: experiments.{name}.published_sweep is {sweep}, from high to low."
            )


def _check_gpus(config: Tree) -> None:
    """Every process of a training takes an equal part of its batches."""
    count = 1 if config["gpus"] == "auto" else config["gpus"]
    batches = {}
    for name in present(config["classifiers"]):
        settings = classifier(config, name)
        batches[f"classifiers.{name}.training.batch_size"] = settings["training"]["batch_size"]
        if settings["wood"]:
            batches[f"classifiers.{name}.wood.batch_size"] = settings["wood"]["batch_size"]
    for name in present(config["experiments"]):
        settings = experiment(config, name)
        for key, part in (
            ("pseudo.irnet", settings["pseudo"]["irnet"]),
            ("segmentation", settings["segmentation"]),
        ):
            batches[f"experiments.{name}.{key}.training.batch_size"] = part["training"][
                "batch_size"
            ]
        batches[f"experiments.{name}.segmentation.ood.batch_size"] = settings["segmentation"][
            "ood"
        ]["batch_size"]
    for key, size in batches.items():
        if count > 1 and size % count:
            raise InputError(
                f"Configuration: {key} is {size}, which does not divide by the {count} GPUs (gpus)."
            )


def _check_scales(config: Tree) -> None:
    """The steps of a segmentation network's random scale lead from its lowest to its highest."""
    for name in present(config["experiments"]):
        network = experiment(config, name)["segmentation"]
        low, high = network["scale"]
        steps = (high - low) / (network["scale_step"] or 1)
        if network["scale_step"] is not None and abs(steps - round(steps)) > 1e-6:
            raise InputError(
                f"Configuration: experiments.{name}.segmentation.scale_step is "
                f"{network['scale_step']}, which does not lead from {low} to {high} (scale)."
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
    if not figure5.asked_for(config):
        return
    for role in ("baseline", "wood"):
        name = section[role]
        if name not in present(config["experiments"]):
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
    architecture = ARCHITECTURES[settings["architecture"]]
    if wood["target"] == "background" and not architecture.background_class:
        able = [known for known, other in ARCHITECTURES.items() if other.background_class]
        raise InputError(
            f"Configuration: classifiers.{name}.wood.target is background, which is for the "
            f"architecture {', '.join(able)}, not {settings['architecture']}."
        )
    if wood["position_weight"] and (wood["target"] != "zeros" or "cls_ood" not in wood["losses"]):
        raise InputError(
            f"Configuration: classifiers.{name}.wood.position_weight tells OoD images at every "
            "position that no class is there, so it needs the loss cls_ood and the target zeros."
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
        for link in likes(config, name)
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
