import copy
import struct

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from tests.published import irn_resnet50, seam_wide_resnet38
from wood.models.backbone import IMAGENET_MEAN
from wood.models.backbones import create_backbone
from wood.models.resnet import ResNet
from wood.models.timm_backbone import _EvenConv2d
from wood.models.weights import (
    convert_resnet,
    convert_wide_resnet38,
    file_sha256,
    packaged_lite0,
    published_head,
    read_state,
)
from wood.runtime.errors import InputError

LIGHT = "tf_efficientnet_lite0"


def randomise_batch_norm(model: nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                tensor.data.uniform_(0.5, 1.5, generator=generator)
            for tensor in (module.bias, module.running_mean):
                tensor.data.normal_(0, 0.1, generator=generator)


@pytest.fixture(scope="module")
def light():
    return create_backbone(LIGHT).eval()


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    backbone = ResNet(50, 16)
    randomise_batch_norm(backbone)
    return backbone.eval()


@torch.no_grad()
def check_shapes(backbone, height=65, width=97):
    images = torch.randn(2, 3, height, width)
    maps = backbone.stages(images)
    assert [m.shape[1] for m in maps] == backbone.stage_channels
    for m, stride in zip(maps, backbone.stage_strides, strict=True):
        assert m.shape[2:] == (-(-height // stride), -(-width // stride))
    features = backbone(images)
    assert features.shape[:2] == (2, backbone.num_features)
    assert features.shape[2:] == maps[-1].shape[2:]


def test_the_light_backbone_has_the_documented_stages_and_its_own_normalisation(light):
    assert light.stage_strides == [2, 4, 8, 16, 16]
    assert light.num_features == 1280
    assert light.mean == light.std == (0.5, 0.5, 0.5)
    check_shapes(light)


def test_the_packaged_weights_classify_as_the_whole_network_of_timm_does(light):
    model = timm.create_model(LIGHT, output_stride=16)
    model.load_state_dict(packaged_lite0(model))
    moved = "blocks.3.0.conv_dw"  # where the windows lie a cell earlier
    backbone = copy.deepcopy(light)
    timms = model.get_submodule(moved)
    timms.load_state_dict(light.net.get_submodule(moved).state_dict())
    backbone.net.set_submodule(moved, timms)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model.eval()(images)
        pooled = backbone(images).mean(dim=(2, 3))
        assert torch.allclose(model.classifier(pooled), expected, atol=1e-4)
    assert expected.std() > 0.1


@pytest.mark.parametrize(("stride", "side"), [(16, 640), (16, 641), (16, 655), (8, 641)])
def test_the_pixels_of_a_cell_lie_around_its_middle_whatever_the_size(stride, side):
    """With equal weights everywhere, the pixels a cell sees weigh alike on both sides.

    A strip along each axis shows it: the weights across are the same on both sides of the cell.
    """
    backbone = create_backbone(LIGHT, output_stride=stride, weights=None).eval().double()
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    for axis, size in enumerate([(side, 48), (48, side + 9)]):
        images = torch.full((1, 3, *size), 1e-5, dtype=torch.float64, requires_grad=True)
        cell = [length // 2 // stride for length in size]
        (gradient,) = torch.autograd.grad(backbone(images)[0, :, *cell].sum(), images)
        along = gradient[0].sum(dim=(0, 2 - axis))
        seen = (along * torch.arange(len(along))).sum() / along.sum()
        middle = cell[axis] * stride + (stride - 1) / 2
        assert abs(seen - middle) < 0.6


def test_packaged_weights_are_refused_for_another_network():
    with pytest.raises(InputError, match="do not match"):
        packaged_lite0(timm.create_model("test_efficientnet"))


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_timm_networks_come_by_name_with_any_stride(stride):
    backbone = create_backbone("test_resnet", weights=None, output_stride=stride).eval()
    assert backbone.stage_strides[-1] == stride
    check_shapes(backbone)


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("vit_tiny_patch16_224", 192),
        ("swin_tiny_patch4_window7_224", 384),
        ("hrnet_w18_small", None),
        ("densenet121", 1024),
        ("mobilenetv3_small_050", None),
        ("convnext_atto", 320),
        ("pvt_v2_b0", 160),
    ],
)
@torch.no_grad()
def test_networks_of_any_kind_have_maps_of_the_whole_image(name, channels):
    """Transformers, and convolutions that would leave out the border, at sizes of no stride."""
    torch.manual_seed(0)
    backbone = create_backbone(name, weights=None).eval()
    images = torch.randn(1, 3, 97, 131)
    features = backbone(images)
    assert features.shape == (1, backbone.num_features, 7, 9)
    assert channels in (None, backbone.num_features)
    # The last pixels are seen.
    images[..., -1, -1] += 10
    assert (backbone(images) - features)[0, :, -1, -1].abs().max() > 1e-4
    assert backbone.stages(images)[-1].shape[2:] == (7, 9)


def test_a_stride_that_a_network_lacks_is_said():
    with pytest.raises(InputError, match="no maps at stride 8, only at 16"):
        create_backbone("vit_tiny_patch16_224", output_stride=8, weights=None)


def test_resnet_at_stride_16_is_not_dilated(resnet):
    check_shapes(resnet)
    assert resnet.stage_strides == [4, 4, 8, 16, 16]
    assert all(m.dilation == (1, 1) for m in resnet.modules() if isinstance(m, nn.Conv2d))
    assert resnet.mean == IMAGENET_MEAN


def test_resnet_at_stride_8_keeps_its_field_of_view_by_dilation():
    backbone = ResNet(50, 8).eval()
    check_shapes(backbone, 33, 49)
    assert backbone.layer3[1].conv2.dilation == (2, 2)
    assert backbone.layer4[1].conv2.dilation == (4, 4)


def test_resnet101_has_torchvisions_layers():
    backbone = ResNet(101, 8)
    own = set(backbone.state_dict())
    theirs = set(torchvision.models.resnet101(weights=None).state_dict())
    assert own == theirs - {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("name", [LIGHT, "resnet50"])
def test_batch_norm_statistics_and_the_stem_are_frozen_and_the_affine_weights_train(name):
    backbone = create_backbone(name, weights=None).train()
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.running_mean.clone() for m in norms]
    backbone(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(torch.equal(m.running_mean, b) for m, b in zip(norms, before, strict=True))
    without = {n for n, p in backbone.named_parameters() if p.grad is None}
    stem = {"conv1.weight", "bn1.weight", "bn1.bias"}
    if name == LIGHT:
        stem = {"net.conv_stem.weight", "net.bn1.weight", "net.bn1.bias"}
    assert without == stem
    trained = {id(p) for p in backbone.parameters_to_train()}
    assert trained == {id(p) for n, p in backbone.named_parameters() if n not in stem}


def test_detached_stages_stop_the_gradient_in_training_and_pass_it_in_evaluation(resnet):
    backbone = ResNet(50, 16, detach_after=2)
    backbone.load_state_dict(resnet.state_dict())
    images = torch.randn(1, 3, 32, 32, requires_grad=True)
    features = backbone.train()(images)
    features.sum().backward()
    with_gradient = {n for n, p in backbone.named_parameters() if p.grad is not None}
    assert with_gradient == {n for n in dict(backbone.named_parameters()) if n[:6] in
                             ("layer3", "layer4")}  # fmt: skip
    assert images.grad is None
    assert torch.allclose(features, resnet(images), atol=1e-6)
    backbone.eval()(images).sum().backward()
    assert images.grad.abs().sum() > 0


def test_a_one_pixel_image_has_features(resnet, light):
    for backbone in (resnet, light):
        with torch.no_grad():
            assert backbone(torch.zeros(1, 3, 1, 1)).shape[2:] == (1, 1)


def test_wide_resnet38_has_the_published_size_and_frozen_norms():
    with torch.device("meta"):
        backbone = create_backbone("wide_resnet38", weights=None, output_stride=8)
        maps = backbone.eval().stages(torch.empty(1, 3, 65, 97))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (128, 33, 49), (256, 17, 25), (512, 9, 13), (1024, 9, 13), (4096, 9, 13),
    ]  # fmt: skip
    assert [m.shape[1] for m in maps] == backbone.stage_channels
    norms = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(p.requires_grad for m in norms for p in m.parameters())
    assert not backbone.conv1a.weight.requires_grad
    assert not any(p.requires_grad for p in backbone.level2.parameters())
    assert backbone.level5[0].conv2a.dilation == (1, 1)
    assert backbone.level5[0].conv2b1.dilation == backbone.level5[1].conv2a.dilation == (2, 2)
    assert backbone.level7[0].conv2b1.dilation == (4, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet50"}, "no package"),
        ({"name": "no_such_network", "weights": None}, "no_such_network"),
        ({"name": "vit_small_patch32_224", "weights": None}, "only at 32"),
        ({"name": LIGHT, "output_stride": 7}, "8, 16 or 32"),
        ({"name": "wide_resnet38", "weights": None}, "output stride 8"),
        ({"name": LIGHT, "detach_stages": True}, "detach_stages"),
        ({"name": LIGHT, "weights": "nowhere.safetensors"}, "no such weights file"),
    ],
)
def test_bad_names_strides_and_weights_are_refused_in_a_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        create_backbone(**arguments)


@pytest.mark.parametrize("form", ["torchvision", "irn", "stages", "irnet", "parallel"])
def test_published_resnet_checkpoints_load(form, resnet, tmp_path):
    own = resnet.state_dict()
    head = torch.randn(20, 2048, 1, 1)
    stages = irn_resnet50(own, stem_alone=form == "irnet")
    full = {f"resnet50.{n}": t for n, t in own.items()} | stages
    states = {
        "torchvision": own | {"fc.weight": torch.randn(1000, 2048), "fc.bias": torch.randn(1000)},
        "irn": full | {"classifier.weight": head, "newly_added.0.weight": head},
        "stages": stages | {"classifier.weight": head},
        "irnet": stages | {"fc_edge6.weight": torch.randn(1, 160, 1, 1)},
        "parallel": {f"module.{n}": t for n, t in full.items()},
    }
    path = tmp_path / "weights.pth"
    torch.save(states[form], path)
    loaded = create_backbone("resnet50", weights=path)
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, own[name]), name
    expected = head if form in ("irn", "stages") else None
    found = published_head(read_state(path))
    assert (found is None) == (expected is None)
    assert expected is None or torch.equal(found, expected)


