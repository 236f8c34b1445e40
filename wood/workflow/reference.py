"""The reference page of the configuration, made from the comments of config.yaml and the schema.

python -m wood.workflow.reference > docs/configuration.md
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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

NAMED = ("presets", "classifiers", "localizations", "experiments")  # their entries are examples


@dataclass(frozen=True)
class Key:
    """One key of config.yaml: its path, what stands behind it, and the comment above it."""

    path: tuple[str, ...]
    value: str
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
            yield Key(tuple(path), (found[2] or "").strip(), " ".join(comment))
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
    """Return the page."""
    schema = yaml.safe_load(pipeline_file(SCHEMA).read_text(encoding="utf-8"))
    lines = [HEAD]
    section = None
    for key in keys(pipeline_file("config.yaml").read_text(encoding="utf-8")):
        top = key.path[0]
        if len(key.path) > 1 and top in NAMED:
            continue
        if top != section and (not key.value or top in NAMED):
            lines += [
                "",
                f"## {top}",
                "",
                *([f"{key.comment.rstrip('.')}.", ""] if key.comment else []),
            ]
            if top not in NAMED:
                lines += ["| key | default | may be | what |", "| --- | --- | --- | --- |"]
            section = top
            continue
        if len(key.path) == 1 and section != "":
            lines += ["", "## The whole run", "", "| key | default | may be | what |"]
            lines += ["| --- | --- | --- | --- |"]
            section = ""
        words = [".".join(key.path), key.value, allowed(schema, key.path), key.comment]
        name, value, kind, comment = (word.replace("|", "\\|") for word in words)
        default = f"`{value}`" if value else ""
        lines.append(f"| `{name}` | {default} | {'' if kind == 'keys' else kind} | {comment} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
