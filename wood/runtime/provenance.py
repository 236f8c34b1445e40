"""What made a result: code, versions, devices, configuration, inputs, and what each job took."""

import argparse
import csv
import hashlib
import json
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Any

from wood.runtime.environment import pinned_variables, processor
from wood.runtime.errors import InputError
from wood.runtime.knobs import without_knobs
from wood.runtime.store import PROVENANCE, file_sha256, read_json, write_json

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pandas", "pydensecrf2", "snakemake")

# What drivers of GPUs put there: NVIDIA's, the same on Windows' Linux and on Jetson, AMD's.
DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-gpu", "/dev/kfd")


def provenance() -> dict[str, Any]:
    """Return the commit (and whether files differ from it), package versions, and the device."""
    return {
        "commit": _git("rev-parse", "--short=12", "HEAD") or "not a checkout",
        "changed files": len(_git("status", "--porcelain").splitlines()),
        "python": platform.python_version(),
        "packages": {package: _version(package) for package in PACKAGES},
        "device": device_name(),
        "processor": processor()[0],
        "instruction sets": {"it has": sorted(processor()[1]), **pinned_variables()},
    }


def device_name() -> str:
    """Return the kind and the name of the device that this process computes on."""
    if not gpu_possible():  # found without torch, whose import takes a second
        return f"cpu ({platform.machine()})"
    import torch

    from wood.runtime.devices import find_device

    device = find_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return f"{device.type} ({name})"


def gpu_possible() -> bool:
    """Return whether torch could find a GPU: False only on Linux without the file of any driver."""
    return sys.platform != "linux" or any(Path(file).exists() for file in DRIVERS)


def record(
    results: str | Path, output: str | Path, *, config: Mapping[str, Any], inputs: Mapping[str, str]
) -> None:
    """Write down what made the results, and the SHA-256 of every file of them.

    Args:
        results: the folder; its logs, benchmarks, and hidden files are not part of the results.
        output: the JSON file.
        config: the resolved configuration.
        inputs: files and folders that were read, by the keys of the configuration that name them.
    """
    results = Path(results)
    write_json(
        output,
        {
            **provenance(),
            "packages": {entry.metadata["Name"]: entry.version for entry in distributions()},
            "devices": _devices(results / "logs"),
            "config": config,
            "config hash": config_hash(config),
            "seeds": config["seeds"],
            "inputs": {key: _input_digest(Path(place)) for key, place in inputs.items()},
            "jobs": _jobs(results / "benchmarks"),
            "files": {
                str(path.relative_to(results)): file_sha256(path) for path in _results(results)
            },
        },
    )


def config_hash(config: Mapping[str, Any]) -> str:
    """Return a hash of a configuration, whatever its knobs and the order of its keys."""
    text = json.dumps(without_knobs(config), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _results(folder: Path) -> list[Path]:
    skipped = {"logs", "benchmarks", PROVENANCE}
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.is_file() and not hidden and parts[0] not in skipped:
            found.append(path)
    return found


def _input_digest(path: Path) -> dict[str, Any]:
    """The SHA-256 of a file; of a folder, that of the names and sizes of its files."""
    if path.is_file():
        return {"path": str(path), "sha256": file_sha256(path)}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    text = "".join(f"{file.relative_to(path)} {file.stat().st_size}\n" for file in files)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"path": str(path), "files": len(files), "sha256 of names and sizes": digest}


def _devices(logs: Path) -> dict[str, int]:
    """How many jobs ran on each device, by what `wood.runtime.jobs` wrote into their logs."""
    found: dict[str, int] = {}
    for path in logs.rglob("*.log"):
        if match := re.search(r" Device: (.+)", path.read_text(errors="replace")):
            found[match[1]] = found.get(match[1], 0) + 1
    return found


def _jobs(benchmarks: Path) -> dict[str, dict[str, float | None]]:
    """Seconds and peak memory (MB) of each job, from Snakemake's benchmark files."""
    jobs = {}
    for path in sorted(benchmarks.rglob("*.tsv")):
        with path.open(newline="") as file:
            *_, last = [{}, *csv.DictReader(file, delimiter="\t")]
        name = str(path.relative_to(benchmarks).with_suffix(""))
        jobs[name] = {"seconds": _number(last.get("s")), "peak MB": _number(last.get("max_rss"))}
    return jobs


def _number(text: str | None) -> float | None:
    """Jobs that end at once have no memory measured."""
    try:
        return float(text or "")
    except ValueError:
        return None


def _git(*arguments: str) -> str:
    root = Path(__file__).parents[2]
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def verify(folder: str | Path) -> list[str]:
    """Compare the files below `folder` with those that its `provenance.json` records.

    Returns:
        One sentence for each recorded file that is missing or is another one.

    Raises:
        InputError: there is no such record, or it is not one.
    """
    folder = Path(folder)
    record = read_json(folder / PROVENANCE)
    if not isinstance(record, dict) or not isinstance(record.get("files"), dict):
        raise InputError(f"{folder / PROVENANCE}: it records no files.")
    problems = []
    for name, digest in record["files"].items():
        if not (folder / name).is_file():
            problems.append(f"{folder / name}: it is missing.")
        elif file_sha256(folder / name) != digest:
            problems.append(f"{folder / name}: it is not the file that was recorded.")
    return problems


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `wood verify` takes."""
    parser.add_argument("folder", type=Path, help="results/<dataset>")


def run(options: argparse.Namespace) -> int:
    """Print each file that is not the one that was recorded; the exit status is 1 if any is."""
    problems = verify(options.folder)
    for problem in problems:
        print(f"Error: {problem}", file=sys.stderr)
    if not problems:
        print("Every file is the one that was recorded.")
    return int(bool(problems))
