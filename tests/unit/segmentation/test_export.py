import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from tests.places import ROOT
from wood.cli import main
from wood.models.backbones import create_backbone
from wood.models.deeplab import DeepLabV2, save_network
from wood.runtime.errors import InputError
from wood.segmentation import export
from wood.segmentation.export import WholeImage, export_onnx
from wood.segmentation.inference import MultiScale
from wood.segmentation.predict import predict


@pytest.fixture(params=["cells", "stretched"])
def network(request):
    torch.manual_seed(0)
    backbone = create_backbone("test_efficientnet", weights=None)
    network = DeepLabV2(backbone, 3, [1, 2], request.param)
    for branch in network.aspp.branches:
        torch.nn.init.normal_(branch.weight, std=1.0)
    return network.eval()


def test_what_is_exported_gives_the_classes_of_predict(network):
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((83, 61))
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        found = WholeImage(network)(pixels)[0].argmax(dim=0).numpy()
    expected = predict(network, image, MultiScale((1.0,)))
    assert len(np.unique(expected)) > 1
    assert (found == expected).mean() > 0.999


def test_the_onnx_file_gives_the_classes_of_predict(network, tmp_path):
    path, output = tmp_path / "network.safetensors", tmp_path / "network.onnx"
    metadata = {"output_stride": 16, "atrous_rates": [1, 2], "class_names": ["cat", "dog"]}
    save_network(path, network, metadata | {"backbone": "test_efficientnet"})
    export_onnx(path, output)
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    labels = session.get_modelmeta().custom_metadata_map["labels"]
    assert labels == '["background", "cat", "dog"]'
    for size in ((83, 61), (200, 130)):
        coarse = np.random.default_rng(1).integers(0, 256, (6, 8, 3)).astype(np.uint8)
        image = Image.fromarray(coarse).resize(size)
        pixels = np.array(image, np.float32).transpose(2, 0, 1)[None]
        (logits,) = session.run(["logits"], {"image": pixels})
        expected = predict(network, image, MultiScale((1.0,)))
        assert len(np.unique(expected)) > 1
        assert (logits[0].argmax(axis=0) == expected).mean() >= 0.999


def test_the_demos_network_is_exported_in_minutes_and_not_in_hours(tmp_path):
    """Sizes that the exporter has to reason about grow with a network's depth."""
    backbone = create_backbone("tf_efficientnet_lite0", weights=None)
    network = DeepLabV2(backbone, 3, [3, 6, 9, 12], "cells").eval()
    path, output = tmp_path / "network.safetensors", tmp_path / "network.onnx"
    metadata = {"output_stride": 16, "atrous_rates": [3, 6, 9, 12], "class_names": ["cat", "dog"]}
    save_network(path, network, metadata | {"backbone": "tf_efficientnet_lite0"})
    command = [sys.executable, "-m", "wood", "export", "--weights", path, "-o", output]
    subprocess.run(command, check=True, cwd=ROOT, timeout=300)
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 3, 99, 131)).astype(np.float32)
    with torch.no_grad():
        expected = WholeImage(network)(torch.from_numpy(pixels)).numpy()
    (logits,) = session.run(["logits"], {"image": pixels})
    assert np.abs(logits - expected).max() < 1e-3 * np.abs(expected).max()


def test_a_missing_package_is_named(network, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "NEEDED", ("onnx_of_nowhere",))
    with pytest.raises(InputError, match="onnx_of_nowhere"):
        export_onnx(tmp_path / "network.safetensors", tmp_path / "network.onnx")


def test_the_command_says_what_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "NEEDED", ())
    command = ["--weights", str(tmp_path / "no.safetensors"), "-o", str(tmp_path / "x.onnx")]
    assert main(["export", *command]) == 1
    assert "no.safetensors: no such file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_another_backbone_is_refused_before_anything_is_written(network, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "NEEDED", ())
    path = tmp_path / "network.safetensors"
    metadata = {"output_stride": 16, "atrous_rates": [1, 2], "class_names": ["cat", "dog"]}
    save_network(path, network, metadata | {"backbone": "test_resnet"})
    with pytest.raises(InputError, match="another architecture"):
        export_onnx(path, tmp_path / "network.onnx")
    assert not (tmp_path / "network.onnx").exists()
