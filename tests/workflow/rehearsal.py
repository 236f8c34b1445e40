"""`make rehearsal`: the paper's configuration from the downloads to the page, on two CPU cores.

configs/voc12.yaml, and configs/paper.yaml over it, run as they are but for what rehearsal.yaml and
rehearsal-paper.yaml cut. Everything comes from a server on the loopback address
(`published_world`); the reviewer's answers are written here, since a person is not.

    python -m tests.workflow.rehearsal [--only-voc12] [--dry-run] [--folder results/rehearsal]
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from tests.places import ROOT
from tests.server import Server
from tests.workflow.published_world import World, make_world
from tests.workflow.rehearsal_times import Stage, measured, table, write_scaling
from wood.ood.decisions import ACCEPT, Decision, append_decisions, now
from wood.report.items import ITEMS

HERE = Path(__file__).parent
# Room for one training and a job beside it, by what the rules ask for.
MEMORY_MB = 11_000


class Rehearsal:
    """A run in a folder of its own, of voc12.yaml or of paper.yaml over it."""

    def __init__(self, folder: Path, world: World, base: str, *, paper: bool, cores: int = 2):
        self.folder = folder
        self.results = folder / "results" / "voc12"
        self.paper = paper
        self.cores = cores
        names = ["configs/voc12.yaml", *(["configs/paper.yaml"] if paper else [])]
        self.overlays = [ROOT / name for name in names]
        self.overlays.append(HERE / "rehearsal.yaml")
        if paper:
            self.overlays.append(HERE / "rehearsal-paper.yaml")
        self.overlays.append(folder / "addresses.yaml")
        machine = {"threads": dict.fromkeys(("training", "inference", "crf"), 1)}
        overlay = world.overlay(base, "data") | machine
        self.overlays[-1].write_text(yaml.safe_dump(overlay))

    def snakemake(self, *arguments: str) -> None:
        """Run Snakemake, its messages on the terminal.

        Raises:
            SystemExit: it failed.
        """
        command = [
            sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile",
            "--workflow-profile", ROOT / "profiles" / "default", "--directory", self.folder,
            "--cores", str(self.cores), "--resources", "downloads=1", f"mem_mb={MEMORY_MB}",
            "--configfile", *self.overlays, *arguments,
        ]  # fmt: skip
        if done := subprocess.run(command, check=False).returncode:
            raise SystemExit(done)

    def plan(self) -> None:
        """Say what would run after the review."""
        answers = [Decision(str(n), ACCEPT, "cat", "rehearsal", now()) for n in range(100)]
        append_decisions(self.results / "ood" / "decisions.csv", answers)
        self.snakemake("--dry-run", "--quiet", "rules", "--", *self.targets())

    def targets(self) -> list[str]:
        """Return all that is made: the stages, and the tables and figures that have something."""
        items = [key for key, item in ITEMS.items() if self.paper or not item.overlay]
        return ["all", "seeds", "pseudo_masks", "segmentation", *items]

    def answer(self) -> None:
        """Accept every ranked image, as a reviewer would who sees no object anywhere."""
        ranking = pd.read_parquet(self.results / "ood" / "ranking.parquet")
        rows = zip(ranking["image_id"], ranking["class"], strict=True)
        answers = [Decision(name, ACCEPT, found, "rehearsal", now()) for name, found in rows]
        append_decisions(self.results / "ood" / "decisions.csv", answers)

    def run(self) -> list[Stage]:
        """Run up to the review, answer, go on to the page and every table and figure; measure."""
        self.snakemake()
        if (self.results / "ood" / "hard_ood.csv").exists():
            raise SystemExit("The run did not stop before the review.")
        self.answer()
        self.snakemake("--", *self.targets())
        return measured(self.results / "benchmarks")


def main(arguments: Sequence[str] | None = None) -> None:
    """Rehearse, print each stage's time and memory, and write the projections."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only-voc12", action="store_true", help="without configs/paper.yaml")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and stop")
    parser.add_argument("--folder", type=Path, default=Path("results/rehearsal"))
    parser.add_argument("--scaling", type=Path, default=ROOT / "docs" / "scaling.md")
    chosen = parser.parse_args(arguments)
    folder = chosen.folder.resolve()
    if folder.exists():
        raise SystemExit(f"Error: {folder} is there already; a rehearsal begins in a new folder.")
    world = make_world(folder / "hosts")
    server = Server()
    world.serve(server)
    try:
        rehearsal = Rehearsal(
            folder, world, server.base, paper=not chosen.only_voc12, cores=chosen.cores
        )
        if chosen.dry_run:
            rehearsal.plan()
            return
        stages = rehearsal.run()
    finally:
        server.close()
    print(table(stages))
    write_scaling(chosen.scaling, stages)


if __name__ == "__main__":
    main()
