"""A lock that a killed run left is recognised; that of a living run is respected."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.workflow.workflow import ROOT, SMALL, Workflow
from wood.runtime import locks


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
    (tmp_path / ".snakemake" / "locks" / "0.input.lock").touch()
    return tmp_path


def held(folder):
    return list((folder / ".snakemake" / "locks").glob("*")) != []


def test_the_lock_of_a_living_run_stays(folder):
    locks.record_owner()
    assert not locks.remove_stale_locks()
    assert held(folder)


def test_the_lock_of_an_ended_run_goes(folder):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from wood.runtime.locks import *; record_owner()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert locks.remove_stale_locks()
    assert not held(folder)


def test_the_lock_of_another_machine_stays(folder):
    locks.record_owner()
    owner = json.loads(locks.OWNER.read_text())
    locks.OWNER.write_text(json.dumps({**owner, "host": "elsewhere", "started": "long ago"}))
    assert not locks.remove_stale_locks()
    assert held(folder)


def test_the_lock_of_an_unknown_run_stays(folder):
    assert not locks.remove_stale_locks()
    assert held(folder)


def test_a_killed_run_goes_on_without_a_manual_step(tmp_path):
    """SIGKILL of the whole process group in the middle of drawing the demo."""
    target = "results/small/data/train.csv"
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(tmp_path), "--cores", "1", target, "--configfile", str(SMALL),
    ]  # fmt: skip
    running = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    drawing = tmp_path / "results/small/.demo.part"
    while not drawing.exists() and running.poll() is None:
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert held(tmp_path)
    assert not (tmp_path / target).exists()
    Workflow(tmp_path).make(target)
    assert (tmp_path / target).exists()
