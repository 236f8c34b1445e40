"""Time and memory of planning a run of the paper's size: a dry run, as a user starts it.

10,582 training images in 20 shards, 9 million candidates in 200, and 40 experiments that share
nothing but F_in. `python -m benchmarks.dag [experiments]`
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def configuration(experiments: int) -> dict:
    """Return an overlay with so many classifiers, and an experiment for each."""
    names = [f"wood-{number:02d}" for number in range(experiments)]
    return {
        "dataset": "large",
        "demo": {"train_images": 10_582, "pool_images": 9_000_000},
        "shards": {"images": 20, "candidates": 200},
        "classifiers": {
            name: {"init": "cam", "wood": {"distance_weight": 0.001 * (number + 1)}}
            for number, name in enumerate(names)
        },
        "experiments": {name: {"classifier": name, "title": name} for name in names},
    }


def main() -> None:
    experiments = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "large.yaml"
        overlay.write_text(yaml.safe_dump(configuration(experiments)))
        started = time.perf_counter()
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "snakemake",
                "--snakefile",
                ROOT / "Snakefile",
                "--dry-run",
                "--directory",
                folder,
                "--quiet",
                "rules",
                "--configfile",
                overlay,
            ],
            capture_output=True,
            text=True,
        )
        seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    [total] = [line for line in done.stdout.splitlines() if line.startswith("total")][:1]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{experiments} experiments: {total.split()[1]} jobs planned in {seconds:.1f} s, "
        f"peak memory {peak:.0f} MB"
    )


if __name__ == "__main__":
    main()
