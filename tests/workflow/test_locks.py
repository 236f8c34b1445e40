"""A lock that a killed run left is recognised; that of a living run is respected."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from tests.places import ROOT
from tests.workflow.workflow import SMALL, Workflow
from wood.runtime import locks
from wood.runtime.errors import InputError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(locks, "_held", {})
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
    (tmp_path / ".snakemake" / "locks" / "0.input.lock").touch()
    yield tmp_path
    for handle in locks._held.values():
        os.close(handle)


def held(folder):
    return list((folder / ".snakemake" / "locks").glob("*")) != []


def other_run(code, folder, *before):
    """A run of its own: it calls functions of the locks, says so, and lives until it is ended."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from wood.runtime.locks import *; "
        f"{code}; print('ready', flush=True); sys.stdin.read()"
    )
    running = subprocess.Popen(
        [*before, sys.executable, "-c", program],
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert running.stdout.readline() == "ready\n"
    return running


def end(running):
    running.kill()
    running.communicate()


def test_the_lock_of_a_living_run_stays(folder):
    living = other_run("record_owner()", folder)
    assert not locks.remove_stale_locks()
    assert held(folder)
    end(living)
    assert locks.remove_stale_locks()
    assert not held(folder)


def test_the_lock_stays_while_one_of_two_runs_lives(folder):
    first, second = other_run("record_owner()", folder), other_run("record_owner()", folder)
    end(first)
    assert not locks.remove_stale_locks()
    end(second)
    assert locks.remove_stale_locks()


def test_the_lock_of_a_living_run_stays_where_its_process_cannot_be_seen(folder):
    """In a container of the same host name the process has no number, or that of another."""
    locks.record_owner()
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        "from wood.runtime.locks import *; print(remove_stale_locks())"
    )
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    if "unshare" in done.stderr:
        pytest.skip("a namespace of one's own takes root")
    assert done.stdout == "False\n", done.stderr
    assert held(folder)


def test_a_run_killed_before_it_has_written_its_name_leaves_no_living_lock(folder):
    """The lock is taken first: between it and the name, nobody sees a lock without an owner."""
    end(other_run("record_owner()", folder))
    living = other_run("import wood.runtime.locks as l; l._lock(l._open(HELD), 1)", folder)
    assert not locks.remove_stale_locks()
    end(living)


def test_the_lock_of_another_machine_stays(folder):
    locks.OWNER.write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    assert not locks.remove_stale_locks()
    assert held(folder)


def test_the_lock_of_an_unknown_run_stays(folder):
    assert not locks.remove_stale_locks()
    assert held(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b'{"host": 3}', b"null"])
def test_a_broken_record_is_that_of_an_unknown_run(folder, content):
    locks.OWNER.write_bytes(content)
    assert not locks.remove_stale_locks()
    assert held(folder)
    locks.record_owner()
    assert json.loads(locks.OWNER.read_text())["pid"] == os.getpid()


@pytest.fixture
def checkouts(folder):
    """Two working directories with one folder of results."""
    (folder / "shared").mkdir()
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "results").symlink_to(folder / "shared")
    return folder / "a", folder / "b"


def test_results_are_for_the_runs_of_one_working_directory(checkouts, monkeypatch):
    first, second = checkouts
    living = other_run("hold_results('results/demo')", first)
    again = other_run("hold_results('results/demo')", first)
    monkeypatch.chdir(second)
    locks.hold_results("results/other")
    end(living)
    with pytest.raises(InputError, match=rf"results/demo: a run in {first} .* works there"):
        locks.hold_results("results/demo")
    end(again)
    locks.hold_results("results/demo")


def test_a_second_run_from_another_checkout_is_refused(checkouts):
    first, second = checkouts
    living = other_run("hold_results('results/small')", first)
    done = Workflow(second).run("results/small/data/train.csv")
    assert done.returncode == 1
    assert f"Error: results/small: a run in {first}" in done.stderr
    assert "Traceback" not in done.stderr
    assert Workflow(second).run("--dry-run").returncode == 0
    assert Workflow(second).run("--list-rules").returncode == 0
    end(living)


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
