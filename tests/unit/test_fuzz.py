"""The short form of `make fuzz`, and what its long form has found."""

from pathlib import Path

import pytest

from tests.fuzz.__main__ import FINDINGS
from tests.fuzz.entrances import entrances
from tests.fuzz.worker import HELD, Run, folder_name

SEED = 0
INPUTS = 8  # of each entrance
SLOW = ("Open Images", "classifier", "HTTP")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@pytest.fixture(scope="module")
def gates(folder):
    needed = folder / "needed"
    needed.mkdir()
    return list(entrances(needed))


@pytest.mark.filterwarnings("ignore")
def test_every_input_is_read_or_refused_in_a_sentence(folder, gates, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    run = Run(folder, SEED, folder / "found")
    for gate in gates:
        if not gate.name.startswith(SLOW):
            for _ in range(INPUTS):
                run.next_of(gate)
    assert run.say() == 0, capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} <= {"needed", "input", "current.json"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", sorted(FINDINGS.glob("*/*")), ids=lambda path: path.parent.name)
def test_what_was_found_is_mended(folder, gates, path, monkeypatch):
    monkeypatch.chdir(folder)
    [gate] = [gate for gate in gates if folder_name(gate) == path.parent.name]
    assert Run(folder, SEED, folder).outcome_of(gate, Path(path).read_bytes()) in HELD
