"""Dry runs in this process: a tenth of the time of one that starts Snakemake anew."""

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)
from snakemake.workflow import Workflow

from tests.places import ROOT
from tests.workflow.workflow import SMALL

TARGET_RULES = {"all", "hard_ood", "seeds", "pseudo_masks", "segmentation", "report", "provenance"}


@dataclass(frozen=True)
class Planned:
    """A job that a run would do."""

    rule: str
    wildcards: dict[str, str]
    outputs: tuple[str, ...]


def plan(
    folder: Path,
    changes: dict | None = None,
    *,
    overlays: Sequence[Path] = (SMALL,),
    targets: Sequence[str] = (),
) -> list[Planned]:
    """Return the jobs that a run in `folder` would do with `changes` over the configuration.

    Without `targets` those of the default one.
    """
    jobs: list[Planned] = []

    def note(workflow: Workflow) -> None:
        jobs.extend(
            Planned(job.rule.name, dict(job.wildcards_dict), tuple(map(str, job.output)))
            for job in workflow.dag.needrun_jobs()
            if job.rule.name not in TARGET_RULES and job.rule.name not in targets
        )

    with_dag(folder, note, changes, overlays, targets)
    return jobs


def pretend(folder: Path, changes: dict | None = None) -> None:
    """Fill a folder with what a whole run leaves: all files, empty, and Snakemake's records."""

    def make(workflow: Workflow) -> None:
        for level in workflow.dag.toposorted():
            for job in level:
                for output in job.output:
                    output.touch_or_create()
                workflow.async_run(workflow.persistence.finished(job))
                for output in job.temp_output:
                    shutil.rmtree(output)

    with_dag(folder, make, changes)


def with_dag(
    folder: Path,
    use: Callable[[Workflow], None],
    changes: dict | None = None,
    overlays: Sequence[Path] = (SMALL,),
    targets: Sequence[str] = (),
) -> None:
    """Build the DAG of a run in `folder`, call `use` with the workflow, and end in a dry run."""
    changed = folder / "changes.yaml"
    changed.write_text(yaml.safe_dump(changes or {}))
    here = Path.cwd()
    output = OutputSettings(dryrun=True, quiet={Quietness.ALL})
    with contextlib.redirect_stderr(io.StringIO()), SnakemakeApi(output) as api:
        try:
            loaded = api.workflow(
                ResourceSettings(cores=1),
                ConfigSettings(configfiles=(*overlays, changed)),
                snakefile=ROOT / "Snakefile",
                workdir=folder,
            )
            dag = loaded.dag(DAGSettings(targets=set(targets)))
            workflow = loaded._workflow
            build = workflow._build_dag

            def build_and_use() -> None:
                build()
                use(workflow)

            workflow._build_dag = build_and_use
            dag.execute_workflow(executor="dryrun")
        finally:
            os.chdir(here)
