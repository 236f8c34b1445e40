"""Kills whatever works, at random moments, and starts it again, until the results are there.

python -m tests.workflow.chaos [--kills 50] [--seed 0] [--only KIND] [--folder FOLDER]

No manual step lies between a kill and the next start. Of whole runs, and of two at once, the score
files are in the end those of an undisturbed run, byte for byte; no temporary file remains; and what
Snakemake had recorded as made was not made again. For the rest see `chaos_kinds`.
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

from tests.workflow import chaos_kinds
from tests.workflow.workflow import Workflow

PATIENCE = 3600  # seconds
LEFTOVERS = (".part", ".checkpoint")
SHARES = {"folders": 0.2, "files": 0.1, "photographs": 0.14, "reviews": 0.24,
          "two runs at once": 0.12, "runs": 0.2}  # fmt: skip
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


def two_at_once(folder: Path, target: str, expected: bytes, kills: int, rng: random.Random) -> None:
    """Start runs in two working directories with one folder of results, and kill one of them.

    The other is refused in a sentence, or does all the work itself.
    """
    shared = folder / "shared"
    shared.mkdir()
    workflows = []
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "results").symlink_to(shared)
        workflows.append(Workflow(folder / name, ONE_EXPERIMENT))
    done = 0
    while True:
        running = [_started(workflow, target) for workflow in workflows]
        time.sleep(rng.uniform(1, 8))
        alive = [process for process in running if process.poll() is None]
        if done < kills and alive:
            os.killpg(rng.choice(alive).pid, signal.SIGKILL)
            done += 1
            if done < kills:  # the other may be on its way to the end of all
                time.sleep(rng.uniform(0, 3))
                for process in (p for p in running if p.poll() is None):
                    os.killpg(process.pid, signal.SIGKILL)
                    done += 1
        codes = [process.wait() for process in running]
        for workflow, code in zip(workflows, codes, strict=True):
            said = (workflow.folder / "chaos.log").read_text()
            refused = code == 1 and "works there" in said
            assert code in (0, -signal.SIGKILL) or refused, said[-3000:]
        if done >= kills and 0 in codes:
            break
    assert (shared / target.removeprefix("results/")).read_bytes() == expected
    left = [path for path in shared.rglob("*") if path.name.endswith(LEFTOVERS)]
    assert left == [], f"temporary files remain: {left}"


def _started(workflow: Workflow, target: str) -> subprocess.Popen:
    with (workflow.folder / "chaos.log").open("w") as log:
        return subprocess.Popen(
            workflow.command(target), stdout=log, stderr=log, start_new_session=True
        )


class Runs:
    """Whole runs, against one that nothing disturbed."""

    def __init__(self, folder: Path, target: str | None) -> None:
        """Make the target, or all, and keep it, or the score files."""
        folder.mkdir()
        self.targets = [target] if target else []
        self.pattern = target.removeprefix("results/") if target else "small/scores/**/*.json"
        undisturbed = Workflow(folder, ONE_EXPERIMENT)
        started = time.monotonic()
        undisturbed.make(*self.targets, seconds=PATIENCE)
        self.seconds = time.monotonic() - started
        self.expected = undisturbed.files(self.pattern)
        print(f"undisturbed: {self.seconds:.0f} s, {len(self.expected)} files kept", flush=True)

    def alone(self, folder: Path, kills: int, rng: random.Random) -> int:
        """Kill runs, one after the other; return the kills, at least as many as asked for."""
        done = 0
        while done < kills:
            place = folder / f"run-{done}"
            place.mkdir()
            workflow = Workflow(place, ONE_EXPERIMENT)
            # Early kills are many for their time, late ones leave much to be lost.
            seed = rng.randrange(1 << 30)
            done += disturb(workflow, seed, 1.3 * self.seconds, self.targets, fewest=3)
            assert workflow.files(self.pattern) == self.expected, f"{place}: other files"
            assert workflow.planned(*self.targets) == [], (
                f"{place}: a second run would do something"
            )
        return done

    def at_once(self, folder: Path, kills: int, rng: random.Random) -> None:
        name = next(name for name in self.expected if self.targets or "/seeds/" in name)
        two_at_once(folder, f"results/{name}", self.expected[name], kills, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="in all, shared by the kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=SHARES, help="one kind, with all the kills")
    parser.add_argument("--target", help="one file that runs make; else all, and scores are kept")
    parser.add_argument("--folder", type=Path, help="where to work; else a temporary folder")
    arguments = parser.parse_args()
    total = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        runs = None
        for kind, share in SHARES.items():
            if arguments.only not in (None, kind):
                continue
            kills = arguments.kills if arguments.only else round(arguments.kills * share)
            if kind in ("runs", "two runs at once"):
                runs = runs or Runs(folder / "undisturbed", arguments.target)
            kill = {"runs": runs and runs.alone, "two runs at once": runs and runs.at_once}
            place = folder / kind.replace(" ", "-")
            place.mkdir()
            work = kill.get(kind) or getattr(chaos_kinds, kind)
            kills = work(place, kills, random.Random(f"{kind} {arguments.seed}")) or kills
            total += kills
            print(f"{kind}: {kills} kills, nothing lost, the same in the end", flush=True)
    print(f"{total} kills")


if __name__ == "__main__":
    main()
