"""Kernels of one instruction set: what jobs inherit, and what is refused and written down."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from tests.places import ROOT
from wood.runtime import environment
from wood.runtime.environment import (
    INSTRUCTION_SETS,
    check_instruction_set,
    pin_instruction_set,
    pinned_variables,
    processor,
)
from wood.runtime.errors import InputError
from wood.runtime.jobs import checkpoint_path
from wood.runtime.provenance import provenance
from wood.workflow.inputs import Inputs
from wood.workflow.resolve import merge
from wood.workflow.targets import Targets

BASE = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture(autouse=True)
def unpinned(monkeypatch):
    """No variable is set, and whatever a test sets goes again."""
    for name in INSTRUCTION_SETS["avx2"]:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def cpu_with(monkeypatch, *sets):
    monkeypatch.setattr(environment, "processor", lambda: ("a processor", set(sets)))


def test_each_set_names_the_same_libraries():
    assert len({frozenset(variables) for variables in INSTRUCTION_SETS.values()}) == 1
    assert set(INSTRUCTION_SETS) == set(environment.FLAGS)


@pytest.mark.parametrize("name", INSTRUCTION_SETS)
def test_a_set_is_pinned_whatever_the_user_had_set(name, monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    pin_instruction_set(name, "float32")
    assert pinned_variables() == INSTRUCTION_SETS[name]


def test_with_null_nothing_is_pinned_and_the_users_own_stays(monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    pin_instruction_set(None, "float32")
    assert pinned_variables() == {"ATEN_CPU_CAPABILITY": "default"}


@pytest.mark.parametrize("has", [("avx2",), ("avx2", "avx512")])
def test_by_default_processors_with_and_without_avx512_compute_alike(has, monkeypatch):
    cpu_with(monkeypatch, *has)
    check_instruction_set(BASE["cpu_isa"])
    pin_instruction_set(BASE["cpu_isa"], BASE["precision"])
    assert pinned_variables() == INSTRUCTION_SETS["avx2"]


@pytest.mark.parametrize(("has", "precision"), [((), "float32"), (("avx2", "avx512"), "bfloat16")])
def test_auto_leaves_other_processors_and_bfloat16_alone(has, precision, monkeypatch):
    cpu_with(monkeypatch, *has)
    check_instruction_set("auto")
    pin_instruction_set("auto", precision)
    assert pinned_variables() == {}


def test_torch_computes_with_the_set_that_a_process_inherits():
    if "avx2" not in processor()[1]:
        pytest.skip("this processor has no AVX2")
    pin_instruction_set("avx2", "float32")
    code = "import torch; print(torch.backends.cpu.get_cpu_capability())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "AVX2"


def test_a_processor_without_the_set_is_refused(monkeypatch):
    cpu_with(monkeypatch, "avx2")
    check_instruction_set("avx2")
    check_instruction_set(None)
    with pytest.raises(InputError, match=r"cpu_isa is avx512, which this processor \(a processor"):
        check_instruction_set("avx512")


def test_a_processor_that_says_nothing_is_not_refused(monkeypatch):
    cpu_with(monkeypatch)
    check_instruction_set("avx512")


def test_the_provenance_names_the_processor_and_the_pinned_set():
    pin_instruction_set("avx2", "float32")
    found = json.loads(json.dumps(provenance()))
    assert found["processor"] == processor()[0] != ""
    assert found["instruction sets"]["ONEDNN_MAX_CPU_ISA"] == "AVX2"
    assert found["instruction sets"]["it has"] == sorted(processor()[1])


def test_jobs_that_compute_depend_on_the_set(tmp_path):
    inputs = Inputs(Targets(merge(BASE, {"cpu_isa": "avx2"})))
    for name in ("training", "inference", "batches", "named", "kernels"):
        assert getattr(inputs, name)["cpu_isa"] == "avx2", name
    output = tmp_path / "model.safetensors"
    one, other = (checkpoint_path(output, [], {"cpu_isa": isa}) for isa in ("avx2", None))
    assert one != other


@pytest.mark.parametrize(
    ("changes", "seen"),
    [((), "AVX2\n"), (("cpu_isa=null",), ""), (("precision=bfloat16",), "")],
)
def test_the_rule_files_pin_the_set_at_once(changes, seen, tmp_path):
    """A job on any machine reads the rule files first, and its script inherits the environment."""
    for name in ("config.yaml", "wood", "rules", "schemas"):
        (tmp_path / name).symlink_to(ROOT / name)
    probe = tmp_path / "probe.smk"
    probe.write_text(
        'configfile: f"{workflow.basedir}/config.yaml"\ninclude: "rules/common.smk"\n'
        "rule probe:\n    output: 'seen'\n"
        "    shell: 'printenv ONEDNN_MAX_CPU_ISA > {output} || true'\n"
    )
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(probe), "--cores", "1"]
    command += ["--directory", str(tmp_path)] + (["--config", *changes] if changes else [])
    done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "seen").read_text() == seen
