"""What the scripts of the workflow import: a job's start is mostly that."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.places import ROOT
from wood.runtime import provenance

# The steps that compute with tensors. All others start without torch, in a third of the time.
WITH_TENSORS = {
    *("candidate_scores", "centers", "epoch_features", "features", "fetch_weights", "instances"),
    *("ir_labels", "localize", "seeds_with_crf", "segment", "threshold_beside_ood", "walk"),
    *("choose_threshold", "score_seeds", "browse"),
    *("train_classifier", "train_irnet", "train_segmentation"),
}


def run(code: str) -> list[str]:
    """Run Python code in a process of its own; return what its last line prints, as JSON."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def imports_of(script: Path) -> str:
    lines = script.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.startswith(("import ", "from ")))


def test_scripts_without_tensors_start_without_torch():
    scripts = {path.stem: path for path in (ROOT / "workflow_scripts").glob("*.py")}
    assert set(scripts) >= WITH_TENSORS
    code = ["import json, sys", "late = []"]
    for name in sorted(set(scripts) - WITH_TENSORS):
        code += [imports_of(scripts[name])]
        code += [f"late += [{name!r}] if 'torch' in sys.modules and not late else []"]
    assert run("\n".join([*code, "print(json.dumps(late))"])) == []


def test_no_script_starts_with_a_library_that_few_steps_use():
    few = ["torchvision", "timm", "torch._dynamo", "sklearn", "matplotlib", "polars", "fiftyone"]
    code = [imports_of(path) for path in sorted((ROOT / "workflow_scripts").glob("*.py"))]
    code += ["import json, sys", f"print(json.dumps([m for m in {few} if m in sys.modules]))"]
    assert run("\n".join(code)) == []


def test_a_network_of_timm_comes_without_the_others_and_timm_stays_whole():
    """One process: the light way first, then timm as everybody imports it."""
    found = run(
        """
import json, sys
import torch
from wood.models.lean_imports import create_timm_model, torchvision_models

def shapes(model):
    return [type(model).__module__] + [[n, list(t.shape)] for n, t in model.state_dict().items()]

names = ["tf_efficientnet_lite0", "resnet18", "mobilenetv3_small_050.lamb_in1k"]
torchvision_models().resnet18()
light = [shapes(create_timm_model(name, pretrained=False)) for name in names]
loaded = [m for m in ("torch._dynamo", "timm.models.vision_transformer") if m in sys.modules]
import timm
import torch._dynamo.utils
whole = [shapes(timm.create_model(name, pretrained=False)) for name in names]
try:
    create_timm_model("no_such_network")
    unknown = "made"
except RuntimeError as error:
    unknown = str(error)
print(json.dumps([loaded, light == whole, timm.is_model("vit_base_patch16_224"),
                  torch._dynamo.utils.is_compile_supported("meta"), unknown]))
"""
    )
    assert found[:4] == [[], True, True, False]
    assert "no_such_network" in found[4]


def test_no_gpu_is_looked_for_where_no_driver_is(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(provenance, "DRIVERS", (str(tmp_path / "driver"),))
    assert not provenance.gpu_possible()
    (tmp_path / "driver").touch()
    assert provenance.gpu_possible()


def test_a_name_that_no_file_of_timm_defines_is_said():
    """All of timm is loaded for it, with files that need the compiler."""
    code = (
        "from wood.models.backbones import create_backbone\n"
        "from wood.runtime.errors import InputError\n"
        "try:\n    create_backbone('no_such', weights=None)\n"
        "except InputError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "timm has no network 'no_such'" in done.stdout, done.stderr
