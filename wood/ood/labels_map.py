"""Which Open Images labels say that a foreground class is present (paper, Sec. 3.1)."""

import difflib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wood.data.tables import read_rows
from wood.runtime.errors import InputError
from wood.runtime.sentences import quoted
from wood.runtime.store import read_json
from wood.runtime.yaml_files import read_yaml

logger = logging.getLogger(__name__)

CLASS_MAP = Path(__file__).with_name("openimages_classes.yaml")
KEYS = {"labels", "parts", "finer", "prefixes", "except"}
# A Part of these counts as the thing itself: a human face is a person, a wheel is not a car.
WHOLE_IN_PARTS = ("/m/01g317", "/m/0jbk")  # Person, Animal


@dataclass(frozen=True)
class LabelNames:
    """The labels of Open Images: `names` maps an id ("/m/01yrx") to its name ("Cat")."""

    names: Mapping[str, str]
    path: Path
    _ids: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list), repr=False)

    def __post_init__(self) -> None:
        for label_id, name in self.names.items():
            self._ids[name.casefold()].append(label_id)

    def find(self, label: str) -> str:
        """Return the id of a label given by its name (in any case) or by its id.

        Raises:
            InputError: the name is unknown (the nearest ones are named), or stands for two labels.
        """
        if label in self.names:
            return label
        ids = self._ids.get(label.casefold(), [])
        exact = [label_id for label_id in ids if self.names[label_id] == label]
        if len(exact or ids) == 1:
            return (exact or ids)[0]
        if ids:
            raise InputError(
                f"{self.path}: the label {label!r} has {len(ids)} ids, {' and '.join(ids)}; "
                "name the one you mean by its id."
            )
        near = difflib.get_close_matches(label.casefold(), self._ids, n=3, cutoff=0.6)
        if not near:
            near = [name for name in self._ids if label.casefold() in name][:3]
        nearest = ", ".join(repr(self.names[self._ids[name][0]]) for name in near)
        raise InputError(
            f"{self.path}: there is no Open Images label {label!r}"
            + (f"; the nearest are {nearest}." if near else ".")
        )

    def starting_with(self, prefix: str) -> list[str]:
        """Return the ids of the labels named `prefix`, or `prefix` and more words, no bracket."""
        start = prefix.casefold()
        return [
            label_id
            for name, ids in self._ids.items()
            if name == start or (name.startswith(f"{start} ") and name[len(start) + 1] != "(")
            for label_id in ids
        ]


def read_label_names(path: str | Path) -> LabelNames:
    """Read oidv6- or oidv7-class-descriptions.csv: two columns, with or without a header row.

    Raises:
        InputError: the file is missing, not UTF-8, or not a table of label ids and names.
    """
    path = Path(path)
    names: dict[str, str] = {}
    first = True
    for number, row in read_rows(path, "class description file"):
        if len(row) != 2:
            raise InputError(
                f"{path}: row {number} has {len(row)} columns, not a label id and a name."
            )
        label_id, name = row
        if label_id.startswith("/"):
            if names.setdefault(label_id, name) != name:
                raise InputError(f"{path}: row {number} names the label {quoted(label_id)} again.")
        elif not first:
            raise InputError(f"{path}: row {number}: {quoted(label_id)} is not a label id.")
        first = False
    if not names:
        raise InputError(f"{path}: there is no label in the class description file.")
    return LabelNames(names, path)


class Hierarchy:
    """The tree of the 600 boxable classes; a label may stand in it at several places."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._children: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        self._add(root)

    def _add(self, node: Mapping[str, Any]) -> None:
        for relation in ("Subcategory", "Part"):
            for child in node.get(relation, []):
                self._children[node["LabelName"]][relation].add(child["LabelName"])
                self._add(child)

    def empty(self) -> bool:
        """Tell whether no label stands below another."""
        return not self._children

    def descendants(self, label_id: str, *, parts: bool) -> set[str]:
        """Return the ids below a label: Subcategory children, and Part children where asked."""
        relations = ("Subcategory", "Part") if parts else ("Subcategory",)
        found: set[str] = set()
        waiting = [label_id]
        while waiting:
            children = self._children.get(waiting.pop(), {})
            new = set().union(*(children.get(relation, set()) for relation in relations)) - found
            found |= new
            waiting.extend(new)
        return found - {label_id}

    def is_person_or_animal(self, label_id: str) -> bool:
        """Tell whether a label is Person, Animal, or a subcategory of one."""
        return any(
            label_id == whole or label_id in self.descendants(whole, parts=False)
            for whole in WHOLE_IN_PARTS
        )


def read_hierarchy(path: str | Path) -> Hierarchy:
    """Read bbox_labels_600_hierarchy.json.

    Raises:
        InputError: the file is missing, not JSON, or not a hierarchy of labels.
    """
    try:
        hierarchy = Hierarchy(read_json(path))
    except (KeyError, TypeError, AttributeError, RecursionError):
        hierarchy = None
    if hierarchy is None or hierarchy.empty():
        raise InputError(f"{path}: not a hierarchy of Open Images labels.")
    return hierarchy


def read_class_map(path: str | Path = CLASS_MAP) -> dict[str, dict[str, Any]]:
    """Read a YAML file that maps classes to Open Images labels.

    Raises:
        InputError: the file is missing, not YAML, or has an entry that cannot be understood.
    """
    entries = read_yaml(path, "class map")
    if not isinstance(entries, dict):
        raise InputError(f"{path}: not a map from classes to labels.")
    for name in entries:
        if not isinstance(name, str):
            raise InputError(f"{path}: the class {quoted(name)} is not text; write it in quotes.")
    return {name: _entry(name, entry, path) for name, entry in entries.items()}


def _entry(name: str, entry: Any, source: str | Path) -> dict[str, Any]:
    """Bring one class's entry (a label name, a list of them, or the full form) to the full form."""
    if isinstance(entry, str):
        entry = [entry]
    if isinstance(entry, list | tuple):
        entry = {"labels": list(entry)}
    if not isinstance(entry, Mapping) or not entry.get("labels"):
        raise InputError(f"{source}: the class {quoted(name)} names no Open Images label.")
    where = f"{source}: the class {quoted(name)}"
    unknown = sorted(map(str, set(entry) - KEYS))
    if unknown:
        raise InputError(f"{where} has the unknown key {quoted(unknown[0])}.")
    if not isinstance(entry.get("parts", True), bool):
        raise InputError(f"{where}: `parts` is true or false, not {quoted(entry['parts'])}.")
    for key in KEYS - {"parts"}:
        _check_names(entry.get(key) or [], f"{where}: `{key}`", key in ("labels", "finer"))
    return dict(entry)


