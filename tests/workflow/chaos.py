"""Kills whole runs at random moments and runs them again, until the results are there.

python -m tests.workflow.chaos [--times 20] [--folder FOLDER]

No manual step lies between a kill and the next run. In the end the score files are those of an
undisturbed run, byte for byte; no temporary file remains; and what Snakemake had recorded as made
was not made again.
"""

import argparse
import base64
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.workflow.workflow import Workflow

LEFTOVERS = (".part", ".checkpoint")
ONE_EXPERIMENT = Path(__file__).parent / "chaos.yaml"


def run_and_kill(workflow: Workflow, seconds: float, targets: Sequence[str] = ()) -> int | None:
    """Run for so long, then kill the whole process group.

    Returns:
        The exit code of a run that ended before, None of one that was killed.
    """
    with (workflow.folder / "chaos.log").open("a") as log:
        running = subprocess.Popen(
            workflow.command(*targets), stdout=log, stderr=log, start_new_session=True
        )
        try:
            return running.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            return None


def recorded(folder: Path) -> dict[str, int]:
    """Return the outputs that Snakemake knows to be whole, with the times they were written."""
    state = folder / ".snakemake"
    names = set(os.listdir(state / "metadata")) if (state / "metadata").is_dir() else set()
    if (state / "incomplete").is_dir():
        names -= set(os.listdir(state / "incomplete"))
    paths = [base64.b64decode(name).decode() for name in names]
    return {path: (folder / path).stat().st_mtime_ns for path in paths if (folder / path).is_file()}


def disturb(
    workflow: Workflow, seed: int, longest: float, targets: Sequence[str] = (), fewest: int = 0
) -> int:
    """Run, kill after a random time of at most `longest` seconds, and so on until a run ends.

    The first `fewest` kills come within half that time, so that there are some.

    Returns:
        The number of kills.
    """
    rng = random.Random(seed)
    kills = 0
    whole: dict[str, int] = {}
    while True:
        limit = longest / 2 if kills < fewest else longest
        code = run_and_kill(workflow, rng.uniform(1, limit), targets)
        now = recorded(workflow.folder)
        again = [path for path, written in whole.items() if now.get(path, written) != written]
        assert again == [], f"made twice: {again}"
        whole |= now
        if code is not None:
            break
        kills += 1
    assert code == 0, (workflow.folder / "chaos.log").read_text()[-5000:]
    left = [path for path in workflow.folder.rglob("*") if path.name.endswith(LEFTOVERS)]
    assert left == [], f"temporary files remain: {left}"
    return kills


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20, help="runs, each with a seed of its own")
    parser.add_argument("--folder", type=Path, help="where to work; else a temporary folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        (folder / "undisturbed").mkdir(parents=True)
        undisturbed = Workflow(folder / "undisturbed", ONE_EXPERIMENT)
        started = time.monotonic()
        undisturbed.make()
        seconds = time.monotonic() - started
        expected = undisturbed.files("small/scores/**/*.json")
        print(f"undisturbed: {seconds:.0f} s, {len(expected)} score files", flush=True)
        total = 0
        for seed in range(arguments.times):
            place = folder / f"seed-{seed}"
            place.mkdir()
            workflow = Workflow(place, ONE_EXPERIMENT)
            kills = disturb(workflow, seed, longest=1.3 * seconds)
            assert workflow.files("small/scores/**/*.json") == expected, (
                f"seed {seed}: other scores"
            )
            assert workflow.planned() == [], f"seed {seed}: a second run would do something"
            total += kills
            print(f"seed {seed}: {kills} kills, the same scores", flush=True)
    print(f"{arguments.times} runs survived {total} kills")


if __name__ == "__main__":
    main()
