"""Worker processes: order, errors, crashes and the way out."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tests.places import ROOT
from wood.runtime.errors import InputError
from wood.runtime.pool import Outcome, parallel_map, successes


def power(number, exponent):
    return number**exponent


def misbehave(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 5:
        raise InputError("five.jpg: not a readable image.")
    if number == 7:
        raise ZeroDivisionError("seven")
    if number == 0:
        time.sleep(0.2)
    return number


def environment(_item):
    return os.environ["OMP_NUM_THREADS"], os.getpid()


def die_when_idle(number):
    if number == 1:
        # Once the answer is out, while no item is being worked on.
        subprocess.Popen(["sh", "-c", f"sleep 0.2; kill -9 {os.getpid()}"])
    return number


def run_script(script):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, env=environment
    )


def test_values_come_in_order():
    outcomes = list(parallel_map(partial(power, exponent=2), range(40), workers=2))
    assert outcomes == [Outcome(number, number**2) for number in range(40)]


def test_a_crash_is_named_and_the_others_go_on():
    outcomes = list(parallel_map(misbehave, range(10), workers=2, name=lambda n: f"image {n}"))
    assert [outcome.item for outcome in outcomes] == list(range(10))
    errors = {outcome.item: outcome.error for outcome in outcomes if outcome.error}
    assert errors == {
        3: "image 3: the worker process died (SIGSEGV)",
        5: "five.jpg: not a readable image.",
        7: "image 7: ZeroDivisionError: seven",
    }
    assert [outcome.value for outcome in outcomes if not outcome.error] == [0, 1, 2, 4, 6, 8, 9]


def test_a_worker_killed_while_idle_costs_no_item():
    def items():
        yield 1
        time.sleep(0.6)
        yield 2

    outcomes = list(parallel_map(die_when_idle, items(), workers=1))
    assert [outcome.value for outcome in outcomes] == [1, 2]


def test_workers_compute_on_one_thread_in_other_processes():
    values = [outcome.value for outcome in parallel_map(environment, range(6), workers=2)]
    assert {threads for threads, _ in values} == {"1"}
    assert os.getpid() not in {process for _, process in values}


def test_items_are_taken_as_needed():
    taken = []

    def items():
        for number in range(10_000):
            taken.append(number)
            yield number

    outcomes = parallel_map(partial(power, exponent=1), items(), workers=2)
    assert next(outcomes).value == 0
    outcomes.close()
    assert len(taken) < 50


def test_leaving_early_ends_the_workers():
    outcomes = parallel_map(environment, range(100), workers=2)
    process = next(outcomes).value[1]
    outcomes.close()
    assert not Path(f"/proc/{process}").exists()


def test_no_items():
    assert list(parallel_map(misbehave, [], workers=2)) == []


def test_a_function_that_cannot_be_imported_is_no_image_s_fault(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from wood.runtime.pool import parallel_map\n"
        "def function(item): return item\n"
        "list(parallel_map(function, [1], workers=1))\n"
    )
    result = run_script(script)
    assert result.returncode == 1
    assert "not in a module" in result.stderr


def test_the_main_script_is_not_run_again(tmp_path):
    """Snakemake runs a job's script as __main__, without a guard."""
    script = tmp_path / "script.py"
    script.write_text(
        "print('started')\n"
        "from operator import neg\n"
        "from wood.runtime.pool import parallel_map\n"
        "print([outcome.value for outcome in parallel_map(neg, [1, 2], workers=2)])\n"
    )
    result = run_script(script)
    assert result.stdout == "started\n[-1, -2]\n"


def test_successes_are_listed_until_too_many_fail(caplog):
    outcomes = [Outcome(1, "a"), Outcome(2, None, "b.jpg: broken."), Outcome(3, "c")]
    assert [outcome.item for outcome in successes(outcomes, 3, 0.4)] == [1, 3]
    assert "b.jpg: broken." in caplog.text
    with pytest.raises(InputError, match=r"1 of 3 .* b\.jpg: broken\."):
        list(successes(outcomes, 3, 0.3))
