"""Which versions are installed: of packages the same everywhere, of Python the newest."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.places import ROOT


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def locked():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    return {normalised(name): version for name, version in pairs}


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_environments_agree_with_the_lock_file(path, locked):
    dependencies = yaml.safe_load(path.read_text())["dependencies"]
    [pip] = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert pip
    for requirement in pip:
        name, version = requirement.split("==")
        assert locked[normalised(name)] == version


def test_everything_asked_for_is_locked(locked):
    lines = (ROOT / "requirements.in").read_text().splitlines()
    names = [re.split(r"[\s>=]", line)[0] for line in lines if line and not line.startswith("#")]
    assert len(names) > 20
    assert [name for name in names if normalised(name) not in locked] == []


class Machine:
    """A machine whose only programs are `make`, a shell, and what is put into its folder."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "bash").symlink_to(shutil.which("bash"))

    def python(self, version, *, whole=True):
        """Add a Python in name only; one that is not whole has no venv module."""
        program = self.folder / f"python{version}"
        program.write_text(f"#!{shutil.which('bash')}\nexit {0 if whole else 127}\n")
        program.chmod(0o755)

    def make(self, *arguments):
        """Return what `make` in an own environment says."""
        command = [shutil.which("make"), f"VENV={self.folder / 'venv'}", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env={"PATH": str(self.folder)}, capture_output=True, text=True
        )

    def environments(self, target):
        """The environments that a target would make: pairs of a Python and a folder's name."""
        said = self.make("--dry-run", target).stdout
        found = re.findall(r"\|\| (\S+) -m venv --clear (\S+)", said)
        return [(python, Path(folder).name) for python, folder in found]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path / "bin")


@pytest.mark.parametrize(
    ("versions", "taken", "others"),
    [
        (["3.11"], "3.11", []),
        (["3.12"], "3.12", []),
        (["3.10", "3.11", "3.12", "3.13"], "3.12", ["3.11"]),
    ],
)
def test_the_newest_python_is_taken_and_the_others_are_tried(machine, versions, taken, others):
    for version in versions:
        machine.python(version)
    assert machine.environments("env") == [(f"python{taken}", "venv")]
    tried = [(f"python{other}", f".venv-python{other}") for other in others]
    assert machine.environments("pythons") == tried
    if not others:
        said = machine.make("pythons")
        assert said.returncode == 0
        assert said.stdout.startswith("There is no Python here that make env works with, but for")


def test_a_python_without_its_venv_module_is_none(machine):
    machine.python("3.12", whole=False)
    machine.python("3.11")
    assert machine.environments("env") == [("python3.11", "venv")]


@pytest.mark.parametrize("versions", [[], ["3.10", "3.13"]])
def test_without_a_python_there_is_one_sentence(machine, versions):
    for version in versions:
        machine.python(version)
    said = machine.make("env")
    assert said.returncode != 0
    sentence, *rest = said.stderr.splitlines()
    assert sentence.startswith("Error: make env needs Python 3.12 or 3.11 with its venv module;")
    assert all(line.startswith("make: ***") for line in rest)
    assert not (machine.folder / "venv").exists()


def test_without_cuda_the_same_versions_are_installed(machine):
    """What `make env CUDA=no` asks pip for."""
    machine.python("3.11")
    said = machine.make("--dry-run", "env", "CUDA=no").stdout
    (command,) = re.findall(r"^(sed .*) > \S+/requirements.txt$", said, re.MULTILINE)
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True)
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    asked = done.stdout.splitlines()
    assert [line for line in asked if line not in lock] == [
        f"{line}+cpu" for line in lock if line.startswith(("torch==", "torchvision=="))
    ]
    left_out = {line.partition("==")[0] for line in lock} - {a.partition("==")[0] for a in asked}
    assert {"triton", "cuda-toolkit", "nvidia-cublas"} <= left_out
    assert {name.partition("-")[0] for name in left_out} == {"triton", "cuda", "nvidia"}
