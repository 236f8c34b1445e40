"""What every job asks a scheduler for, and how many jobs there are."""

import re

import pytest
import yaml

from benchmarks.dag import configuration
from tests.places import ROOT
from tests.workflow.plan import TARGET_RULES, plan, with_dag

TRAININGS = {"train_classifier", "train_irnet", "train_segmentation"}
SHARDS = {"candidate_scores", "features", "localize", "walk", "segment", "centers"}
PROFILES = {path.parent.name: path for path in (ROOT / "profiles").glob("*/config.yaml")}


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Per rule, what its jobs ask for at the first and the second attempt, with four GPUs."""
    asked = {}

    def note(workflow):
        for job in workflow.dag.jobs:
            if job.rule.name in TARGET_RULES - {"provenance"}:
                continue
            attempts = []
            for attempt in (1, 2):
                job.attempt = attempt
                attempts.append({**dict(job.resources.items()), "threads": job.threads})
            asked[job.rule.name] = (job.rule, attempts)

    with_dag(tmp_path_factory.mktemp("resources"), note, {"gpus": 2})
    return asked


def test_every_rule_asks_for_memory_time_and_threads(asked):
    assert len(asked) >= 25
    for name, (rule, (first, second)) in asked.items():
        assert first["mem_mb"] >= 500, name
        assert second["mem_mb"] == 2 * first["mem_mb"], name
        assert 10 <= first["runtime"] <= 2880, name
        assert first["threads"] >= 1, name
        assert rule.log, name
        assert rule.benchmark, name


def test_only_what_computes_on_gpus_asks_for_them(asked):
    gpus = {name: first.get("gpu") for name, (_, (first, _)) in asked.items()}
    assert {name for name, count in gpus.items() if count == 2} == TRAININGS
    assert {name for name, count in gpus.items() if count == 1} == SHARDS
    assert {count for name, count in gpus.items() if name not in TRAININGS | SHARDS} == {None}


def test_slurms_profile_lists_every_rule_that_asks_for_a_gpu(tmp_path):
    asking = set()

    def note(workflow):
        for rule in workflow.rules:
            resource = rule.resources.get("gpu")
            if resource is not None and resource.value:
                asking.add(rule.name)

    with_dag(tmp_path, note, {"gpus": 1, "ood": {"select": {"seeds": 2}}})
    listed = set(re.findall(r"# +(\w+): \{slurm_partition", PROFILES["slurm"].read_text()))
    assert asking >= TRAININGS | SHARDS | {"candidate_scores_of_seed"}
    assert asking - listed == set()


def test_profiles_name_rules_that_exist_and_retry_failed_jobs_once(asked):
    assert set(PROFILES) == {"default", "gpu", "slurm", "cluster-generic"}
    for name, path in PROFILES.items():
        profile = yaml.safe_load(path.read_text())
        assert set(profile.get("groups", {})) <= set(asked)
        assert set(profile.get("groups", {}).values()) == set(profile.get("group-components", {}))
        assert profile["rerun-incomplete"] is True
        assert name == "default" or profile["restart-times"] == 1


def test_the_number_of_jobs_depends_on_shards_not_on_images(tmp_path):
    """The paper's 10,582 images, 9 million candidates; see benchmarks/dag.py for the time."""
    few = configuration(4)
    counts = []
    for images, shards in ((10_582, 20), (100, 20), (10_582, 40)):
        changes = {
            **few,
            "demo": {"train_images": images, "pool_images": 9_000_000},
            "shards": {"images": shards, "candidates": 200},
        }
        counts.append(len(plan(tmp_path, changes)))
    assert counts[0] == counts[1]
    assert counts[0] < counts[2] < 2 * counts[0]