def _check_names(value: Any, where: str, may_have_ids: bool) -> None:
    """Refuse what is no list of names (or, where `may_have_ids`, a mapping of names to their ids).

    Text alone would be taken letter by letter.
    """
    names = list(value.items()) if isinstance(value, Mapping) and may_have_ids else value
    if not isinstance(names, list | tuple):
        raise InputError(f"{where} is not a list of names, it is {quoted(value)}.")
    for entry in names:
        for text in entry if isinstance(value, Mapping) else [entry]:
            if not isinstance(text, str) or not text.strip():
                raise InputError(f"{where} holds {quoted(text)}, which is no name.")
        if not isinstance(value, Mapping) and names.count(entry) > 1:
            raise InputError(f"{where} names {quoted(entry)} twice.")


def class_entries(
    classes: Sequence[str], class_map: Mapping[str, Any] | str | Path | None = None
) -> dict[str, dict[str, Any]]:
    """Return the entries of the packaged class map with the user's over them, in the full form.

    Raises:
        InputError: as `read_class_map`, or the user's map misspells a class: it names one that is
            not among the classes, and lacks one of them.
    """
    entries = read_class_map()
    if class_map is None:
        return entries
    source = class_map if isinstance(class_map, str | Path) else "class_map"
    given = class_map if isinstance(class_map, Mapping) else read_class_map(class_map)
    entries |= {name: _entry(name, entry, source) for name, entry in given.items()}
    others = [name for name in given if name not in classes]
    lacking = [name for name in classes if name not in entries]
    if others and lacking:
        raise InputError(
            f"{source}: it names {quoted(others[0])}, which is not one of the classes, and no "
            f"labels of the class {quoted(lacking[0])}."
        )
    return entries


def foreground_labels(
    classes: Sequence[str],
    names: LabelNames,
    hierarchy: Hierarchy,
    class_map: Mapping[str, Any] | str | Path | None = None,
) -> dict[str, str]:
    """Return the ids of all labels that say "a foreground object is here", each with its class.

    Args:
        classes: the foreground classes.
        names: the labels of the class description file.
        hierarchy: the tree of boxable classes.
        class_map: a YAML file, or a dict from class to a label name, a list of them, or the full
            form of `openimages_classes.yaml`, whose 20 Pascal classes are always known; a class in
            neither is itself an Open Images label.

    Raises:
        InputError: as `class_entries`, or a label is unknown, has two ids, or is not in this class
            description file.
    """
    entries = class_entries(classes, class_map)
    found: dict[str, str] = {}
    for name in classes:
        entry = entries.get(name) or {"labels": [name]}
        for label_id in _labels_of_class(name, entry, names, hierarchy):
            found.setdefault(label_id, name)
    return found


def _labels_of_class(
    name: str, entry: Mapping[str, Any], names: LabelNames, hierarchy: Hierarchy
) -> Iterable[str]:
    found = set(_known_ids(name, entry["labels"], names))
    for label_id in list(found):
        parts = entry.get("parts", hierarchy.is_person_or_animal(label_id))
        found |= hierarchy.descendants(label_id, parts=parts)
    finer = entry.get("finer") or []
    if isinstance(finer, Mapping):
        # A description file of a part of the data set has fewer labels; absent ones label nothing.
        absent = [label for label, label_id in finer.items() if label_id not in names.names]
        if absent:
            logger.info("%s: %d finer labels of %s are absent", names.path, len(absent), name)
        found |= set(finer.values())
    else:
        found |= {names.find(label) for label in finer}
    excepted = {label.casefold() for label in entry.get("except") or []}
    for prefix in entry.get("prefixes") or []:
        found |= {
            label_id
            for label_id in names.starting_with(prefix)
            if names.names[label_id].casefold() not in excepted
        }
    return sorted(found)


def _known_ids(
    name: str, labels: Mapping[str, str] | Sequence[str], names: LabelNames
) -> list[str]:
    if not isinstance(labels, Mapping):
        return [names.find(label) for label in labels]
    for label, label_id in labels.items():
        if label_id not in names.names:
            raise InputError(
                f"{names.path}: the label {label!r} ({label_id}) of the class {name!r} is not in "
                "the class description file; is it of another version?"
            )
    return list(labels.values())
