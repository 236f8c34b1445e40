"""GPUs are claimed by number, never shared, and never missed without a word."""

import os
import select
import subprocess
import sys

import pytest

from tests.places import ROOT
from wood.runtime.devices import claim_gpus, visible_gpus
from wood.runtime.errors import InputError

HOLD = """
import sys
from wood.runtime.devices import claim_gpus, visible_gpus
claim_gpus(sys.argv[1] if sys.argv[1] == "auto" else int(sys.argv[1]))
print(",".join(visible_gpus()), flush=True)
sys.stdin.read()
"""


class Holder:
    """A process that claims some GPUs and keeps them until it is told to end."""

    def __init__(self, wanted, folder, visible="0,1,2", **variables):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(wanted)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ | {"CUDA_VISIBLE_DEVICES": visible, "TMPDIR": str(folder)} | variables,
            text=True,
        )  # fmt: skip

    def gpus(self):
        return self.process.stdout.readline().strip()

    def end(self):
        return self.process.communicate("")[1]


@pytest.mark.parametrize(("wanted", "held"), [(0, ""), (1, "A"), (2, "A,B"), ("auto", "A")])
def test_exactly_so_many_are_kept(tmp_path, wanted, held):
    holder = Holder(wanted, tmp_path, visible="A,B,C")
    assert holder.gpus() == held
    assert ("runs on the CPU" in holder.end()) is bool(held)


def test_jobs_side_by_side_never_share(tmp_path):
    """On a machine with one GPU too: the second job waits until the first has ended."""
    first = Holder("auto", tmp_path, visible="only")
    assert first.gpus() == "only"
    second = Holder("auto", tmp_path, visible="only")
    first.end()
    assert second.gpus() == "only"
    second.end()


def test_jobs_of_slurm_that_each_see_a_gpu_0_do_not_wait_for_each_other(tmp_path):
    """With cgroups CUDA numbers the GPUs of each job from 0; Slurm says which they are."""
    first = Holder(1, tmp_path, visible="0", SLURM_JOB_GPUS="2")
    assert first.gpus() == "0"
    second = Holder(1, tmp_path, visible="0", SLURM_JOB_GPUS="3")
    claimed = select.select([second.process.stdout], [], [], 120)[0]
    first.end()
    assert claimed
    assert second.gpus() == "0"
    second.end()


def test_missing_gpus_are_said(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with pytest.raises(InputError, match=r"gpus is 4, but CUDA shows this job 1 .*gpus: 0 it runs"):
        claim_gpus(4)


def test_no_gpu_is_no_fault_where_none_is_asked_for(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    claim_gpus("auto")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""


def test_jobs_with_temporary_folders_of_their_own_take_different_gpus(tmp_path):
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
    first = Holder(1, tmp_path / "1", visible="A, B")
    assert first.gpus() == "A"
    second = Holder(1, tmp_path / "2", visible="A,B")
    assert second.gpus() == "B"
    first.end()
    second.end()


@pytest.mark.parametrize("listed", ["0,0,0", "0, 0", "00,0", "GPU-a,GPU-a", "1,0,1"])
def test_a_gpu_named_twice_is_refused(monkeypatch, listed):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    with pytest.raises(InputError, match=r"CUDA_VISIBLE_DEVICES: .* twice"):
        claim_gpus(2)


@pytest.mark.parametrize("listed", ["0,1", "0, 1", " 0 ,1,", "00,01", "0,1,-1,2"])
def test_spellings_of_the_same_gpus_are_one(monkeypatch, listed):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible_gpus() == ["0", "1"]
