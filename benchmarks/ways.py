"""Two ways of doing one thing, each in a process of its own, so that peaks of memory are apart."""

import json
import subprocess
import sys

from benchmarks.random_walk import highest_memory


def finish(seconds: float) -> None:
    """Print what one way took, for `compare` to read."""
    print(json.dumps({"seconds": seconds, "megabytes": highest_memory()}))


def compare(module: str) -> None:
    """Run `python -m module` with this command's arguments both ways; print both, and the ratio."""
    taken = {}
    for way in ("reference", "ours"):
        command = [sys.executable, "-m", module, *sys.argv[1:], "--way", way]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        taken[way] = json.loads(done.stdout.splitlines()[-1])
        print(f"  {way:9s} {taken[way]['seconds']:.3f} s/image, "
              f"peak {taken[way]['megabytes']:.0f} MB")  # fmt: skip
    ratio = taken["reference"]["seconds"] / taken["ours"]["seconds"]
    print(f"  ours is {ratio:.2f} times as fast")
