"""The YAML files of the configuration, read so that no key stands twice."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wood.runtime.errors import InputError
from wood.runtime.yaml_files import read_yaml


def read_overlay(path: str | Path) -> dict[str, Any]:
    """Read a YAML file of the configuration.

    Raises:
        InputError: as `wood.runtime.yaml_files.read_yaml`, or it has no keys at all.
    """
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: a configuration has keys, this file has none.")
    return values


def read_overlays(paths: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Read the files of the configuration, and check that each says a key once.

    Raises:
        InputError: as `read_overlay`.
    """
    return [read_overlay(path) for path in paths]
