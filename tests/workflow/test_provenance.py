"""What made the results is written down, and a file that was changed later is found."""

import subprocess
import sys

from tests.places import ROOT
from wood.runtime.provenance import config_hash
from wood.runtime.store import PROVENANCE, read_json


def verify(folder):
    return subprocess.run(
        [sys.executable, "-m", "wood", "verify", str(folder)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip


def test_every_job_and_every_file_is_recorded(made):
    results = made.folder / "results" / "small"
    record = read_json(results / PROVENANCE)
    assert record["config"]["classifier"]["training"]["epochs"] == 4
    assert record["config hash"] == config_hash(record["config"])
    assert record["seeds"] == [0]
    assert "torch" in record["packages"]
    assert sum(record["devices"].values()) >= 10
    assert len(record["commit"]) == 12 or record["commit"] == "not a checkout"
    trained = record["jobs"]["seeds/train_classifier/cam-0"]
    assert trained["seconds"] > 1
    assert trained["peak MB"] > 100
    assert "report/report_page" in record["jobs"]
    assert "scores/seeds/irn/seed-0.json" in record["files"]
    assert not any(name.startswith(("logs", "benchmarks")) for name in record["files"])
    page = (results / "report" / "index.html").read_text()
    assert record["config hash"] in page
    assert record["commit"] in page


def test_a_changed_and_a_missing_file_are_found(copy):
    results = copy.folder / "results" / "small"
    done = verify(results)
    assert done.returncode == 0, done.stderr
    score = results / "scores/seeds/irn/seed-0.json"
    score.write_text(score.read_text().replace("0", "1", 1))
    (results / "report" / "index.html").unlink()
    done = verify(results)
    assert done.returncode == 1
    assert "seed-0.json: it is not the file that was recorded" in done.stderr
    assert "index.html: it is missing" in done.stderr
    assert done.stderr.count("Error:") == 2


def test_results_without_a_record(tmp_path):
    done = verify(tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"Error: {tmp_path / PROVENANCE}: no such file.\n"
