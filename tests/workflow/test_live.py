"""A real run as one sees it, on a terminal and without one."""

import os
import pty
import subprocess

from tests.workflow.workflow import Workflow


def on_a_terminal(command):
    """Run a command in a pseudo-terminal, and return its exit code and what it printed."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            text += part
    os.close(ours)
    return process.returncode, text.decode()


def test_a_run_shows_its_stages_and_its_error_last(tmp_path):
    workflow = Workflow(tmp_path)
    target = "results/small/ood/candidates.parquet"
    wrong = {"ood": {"openimages": {"class_map": {"boat": ["Boatx"]}}}}
    code, text = on_a_terminal(workflow.command(target, changes=wrong))
    assert code == 1
    assert "\x1b[2Kdata " in text
    assert text.count("there is no Open Images label 'Boatx'") == 1
    assert text.strip().splitlines()[-1].startswith("To go on: snakemake ")
    done = workflow.run(target)
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "\x1b" not in text
    assert "1 of 1: candidates, " in text
