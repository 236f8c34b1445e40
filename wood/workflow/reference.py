"""The reference page of the configuration, made from the comments of config.yaml and the schema.

python -m wood.workflow.reference > docs/configuration.md
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from typing import Any

import yaml

from wood.workflow.checks import SCHEMA
from wood.workflow.pipeline import pipeline_file

HEAD = """# Configuration

This page lists every key of `config.yaml` with its default, its possible values and its meaning.
An overlay (`--configfile`) names only the keys that it changes; if there are several, a later one
takes precedence. This page is made from the comments of `config.yaml` and from
`schemas/config.schema.yaml` by
`python -m wood.workflow.reference > docs/configuration.md`.
"""

WHOLE = "The whole run"
LONG = 20  # rows, from which a table is folded


@dataclass(frozen=True)
class Key:
    """One key of config.yaml: its path, and the comment above it."""

    path: tuple[str, ...]
    comment: str


def keys(text: str) -> Iterator[Key]:
    """Each key of a YAML file in block style, with the comment lines right above it."""
    path: list[str] = []
    comment: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        depth = (len(line) - len(line.lstrip())) // 2
        found = re.match(r"([\w.\"-]+):(?: (.*))?$", stripped)
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
        elif found and depth <= len(path):
            path = [*path[:depth], found[1].strip('"')]
            yield Key(tuple(path), " ".join(comment))
            comment = []
        else:
            comment = []


def allowed(schema: Mapping[str, Any], path: tuple[str, ...]) -> str:
    """Return in words what the schema lets a key be; nothing where it is a group of keys."""
    part: Any = schema
    for name in path:
        part = _resolved(part, schema)
        part = part.get("properties", {}).get(name)
        if part is None:
            return ""
    return _words(_resolved(part, schema), schema)


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in part:
        return schema["$defs"][part["$ref"].removeprefix("#/$defs/")]
    return part


def _words(part: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    if "anyOf" in part:
        return " or ".join(_words(_resolved(one, schema), schema) for one in part["anyOf"])
    if "enum" in part:
        return ", ".join("null" if value is None else f"`{value}`" for value in part["enum"])
    if "const" in part:
        return f"`{part['const']}`"
    kinds = part.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    names = {"string": "text", "object": "keys", "array": "list", "boolean": "true or false"}
    words = " or ".join(names.get(kind, kind) for kind in kinds)
    if "array" in kinds and "items" in part:
        inner = _words(_resolved(part["items"], schema), schema)
        words = words.replace("list", f"list of {inner}") if inner else words
    bounds = [
        f"{sign} {part[key]}"
        for key, sign in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if key in part
    ]
    return " ".join([words, *bounds])


def page() -> str:
    """Return the page: the keys at the top of the file first, then a section for each group."""
    schema = yaml.safe_load(pipeline_file(SCHEMA).read_text(encoding="utf-8"))
    text = pipeline_file("config.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    every = list(keys(text))
    groups = {key.path[:-1] for key in every}
    sections: dict[str, list[str]] = {WHOLE: []}
    about = {}
    for key in every:
        top = key.path[0]
        if len(key.path) == 1 and isinstance(values[top], Mapping) and values[top]:
            sections[top], about[top] = [], key.comment
        elif key.path not in groups or key.comment:
            default = "" if key.path in groups else _as_yaml(reduce(getitem, key.path, values))
            sections[top if top in sections else WHOLE].append(_row(key, default, schema))
    parts = [_section(name, about.get(name, ""), rows) for name, rows in sections.items()]
    return "\n".join([HEAD, *parts])


def _section(name: str, comment: str, rows: list[str]) -> str:
    """A heading, what its keys are for, and their table, which is folded if it is long."""
    table = ["| key | default | may be | what |", "| --- | --- | --- | --- |", *rows, ""]
    if len(rows) > LONG:
        summary = f"<summary>{len(rows)} keys</summary>"
        table = ["<details>", summary, "", *table, "</details>", ""]
    said = [f"{comment[0].upper()}{comment[1:].rstrip('.')}.", ""] if comment else []
    return "\n".join([f"## {name}", "", *said, *table])


def _row(key: Key, default: str, schema: Mapping[str, Any]) -> str:
    kind = allowed(schema, key.path)
    words = [
        f"`{'.'.join(key.path)}`",
        default and f"`{default}`",
        "" if kind == "keys" else kind,
        key.comment,
    ]
    return f"| {' | '.join(word.replace('|', chr(92) + '|') for word in words)} |"


def _as_yaml(value: Any) -> str:
    """A value on one line, as it can be written in a configuration."""
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


if __name__ == "__main__":
    print(page(), end="")