def test_seams_names_and_the_authors_names_of_wide_resnet38_load():
    torch.manual_seed(0)
    with torch.device("meta"):
        shapes = create_backbone("wide_resnet38", weights=None, output_stride=8).state_dict()
    own = {name: torch.randn(t.shape[:1]) for name, t in shapes.items() if t.ndim}
    seam = {"fc8.weight": torch.zeros(1)} | seam_wide_resnet38(own)
    authors = {"linear1000_weight": torch.zeros(1)}
    kinds = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean",
             "running_var": "moving_var"}  # fmt: skip
    for name, tensor in own.items():
        *place, layer, kind = name.split(".")
        if not place:
            authors[f"{layer}_{kind if layer == 'conv1a' else kinds[kind]}"] = tensor
            continue
        level, block = place[0][-1], int(place[1])
        branch = layer.removeprefix("conv").removeprefix("bn")
        is_norm = layer.startswith("bn")
        second = f"{level}a" if block == 0 else f"{level}b{block}"
        prefix = f"bn{second}" if is_norm else f"res{second}"
        authors[f"{prefix}_branch{branch}_{kinds[kind] if is_norm else kind}"] = tensor
    for published in (seam, authors):
        converted = convert_wide_resnet38(published)
        assert set(converted) == set(own)
        assert all(torch.equal(converted[name], own[name]) for name in own)


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(ResNet(50, 16).state_dict(), path)
    with pytest.raises(InputError, match=r"weights.safetensors: .*another architecture"):
        create_backbone("resnet101", weights=path, output_stride=8)
    with pytest.raises(InputError, match="another architecture"):
        create_backbone(LIGHT, weights=path)


