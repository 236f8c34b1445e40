"""What made a result: the commit, the versions, and the device."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from wood.devices import find_device

PACKAGES = ("torch", "torchvision", "timm", "numpy", "pandas", "pydensecrf2", "snakemake")


def provenance() -> dict[str, Any]:
    """Return the commit (and whether files differ from it), package versions, and the device."""
    device = find_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "commit": _git("rev-parse", "--short=12", "HEAD") or "not a checkout",
        "changed files": len(_git("status", "--porcelain").splitlines()),
        "python": platform.python_version(),
        "packages": {package: _version(package) for package in PACKAGES},
        "device": f"{device.type} ({name})",
    }


def _git(*arguments: str) -> str:
    root = Path(__file__).parent.parent
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
