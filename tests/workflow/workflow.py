"""Running the workflow as a user does, and reading what it would do."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.places import ROOT

SMALL = Path(__file__).parent / "small.yaml"


@dataclass(frozen=True)
class Job:
    """A job of a dry run: its rule, its wildcards, and the files it reads and makes."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    wildcards: str


class Workflow:
    """The pipeline in a folder of its own, with the small configuration and `changes` over it."""

    def __init__(self, folder: Path, *overlays: Path):
        self.folder = folder
        self.overlays = [SMALL, *overlays]

    def command(self, *arguments: str, changes: dict | None = None, cores: int = 2) -> list[str]:
        """Return the command that runs snakemake."""
        overlays = list(map(str, self.overlays))
        if changes:
            path = self.folder / "changes.yaml"
            path.write_text(yaml.safe_dump(changes))
            overlays.append(str(path))
        return [
            sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
            "--workflow-profile", str(ROOT / "profiles" / "default"),
            "--directory", str(self.folder), "--cores", str(cores), "--nocolor",
            *arguments,
            "--configfile", *overlays,
        ]  # fmt: skip

    def run(
        self, *arguments: str, changes: dict | None = None, cores: int = 2, seconds: int = 600
    ) -> subprocess.CompletedProcess:
        """Run snakemake; `changes` are put over the configuration for this run."""
        command = self.command(*arguments, changes=changes, cores=cores)
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds)

    def make(self, *targets: str, changes: dict | None = None, seconds: int = 600) -> None:
        """Run snakemake and insist that it ends well."""
        done = self.run(*targets, changes=changes, seconds=seconds)
        assert done.returncode == 0, done.stdout + done.stderr

    def planned(self, *arguments: str, changes: dict | None = None) -> list[Job]:
        """Return the jobs that a run would do."""
        done = self.run("--dry-run", *arguments, changes=changes)
        assert done.returncode == 0, done.stdout + done.stderr
        return parse_jobs(done.stdout + done.stderr)

    def rules(self, *arguments: str, changes: dict | None = None) -> set[str]:
        """Return the names of the rules that a run would run, target rules left out."""
        targets = {"all", "hard_ood", "seeds", "pseudo_masks", "segmentation", "report",
                   "provenance", "fully_supervised", "submission"}  # fmt: skip
        return {job.rule for job in self.planned(*arguments, changes=changes)} - targets

    def files(self, pattern: str) -> dict[str, bytes]:
        """Return the contents of the result files that match, by their path."""
        results = self.folder / "results"
        return {
            str(path.relative_to(results)): path.read_bytes()
            for path in sorted(results.glob(pattern))
            if path.is_file()
        }


def parse_jobs(text: str) -> list[Job]:
    """Read the jobs that snakemake's dry run describes."""
    jobs = []
    for block in re.split(r"\n(?=(?:local)?rule )", text)[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block)
        fields = dict(re.findall(r"^    (input|output|wildcards): (.*)$", block, re.MULTILINE))
        jobs.append(
            Job(
                rule[1],
                _files(fields.get("input", "")),
                _files(fields.get("output", "")),
                fields.get("wildcards", ""),
            )
        )
    return jobs


def _files(text: str) -> tuple[str, ...]:
    return tuple(path.split(" (")[0] for path in text.split(", ") if path)
