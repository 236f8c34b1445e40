"""The profile for Slurm, on a real one of two nodes: a run, kills, retries; a path with a space."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.places import ROOT
from tests.workflow.slurm import NODES, Cluster, missing_programs
from tests.workflow.workflow import SMALL
from wood.runtime.store import read_json

# One classifier from the data to the page, without OoD images.
REDUCED = {
    "demo": {"train_images": 18, "val_images": 5, "pool_images": 20},
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
    """A run through the profile; its folder and what it said.

    Its training is cancelled once, and the node it was on takes no further jobs.
    """
    folder = tmp_path_factory.mktemp("slurm") / "the results"
    folder.mkdir()
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
            while not list(classifier.glob(".*.checkpoint")) and running.poll() is None:
                time.sleep(0.1)
            for job in cluster.jobs():
                if job["JobState"] == "RUNNING":
                    update = f"NodeName={job['NodeList']}", "State=DRAIN", "Reason=test"
                    cluster.call("scontrol", "update", *update)
                    cluster.call("scancel", job["JobId"])
            running.wait(timeout=600)
        finally:
            running.kill()
    assert running.returncode == 0, said.read_text() + cluster.logs()
    return folder, said.read_text()


def generic(cluster, folder, *options):
    """Draw the demo through the template for other schedulers: what it said, and its code."""
    folder.mkdir()
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(folder), "--profile", str(ROOT / "profiles" / "cluster-generic"),
        "--nocolor", "--latency-wait", "5", "--configfile", str(SMALL), *options,
        "--", "results/small/demo/review-truth.csv",
    ]  # fmt: skip
    done = subprocess.run(
        command, env=cluster.environment, capture_output=True, text=True, timeout=300
    )
    return done.stdout + done.stderr, done.returncode


def test_the_template_for_other_schedulers_runs_a_job(cluster, tmp_path):
    said, code = generic(cluster, tmp_path / "run")
    assert code == 0, said + cluster.logs()
    assert (tmp_path / "run" / "results/small/demo/review-truth.csv").exists()
    assert list((tmp_path / "run" / ".snakemake/cluster-logs").glob("*.log"))


def test_a_scheduler_that_does_not_answer_is_not_a_failed_job(cluster, tmp_path):
    status = ROOT / "profiles" / "cluster-generic" / "status.sh"

    def said(environment):
        return subprocess.check_output([status, "99999"], env=environment, text=True).strip()

    assert said(cluster.environment) == "failed"  # it answers that there is no such job
    assert said(cluster.environment | {"SLURM_CONF": str(tmp_path / "none.conf")}) == "running"


def test_a_profile_whose_gpus_are_lost_is_said(cluster, tmp_path):
    """`--config` takes the place of the profile's, so `gpus` would be `auto`: jobs without GPUs."""
    said, code = generic(cluster, tmp_path / "run", "--config", "dataset=small")
    assert code != 0
    assert "gpus is auto, but the jobs go to a scheduler" in said
    assert not (tmp_path / "run" / "results").exists()


def test_a_reduced_run_goes_from_data_to_the_page(ended):
    folder, _ = ended
    results = folder / "results" / "small"
    assert (results / "report" / "index.html").exists()
    assert 0 < read_json(results / "scores/seeds/irn/seed-0.json")["configured"]["miou"] < 1


def test_short_jobs_are_submitted_together_and_only_gpu_rules_ask_for_a_gpu(ended, cluster):
    gpus = {}
    of_the_profile = (job for job in cluster.jobs() if "/slurm_logs/" in job["StdOut"])
    for job in of_the_profile:
        name = re.search(r"/slurm_logs/(?:rule_(\w+)|group_([a-z]+)_)", job["StdOut"])
        gpus.setdefault(name[1] or name[2], []).append(job.get("TresPerJob"))
    assert gpus == {
        "demo_scenes": [None],
        "lists": [None],
        "train_classifier": ["gres:gpu:1"] * 2,
        "localize": ["gres:gpu:1"] * 2,
        "scores": [None],
        "report_page": [None],
        "provenance": [None],
    }


def test_a_job_killed_for_its_memory_gets_more(ended, cluster):
    _, said = ended
    states = [
        (job["JobState"], re.search(r"mem=(\w+)", job["TRES"])[1])
        for job in cluster.jobs()
        if "rule_localize" in job["StdOut"]
    ]
    assert states == [("FAILED", "150M"), ("COMPLETED", "3150M")]
    [error] = re.findall(r"Error in rule localize:.*?external_jobid", said, re.DOTALL)
    named = re.search(r"log: (\S+), (.+\.log)", error)
    assert named[1] == "results/small/logs/seeds/localize/cam-0-cam-0000.log"
    assert "exceeded memory limit" in Path(named[2]).read_text()


def test_a_cancelled_training_goes_on_from_its_checkpoint(ended, cluster):
    folder, _ = ended
    states = [job["JobState"] for job in cluster.jobs() if "train_classifier" in job["StdOut"]]
    assert states == ["CANCELLED", "COMPLETED"]
    nodes = [job["NodeList"] for job in cluster.jobs() if "train_classifier" in job["StdOut"]]
    assert sorted(nodes) == sorted(NODES), "the training goes on at the other node"
    log = (folder / "results/small/logs/seeds/train_classifier/cam-0.log").read_text()
    assert re.search(r"Going on from iteration \d+", log), log
    assert not list((folder / "results").rglob(".*.checkpoint"))
