"""Published checkpoints, with random tensors under the published names, made into our files."""

import pytest
import timm
import torch
import torchvision

from tests.published import caffe_deeplab, irn_resnet50, seam_wide_resnet38
from wood.cli import main
from wood.data.masks import VOC_CLASSES
from wood.models.backbones import create_backbone
from wood.models.cam import CamClassifier
from wood.models.classifiers import load_classifier
from wood.models.convert import convert_deeplab, convert_irnet
from wood.models.deeplab import DeepLabV2, load_network
from wood.models.irnet import IRNet, load_irnet
from wood.models.published import convert_seam, published_classifier
from wood.models.resnet import ResNet
from wood.models.seam import SeamClassifier
from wood.runtime.errors import InputError


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return ResNet(50, 16).eval()


@pytest.fixture(scope="module")
def cam(resnet):
    """A checkpoint of W-OoD's, IRN's and AdvCAM's CAM network: everything in it twice or more."""
    own = resnet.state_dict()
    head = torch.randn(20, 2048, 1, 1)
    stages = irn_resnet50(own)
    lists = {"stage3.0": "backbone.0.0", "stage4.0": "backbone.1.0"}
    listed = {
        name.replace(stage, place, 1): tensor
        for name, tensor in stages.items()
        for stage, place in lists.items()
        if name.startswith(stage)
    }
    whole = {f"resnet50.{name}": tensor for name, tensor in own.items()}
    heads = {"classifier.weight": head, "newly_added.0.weight": head}
    return whole | stages | listed | heads


def test_a_cam_checkpoint_becomes_our_file_by_the_command(cam, resnet, tmp_path):
    torch.save(cam, tmp_path / "res50_cam.pth")
    path = tmp_path / "model.safetensors"
    assert main(["convert", "cam", str(tmp_path / "res50_cam.pth"), str(path)]) == 0
    model, metadata = load_classifier(path)
    assert metadata["class_names"] == list(VOC_CLASSES)
    assert (metadata["backbone"], metadata["output_stride"]) == ("resnet50", 16)
    assert torch.equal(model.head.weight, cam["classifier.weight"])
    for name, tensor in resnet.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage5.0.fc.weight": None, "surprise.weight": 1}, "'surprise.weight' is not part of"),
        ({"resnet50.layer3.2.conv1.weight": None}, "'backbone.layer3.2.conv1.weight' is missing"),
        ({"classifier.weight": None, "newly_added.0.weight": None}, "'head.weight' is missing"),
        ({"classifier.weight": 21}, r"'head.weight' has shape \(21, 2048, 1, 1\) instead of \(20"),
    ],
)
def test_what_does_not_fit_is_one_sentence(cam, change, message, tmp_path, capsys):
    state = dict(cam)
    for name, rows in change.items():
        state.pop(name, None)
        if rows:
            state[name] = torch.zeros(rows, 2048, 1, 1)
    path = tmp_path / "res50_cam.pth"
    torch.save(state, path)
    with pytest.raises(InputError, match=rf"res50_cam\.pth: .*{message}") as error:
        published_classifier(path, "cam", VOC_CLASSES)
    assert "\n" not in str(error.value)
    assert main(["convert", "cam", str(path), str(tmp_path / "model.safetensors")]) == 1
    assert "res50_cam.pth" in capsys.readouterr().err
    assert not (tmp_path / "model.safetensors").exists()


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path):
    torch.save({"classifier.weight": torch.nn.Linear(1, 1)}, tmp_path / "whole.pth")
    with pytest.raises(InputError, match=r"whole\.pth: not a readable weights file"):
        published_classifier(tmp_path / "whole.pth", "cam", VOC_CLASSES)


def test_seams_checkpoint_loses_its_background_and_nothing_else():
    with torch.device("meta"):
        model = SeamClassifier(create_backbone("wide_resnet38", weights=None, output_stride=8), 20)
    own = model.state_dict()
    heads = {
        "fc8.weight": torch.randn(21, 4096, 1, 1),
        "f8_3.weight": torch.randn(64, 512, 1, 1),
        "f8_4.weight": torch.randn(128, 1024, 1, 1),
        "f9.weight": torch.randn(192, 195, 1, 1),
    }
    published = heads | seam_wide_resnet38(model.backbone.state_dict())
    converted = convert_seam(published, "seam.pth")
    assert set(converted) == set(own)
    assert all(converted[name].shape == own[name].shape for name in own)
    assert torch.equal(converted["head.weight"], heads["fc8.weight"][1:])
    assert torch.equal(converted["embed.weight"], heads["f9.weight"])
    with pytest.raises(InputError, match=r"seam\.pth: the tensor 'fc9\.weight' is not part of"):
        convert_seam(published | {"fc9.weight": torch.zeros(1)}, "seam.pth")


