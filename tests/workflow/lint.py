"""Snakemake's lint with every overlay, in one process: each brings rules that others leave out.

`python -m tests.workflow.lint`; the data that an overlay names need not be there.
"""

import contextlib
import io
import sys
from pathlib import Path

from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

from tests.places import ROOT
from tests.unit.workflow.test_config import OVERLAYS, UNDER
from wood.workflow import start


def lint(overlays: list[Path]) -> str:
    """Return what Snakemake finds in the rules with these overlays; nothing if they are well."""
    said = io.StringIO()
    # As a dry run, which takes no folder of results.
    settings = OutputSettings(dryrun=True)
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        SnakemakeApi(settings) as api,
    ):
        loaded = api.workflow(
            ResourceSettings(cores=1),
            ConfigSettings(configfiles=overlays),
            snakefile=ROOT / "Snakefile",
        )
        return said.getvalue() if loaded.lint() else ""


def main() -> None:
    start.check_files = lambda config: None
    found = {}
    for name in [None, *sorted(OVERLAYS)]:
        names = [*UNDER.get(name, []), name] if name else []
        found[name or "config"] = lint([ROOT / "configs" / f"{each}.yaml" for each in names])
    for name, text in found.items():
        print(f"{name}: {text or 'well'}")
    if any(found.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
