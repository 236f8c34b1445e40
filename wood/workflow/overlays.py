"""The YAML files of the configuration, read so that no key stands twice."""

from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml

from wood.runtime.errors import InputError

MERGE = "tag:yaml.org,2002:merge"


class _UniqueKeys(yaml.SafeLoader):
    """Reads YAML and refuses a key that stands twice, of which it would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, int] = {}
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == MERGE or not isinstance(key_node, yaml.ScalarNode):
                continue
            if key_node.value in seen:
                raise InputError(
                    f"{self.name}: line {line} has the key {key_node.value!r} a second time, after "
                    f"line {seen[key_node.value]}."
                )
            seen[key_node.value] = line
        return super().construct_mapping(node, deep)


def read_overlay(path: str | Path) -> dict[str, Any]:
    """Read a YAML file of the configuration.

    Raises:
        InputError: there is no such file, it is no YAML, has a key twice, or no keys at all.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            values = yaml.load(file, _UniqueKeys)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: a configuration has keys, this file has none.")
    return values


def check_overlays(paths: Iterable[str | Path]) -> None:
    """Check that each file of the configuration can be read, and says each key once."""
    for path in paths:
        read_overlay(path)