def irnet_names(own):
    """IRNet's tensors as IRN's modules call them, with the second copies in its lists."""
    layers = {"boundary_head": "fc_edge6", "deep_merge": "fc_dp6", "displacement_head.0.0":
              "fc_dp7.0", "displacement_head.0.1": "fc_dp7.1",
              "displacement_head.1": "fc_dp7.3"}  # fmt: skip
    layers |= {f"boundary_stages.{n}": f"fc_edge{n + 1}" for n in range(5)}
    layers |= {f"shallow_stages.{n}": f"fc_dp{n + 1}" for n in range(2)}
    layers |= {f"deep_stages.{n}": f"fc_dp{n + 3}" for n in range(3)}
    state = {"path_indices0": torch.zeros(1), "disp_target": torch.zeros(1)}
    for name, tensor in own.items():
        if name == "mean_displacement":
            state["mean_shift.running_mean"] = state["fc_dp7.4.running_mean"] = tensor
        for ours, theirs in layers.items():
            if name.startswith(f"{ours}."):
                state[name.replace(ours, theirs, 1)] = tensor
    return state | {"edge_layers.5.weight": own["boundary_head.weight"]}


def test_irnets_checkpoint_becomes_our_file(resnet, tmp_path):
    torch.manual_seed(0)
    own = IRNet(ResNet(50, 16)).state_dict()
    own["mean_displacement"] = torch.randn(2)
    backbone = resnet.state_dict()
    published = irnet_names(own) | {f"resnet50.{n}": t for n, t in backbone.items()}
    published |= irn_resnet50(backbone, stem_alone=True)
    torch.save(published, tmp_path / "res50_irn.pth")
    path = tmp_path / "irnet.safetensors"
    assert main(["convert", "irnet", str(tmp_path / "res50_irn.pth"), str(path)]) == 0
    loaded, metadata = load_irnet(path)
    assert metadata["backbone"] == "resnet50"
    for name, tensor in loaded.state_dict().items():
        expected = backbone[name[9:]] if name.startswith("backbone.") else own[name]
        assert torch.equal(tensor, expected), name
    with pytest.raises(InputError, match=r"irn\.pth: the tensor 'fc_edge7x' is not part of IRNet"):
        convert_irnet(published | {"fc_edge7x": torch.zeros(1)}, "irn.pth")


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_resnets_of_other_libraries_give_their_own_features(library, tmp_path):
    torch.manual_seed(0)
    if library == "timm":
        theirs = timm.create_model("resnet50").eval()
    else:
        theirs = torchvision.models.resnet50(weights=None).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    ours = create_backbone("resnet50", output_stride=32, weights=tmp_path / "weights.pth").eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        found = CamClassifier(ours, 2)(images)[1]
        pooled = torch.nn.functional.linear(found, theirs.fc.weight, theirs.fc.bias)
        torch.testing.assert_close(pooled, theirs(images), rtol=1e-4, atol=1e-5)


def test_deeplabs_checkpoint_becomes_a_network_and_its_backbone_is_one_to_start_from(tmp_path):
    torch.manual_seed(0)
    backbone = create_backbone("resnet101_caffe", output_stride=8, weights=None)
    own = DeepLabV2(backbone, 3, [6, 12, 18, 24]).state_dict()
    published = caffe_deeplab(own)
    torch.save({f"base.{n}": t for n, t in published.items()}, tmp_path / "deeplabv2.pth")
    path = tmp_path / "network.safetensors"
    command = ["convert", "deeplab", str(tmp_path / "deeplabv2.pth"), str(path)]
    assert main([*command, "--classes", "cat", "dog"]) == 0
    network, metadata = load_network(path)
    assert (metadata["backbone"], network.alignment) == ("resnet101_caffe", "stretched")
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, own[name]), name
    with pytest.raises(InputError, match=r"deeplab\.pth: the tensor 'fc\.weight' is not part of"):
        convert_deeplab(published | {"fc.weight": torch.zeros(1)}, "deeplab.pth")

    # The file that it starts from has COCO's head beside the same network.
    coco = {n: t for n, t in published.items() if not n.startswith("aspp.")}
    torch.save(coco | {"fc.weight": torch.zeros(91, 2048, 3, 3)}, tmp_path / "coco.pth")
    started = create_backbone("resnet101_caffe", output_stride=8, weights=tmp_path / "coco.pth")
    assert torch.equal(started.conv1.weight, backbone.conv1.weight)
    assert torch.equal(coco["layer1.conv1.conv.weight"].flip(1), started.conv1.weight)
    torch.save(backbone.state_dict(), tmp_path / "torchvision.pth")
    with pytest.raises(InputError, match=r"torchvision\.pth: .*another architecture"):
        create_backbone("resnet101_caffe", output_stride=8, weights=tmp_path / "torchvision.pth")
    for options in ({"output_stride": 16}, {"output_stride": 8, "detach_stages": True}):
        with pytest.raises(InputError, match="resnet101_caffe"):
            create_backbone("resnet101_caffe", weights=None, **options)
