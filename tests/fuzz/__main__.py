"""Feeds changed inputs to every entrance until the time is over.

python -m tests.fuzz [--seconds 60] [--seed 0] [--only NAME] [--number N] [--file FILE]

What must hold for each: a result, or one clear sentence (`InputError`), in bounded time and memory,
and nothing outside the folder is written, run or asked. A finding is written to tests/cases/fuzz,
whose files `tests/unit/test_fuzz.py` reads again, and printed with the command that repeats it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.places import CASES

FINDINGS = CASES / "fuzz"
NOTE = "current.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one entrance, by its name")
    parser.add_argument("--number", type=int, help="one input of this entrance")
    parser.add_argument("--file", type=Path, help="a file for this entrance")
    parser.add_argument("--findings", type=Path, default=FINDINGS)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        from tests.fuzz.worker import work

        raise SystemExit(work(options))
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        raise SystemExit(supervise(Path(folder).resolve(), options.findings.resolve()))


def supervise(folder: Path, findings: Path) -> int:
    """Run the worker in a process of its own; an input that kills it is a finding, too."""
    inside = folder / "inside"
    inside.mkdir()
    environment = {**os.environ, "TMPDIR": str(inside), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "tests.fuzz", *sys.argv[1:], "--inside", str(inside)]
    code = subprocess.run([*command, "--findings", str(findings)], env=environment).returncode
    if code < 0:
        note = json.loads((inside / NOTE).read_text())
        print(f"{note['name']}: input {note['number']} killed the process (signal {-code}); "
              f"python -m tests.fuzz --seed {note['seed']} --only {note['name']!r} "
              f"--number {note['number']}")  # fmt: skip
        return 1
    outside = sorted(set(os.listdir(folder)) - {"inside"})
    if outside:
        print(f"Written outside the folder: {outside}")
    return 1 if outside else code


if __name__ == "__main__":
    main()
