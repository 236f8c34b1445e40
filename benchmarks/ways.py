"""Two ways of doing one thing, each in a process of its own, so that peaks of memory are apart."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.random_walk import highest_memory


def finish(seconds: float, **more: float) -> None:
    """Print what one way took, and `more` that it found, for `measured` to read."""
    print(json.dumps({"seconds": seconds, "megabytes": highest_memory(), **more}))


def measured(
    module: str,
    way: str,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Run `python -m module` one way, with `environment` over this one; return what it found."""
    command = [sys.executable, "-m", module, *arguments, "--way", way]
    variables = {**os.environ, **(environment or {})}
    done = subprocess.run(command, env=variables, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(module: str) -> None:
    """Run `python -m module` with this command's arguments both ways; print both, and the ratio."""
    taken = {}
    for way in ("reference", "ours"):
        taken[way] = measured(module, way, sys.argv[1:])
        print(
            f"  {way:9s} {taken[way]['seconds']:.3f} s/image, peak {taken[way]['megabytes']:.0f} MB"
        )
    ratio = taken["reference"]["seconds"] / taken["ours"]["seconds"]
    print(f"  ours is {ratio:.2f} times as fast")