def test_weights_of_a_timm_network_load_from_a_file(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model("test_resnet")
    path = tmp_path / "weights.safetensors"
    save_file(model.state_dict(), path)
    backbone = create_backbone("test_resnet", weights=path)
    assert torch.equal(backbone.net.conv1[0].weight, model.conv1[0].weight)


def test_a_broken_download_is_seen_by_the_digits_in_the_file_name(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"x": torch.ones(3)}, path)
    named = tmp_path / f"net-{file_sha256(path)[:8]}.safetensors"
    path.rename(named)
    assert torch.equal(read_state(named)["x"], torch.ones(3))
    named.write_bytes(named.read_bytes() + b" ")
    with pytest.raises(InputError, match="SHA-256"):
        read_state(named)


def test_weights_with_nan_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"layer.weight": torch.tensor([1.0, float("nan")])}, path)
    with pytest.raises(InputError, match=r"layer\.weight.*NaN"):
        read_state(path)


def test_nothing_is_unpickled(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (open, (str(tmp_path / "made"), "w"))

    path = tmp_path / "weights.pth"
    torch.save({"x": Harmful()}, path)
    with pytest.raises(InputError, match=r"weights\.pth"):
        read_state(path)
    assert not (tmp_path / "made").exists()
    path.write_bytes(np.random.default_rng(0).bytes(100))
    with pytest.raises(InputError, match="not a readable weights file"):
        read_state(path)


def mxnet_params(arrays, form):
    """The bytes of MXNet's file format: list header, arrays, names."""
    content = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for array in arrays.values():
        if form == "storage type":
            content += struct.pack("<Ii", 0xF993FAC9, 0)
        if form == "64 bit":
            content += struct.pack("<I", 0xF993FAC8)
        dimensions = "I" if form == "oldest" else "q"
        content += struct.pack(f"<I{array.ndim}{dimensions}", array.ndim, *array.shape)
        content += struct.pack("<iii", 1, 0, {"float32": 0, "float16": 2}[array.dtype.name])
        content += array.tobytes()
    content += struct.pack("<Q", len(arrays))
    for name in arrays:
        content += struct.pack("<Q", len(name)) + name.encode()
    return content


@pytest.mark.parametrize("form", ["oldest", "64 bit", "storage type"])
def test_mxnet_files_of_every_form_are_read(form, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {
        "arg:res2a_branch2a_weight": rng.normal(size=(2, 3, 1, 1)).astype(np.float32),
        "aux:bn7_moving_var": rng.normal(size=4).astype(np.float16),
    }
    path = tmp_path / "net.params"
    content = mxnet_params(arrays, form)
    path.write_bytes(content)
    state = read_state(path)
    for name, array in arrays.items():
        assert np.array_equal(state[name].numpy(), array)
    assert set(convert_wide_resnet38(state)) == {"level2.0.conv2a.weight", "bn7.running_var"}
    for broken in (content[:-3], content[:70], b"", b"x" * 100):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"net\.params"):
            read_state(path)


def test_conversion_leaves_the_classifier_out():
    names = {"conv1.weight", "fc.weight", "layer1.0.conv1.weight"}
    assert set(convert_resnet({n: torch.zeros(1) for n in names})) == names - {"fc.weight"}


@pytest.mark.parametrize(("kernel", "stride"), [(1, 2), (3, 2), (5, 2), (7, 4), ((3, 5), 2)])
def test_padding_given_as_numbers_is_same_on_multiples_of_the_stride(kernel, stride):
    torch.manual_seed(0)
    same = timm.layers.Conv2dSame(4, 4, kernel, stride=stride, groups=4)
    state = torch.get_rng_state()
    fixed = _EvenConv2d(same)
    assert torch.equal(torch.get_rng_state(), state), "later layers start as they did"
    maps = torch.randn(2, 4, 24, 36)
    assert torch.equal(fixed(maps), same(maps))
