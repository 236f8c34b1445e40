"""One table or figure as a self-contained page, with its data as files beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wood.report.builders import build
from wood.report.items import ITEMS
from wood.report.plots import class_colour, standalone
from wood.report.render import render
from wood.report.scores import Scores
from wood.report.spec import parse_spec
from wood.report.tables import csv_text
from wood.runtime.store import write_text


def build_item(
    key: str,
    values: Mapping[str, Any],
    output: str | Path,
    *,
    csv: str | Path | None = None,
    svg: str | Path | None = None,
) -> None:
    """Write the page of one table or figure.

    Args:
        key: of `wood.report.items.ITEMS`.
        values: what `wood.report.spec.parse_spec` takes, with what the item needs of it.
        output: the HTML file; it needs no other file and no network.
        csv: the table, or the data of the figure, in full.
        svg: the figure as a file of its own.

    Raises:
        InputError: the files do not have what the item shows; the sentence names it.
    """
    item = ITEMS[key]
    spec = parse_spec(values, need_experiments=item.stage is not None)
    content = build(item, spec, Scores(spec))
    legend = [(name, class_colour(index)) for index, name in enumerate(spec.class_names, start=1)]
    page = render(
        "item.html.j2", {"item": item, "spec": spec, "content": content, "legend": legend}
    )
    if csv is not None:
        write_text(csv, csv_text(content.data or content.tables[0]))
    if svg is not None:
        write_text(svg, standalone(content.drawings[0][1]))
    write_text(output, page)
