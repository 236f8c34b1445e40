"""The library outside the repository: installed, and with few packages."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from tests.places import ROOT
from wood.cli import COMMANDS, main
from wood.models.backbones import create_backbone
from wood.models.deeplab import DeepLabV2, save_network

# Lets a process import what `dependencies` in pyproject.toml brings, and nothing else.
ALLOW = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
from wood.cli import main
sys.exit(main())
"""
OPTIONAL = (
    "pandas", "pyarrow", "polars", "scipy", "sklearn", "pydensecrf", "defusedxml", "jsonschema",
    "httpx", "tenacity", "matplotlib", "jinja2", "snakemake", "fiftyone", "onnx", "argcomplete",
)  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the project is installed, as `pip install .` does."""
    folder = tmp_path_factory.mktemp("site")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, source)
    shutil.copytree(ROOT / "wood", source / "wood", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation",
         "--target", str(folder), str(source)],
        check=True,
    )  # fmt: skip
    return folder


def test_a_photograph_is_segmented_with_few_packages(installed, tmp_path):
    torch.manual_seed(0)
    network = DeepLabV2(create_backbone("test_resnet", weights=None), 3, [1, 2])
    metadata = {"backbone": "test_resnet", "output_stride": 16, "atrous_rates": [1, 2]}
    save_network(tmp_path / "net.safetensors", network, metadata | {"class_names": ["cat", "dog"]})
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    command = ["predict", "image.png", "--weights", "net.safetensors", "-o", "mask.png"]
    done = subprocess.run(
        [sys.executable, "-c", ALLOW, ",".join(OPTIONAL), *command],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "mask.png").size == (60, 40)


def test_the_installed_package_has_its_command_and_its_data(installed):
    assert (installed / "bin" / "wood").exists()
    ours = {path.relative_to(ROOT) for path in (ROOT / "wood").rglob("*") if path.is_file()}
    there = {path.relative_to(installed) for path in (installed / "wood").rglob("*")}
    ours = {path for path in ours if "__pycache__" not in path.parts}
    missing = {path for path in ours - there if path.suffix != ".md"}
    assert missing == set()


def run_installed(installed, *command, cwd):
    return subprocess.run(
        [sys.executable, "-P", "-m", "wood", *command],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_when_installed(name, installed, tmp_path):
    done = run_installed(installed, name, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert COMMANDS[name].help in " ".join(done.stdout.split())


def test_preflight_wants_the_pipelines_folder_when_installed(installed, tmp_path):
    there = run_installed(installed, "preflight", cwd=ROOT)
    assert "Configuration demo" in there.stdout, there.stderr
    elsewhere = run_installed(installed, "preflight", cwd=tmp_path)
    assert (elsewhere.returncode, elsewhere.stdout) == (1, "")
    assert elsewhere.stderr == (
        f"Error: {tmp_path} has no config.yaml: run this in the pipeline's folder, where its "
        "Snakefile is.\n"
    )


def test_bad_input_is_one_sentence(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert len(said.splitlines()) == 1


def test_the_shell_completes_commands_and_options():
    def completions(line):
        environment = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
        done = subprocess.run(
            ["bash", "-c", f"{sys.executable} -m wood 8>&1 9>/dev/null 1>/dev/null 2>/dev/null"],
            env=os.environ | environment | {"_ARGCOMPLETE_IFS": " "}, cwd=ROOT,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.split()

    assert "predict" in completions("wood pre")
    assert "--weights" in completions("wood export --w")
