"""The profile for Slurm, on a real one of one node: a run, kills, retries."""

import re
import subprocess
import sys
import time

import pytest
import yaml

from tests.workflow.slurm import Cluster, missing_programs
from tests.workflow.workflow import ROOT, SMALL
from wood.store import read_json

# One classifier from the data to the page, without OoD images.
REDUCED = {
    "demo": {"train_images": 18, "val_images": 2, "pool_images": 1},
    "data": {"val": None},
    "ood": {"source": "none"},
    "classifier": {"training": {"epochs": 12, "checkpoint_seconds": 1}},
    "classifiers": {"cam-wood": None, "cam-more": None},
    "experiments": {"irn": {"until": "seeds"}, "irn-more": None, "irn-wood": None},
    "shards": {"images": 1},
}

# Torch alone needs more than the first attempt gets.
MEMORY_OF_LOCALIZE = "3000 * (attempt - 1) + 150"


@pytest.fixture(scope="module")
def cluster():
    missing = missing_programs()
    if missing:
        pytest.fail(f"this test needs {', '.join(missing)}: run `make slurm` (munge, slurm-wlm)")
    with Cluster() as running:
        yield running


@pytest.fixture(scope="module")
def ended(cluster, tmp_path_factory):
    """A run through the profile, its training cancelled once; its folder and what it said."""
    folder = tmp_path_factory.mktemp("slurm")
    overlay = folder / "reduced.yaml"
    overlay.write_text(yaml.safe_dump(REDUCED))
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(folder), "--profile", str(ROOT / "profiles" / "slurm"), "--nocolor",
        # No accounting database, and no patience.
        "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "1",
        "--seconds-between-status-checks", "1", "--max-status-checks-per-second", "10",
        "--latency-wait", "5", "--slurm-no-account",
        "--set-resources", f"localize:mem_mb={MEMORY_OF_LOCALIZE}",
        "--configfile", str(SMALL), str(overlay),
    ]  # fmt: skip
    said = folder / "said.txt"
    with said.open("w") as output:
        running = subprocess.Popen(
            command, env=cluster.environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            classifier = folder / "results/small/classifiers/cam/seed-0"
            checkpoints = lambda: list(classifier.glob(".*.checkpoint"))  # noqa: E731
            while not checkpoints() and running.poll() is None:
                time.sleep(0.1)
            [job] = [job for job in cluster.jobs() if job["JobState"] == "RUNNING"]
            cluster.call("scancel", job["JobId"])
            running.wait(timeout=300)
        finally:
            running.kill()
    assert running.returncode == 0, said.read_text() + cluster.logs()
    return folder, said.read_text()


def test_a_reduced_run_goes_from_data_to_the_page(ended):
    folder, _ = ended
    results = folder / "results" / "small"
    assert (results / "report" / "index.html").exists()
    assert 0 < read_json(results / "scores/seeds/irn/seed-0.json")["configured"]["miou"] < 1
