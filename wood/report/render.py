"""Templates and the plain text that all pages share."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from wood.report.plots import slug
from wood.report.scores import points

TEMPLATES = Path(__file__).with_name("templates")
STAGE_TITLES = {
    "classifier": "Classifiers",
    "irnet": "IRNet",
    "segmentation": "Segmentation networks",
}


def render(template: str, context: Mapping[str, Any]) -> str:
    """Return the HTML of a page with the report's style and script."""
    return _environment().get_template(template).render(**context)


@cache
def _environment():
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["slug"] = slug
    environment.filters["points"] = points
    environment.filters["svg"] = lambda text: Markup(text) if text else None
    for name, file in (("style", "page.css"), ("script", "page.js")):
        environment.globals[name] = Markup((TEMPLATES / file).read_text(encoding="utf-8"))
    return environment


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Turn nested settings into pairs of a dotted key and its value as text."""
    pairs: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            pairs += flatten(value, f"{name}.")
        elif isinstance(value, list | tuple):
            pairs.append((name, ", ".join(map(str, value)) or "none"))
        else:
            pairs.append((name, "none" if value is None or value == {} else str(value)))
    return pairs
