"""YAML files that a person writes: plain values only, no key twice, and bounded."""

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from wood.runtime.errors import InputError
from wood.runtime.sentences import quoted, reason

MAX_BYTES = 10_000_000
MAX_NODES = 1_000_000  # with what aliases repeat


class _Loader(yaml.SafeLoader):
    """The safe loader, which refuses a key that a mapping has twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        # Before `<<` is replaced by what it merges: there a key of one's own comes over another's.
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise _Refused(f"line {line}: a key is a name, not a list or a mapping")
            if key in lines:
                raise _Refused(f"line {line}: the key {quoted(key)} is in line {lines[key]} too")
            lines[key] = line
        return super().construct_mapping(node, deep)


class _Refused(Exception):
    """What is wrong, without the file."""


def parse_yaml(text: str, source: str | Path) -> Any:
    """Return the value of a YAML text that the sentence calls `source`.

    Raises:
        InputError: it is no YAML, makes other objects than plain values, has a key twice, is nested
            too deeply, or has more than `MAX_NODES` values once its aliases are followed.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            return None
        if _size(node, {}) > MAX_NODES:
            raise InputError(f"{source}: more than {MAX_NODES} values.")
        loader = _Loader("")
        try:
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except _Refused as error:
        raise InputError(f"{source}: {error}.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise InputError(f"{source}: {line}not YAML ({error.problem or error.context}).") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source}: not a YAML file ({reason(error)}).") from None
    except RecursionError:
        raise InputError(f"{source}: its values are nested too deeply.") from None


def read_yaml(path: str | Path, what: str = "file") -> Any:
    """Return the value of a YAML file.

    Args:
        path: the file, in UTF-8, of at most `MAX_BYTES`.
        what: what the sentence about a missing file calls it.

    Raises:
        InputError: the file is missing or too large, is not UTF-8, or as `parse_yaml`.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: more than the {MAX_BYTES} bytes allowed.")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such {what}.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder, not a {what}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a YAML file (not UTF-8 text).") from None
    return parse_yaml(text, path)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the values in a node; one that holds itself has more than any bound."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MAX_NODES + 1
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]
