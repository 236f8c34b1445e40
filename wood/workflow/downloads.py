"""What a run fetches: data sets and weights that its configuration names and that are not there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wood.data import fetch
from wood.runtime.download import file_name
from wood.workflow import resolve as settings
from wood.workflow.resolve import Tree

# Where weights go that a configuration names by their address.
WEIGHTS = "data/weights"


@dataclass(frozen=True)
class Download:
    """One file or folder to fetch.

    Attributes:
        key: of the configuration, which names it.
        path: where it goes.
        addresses: asked in turn.
        checksum: of the file or archive, or None.
        gigabytes: to come, or None if nobody has said.
    """

    key: str
    path: str
    addresses: tuple[str, ...]
    checksum: str | None = None
    gigabytes: float | None = None


@dataclass
class Downloads:
    """What is not there: the devkit, SBD, and weights by their paths."""

    voc: Download | None = None
    sbd: Download | None = None
    weights: dict[str, Download] = field(default_factory=dict)

    def all(self) -> list[Download]:
        """Return them in the order in which they are fetched."""
        return [found for found in (self.voc, self.sbd) if found] + list(self.weights.values())


def downloads(config: Tree) -> Downloads:
    """Return what a run fetches: what is not there and has an address."""
    found = Downloads()
    data, known = config["data"], config["downloads"]
    if data["source"] == "voc":
        found.voc = _missing_folder(known["voc2012"], "data.voc_root", data["voc_root"])
        found.sbd = _missing_folder(known["sbd"], "data.sbd_root", data["sbd_root"])
    for path, key in named_weights(config).items():
        entry = _weights_entry(config, path)
        if entry and entry["addresses"] and not Path(path).exists():
            found.weights[path] = _download(key, path, entry)
    return found


def weights_file(value: str | None) -> str | None:
    """Return the file of what a configuration has as `weights`; None for none, or the package's."""
    if value is None or value == "package":
        return None
    return f"{WEIGHTS}/{file_name(value)}" if "://" in value else value


def named_weights(config: Tree) -> dict[str, str]:
    """Return the weights files that a run reads, each with the first key that names it."""
    found: dict[str, str] = {}

    def add(key: str, value: str | None) -> None:
        if (path := weights_file(value)) is not None:
            found.setdefault(path, key)

    for name in settings.trained(config):
        chosen = settings.classifier(config, name)
        if chosen["init"] is None and chosen["published"] is None:
            add(f"classifiers.{name}.weights", chosen["weights"])
    for name in settings.experiments(config, "pseudo_masks"):
        chosen = settings.experiment(config, name)
        add(f"experiments.{name}.pseudo.irnet.weights", chosen["pseudo"]["irnet"]["weights"])
    for name in settings.experiments(config, "segmentation"):
        chosen = settings.experiment(config, name)
        add(f"experiments.{name}.segmentation.weights", chosen["segmentation"]["weights"])
    return found


def weights_problems(config: Tree) -> Iterator[str]:
    """Yield a sentence for each weights file that is missing and has no address."""
    for path, key in named_weights(config).items():
        entry = _weights_entry(config, path)
        if not Path(path).is_file() and not (entry and entry["addresses"]):
            yield (
                f"Configuration: {key} is {path}, which does not exist, and downloads.weights has "
                f"no address for {Path(path).name}."
            )


def _weights_entry(config: Tree, path: str) -> Tree | None:
    """What is known of a weights file by its name; an address in its place is its own entry."""
    for entry in config["downloads"]["weights"].values():
        if entry and entry["file"] == Path(path).name:
            return entry
    for value in _weights_values(config):
        if "://" in value and weights_file(value) == path:
            return {"addresses": [value], "checksum": None, "gigabytes": None}
    return None


def _weights_values(tree: Tree) -> list[str]:
    found = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found += _weights_values(value)
        elif key == "weights" and isinstance(value, str):
            found.append(value)
    return found


def _missing_folder(entry: Tree, key: str, folder: str | None) -> Download | None:
    if folder is None or not entry["addresses"] or not fetch.is_absent(folder):
        return None
    return _download(key, folder, entry)


def _download(key: str, path: str, entry: Tree) -> Download:
    return Download(key, path, tuple(entry["addresses"]), entry["checksum"], entry["gigabytes"])
