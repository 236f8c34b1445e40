"""SEAM: its network, losses, gradients and maps. Dropout is off, as in the golden files."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.parity.golden.networks import seam_network
from tests.parity.golden.recipe import assert_close, golden, normalized
from tests.published import seam_wide_resnet38
from wood.models.seam import corner_to_corner
from wood.seeds.cam import multi_scale_cam
from wood.seeds.pyramid import make_pyramid
from wood.seeds.seam import SeamLoss, shrink
from wood.seeds.wood_loss import WoodLoss


@pytest.fixture(scope="module")
def model():
    return seam_network(golden("seam/forward")["weights_checksum"]).eval()


@torch.inference_mode()
def test_maps(model):
    expected = golden("seam/forward")
    images = normalized(expected["images"])
    stages = model.backbone.stages(images)
    for name, maps in zip(("conv4", "conv5", "conv6"), stages[-3:], strict=True):
        assert_close(maps.mean(dim=(0, 2, 3)), expected[f"{name}_mean"], 3e-6)
    view = model.view(images)
    assert_close(view.logits[0], expected["cam_pooled"][1:], 3e-6)
    odd = normalized(expected["image_odd"])[None]
    for ending, batch in (("", images), ("_odd", odd)):
        view = model.view(batch)
        cam, refined = (
            corner_to_corner(maps, batch.shape[2:])[0, :, ::6, ::6]
            for maps in (view.maps, view.refined)
        )
        assert_close(cam, expected[f"cam{ending}"][1:], 3e-6)  # theirs has the background's row
        assert_close(refined, expected[f"cam_rv{ending}"], 3e-6)


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout2d):
            module.p = 0
    return model.train()


def test_losses_and_gradients(model):
    expected = golden("seam/losses")
    images = normalized(expected["images"])
    assert_close(shrink(images, 0.3), expected["img2"], 1e-6)
    batch = {"image": images, "labels": torch.from_numpy(expected["labels"])}
    model = without_dropout(model)
    model.zero_grad()
    # A few activations lie so near to zero that oneDNN's rounding puts them on the other side.
    with torch.backends.mkldnn.flags(enabled=False):
        loss, terms = SeamLoss(WoodLoss(None, None), 0.3)(model, batch, 0.0)
        loss.backward()
    theirs = {
        "cls_in": expected["loss_cls1"],
        "cls_small": expected["loss_cls2"],
        "min_pool": (expected["loss_rvmin1"] + expected["loss_rvmin2"]) / 2,
        "er": expected["loss_er"],
        "ecr": expected["loss_ecr"],
    }
    for name, value in theirs.items():
        assert terms[name].item() == pytest.approx(value.item(), rel=2e-6), name
    assert loss.item() == pytest.approx(expected["loss"].item(), rel=2e-6)
    ours = seam_wide_resnet38(dict(model.backbone.named_parameters()))
    ours |= {
        "fc8.weight": model.head.weight,
        "f8_3.weight": model.reduce_shallow.weight,
        "f8_4.weight": model.reduce_deep.weight,
        "f9.weight": model.embed.weight,
    }
    learning = {name for name, parameter in ours.items() if parameter.grad is not None}
    assert learning == set(expected["grad_names"])
    norms = [ours[name].grad.double().norm().item() for name in expected["grad_names"]]
    np.testing.assert_allclose(norms, expected["grad_norms"], rtol=2e-6)
    model.eval()


def test_maps_of_several_scales(model):
    expected = golden("seam/infer")
    pyramid = make_pyramid(Image.fromarray(expected["image"]), expected["scales"].tolist())
    [maps] = multi_scale_cam(
        model,
        [pyramid],
        [torch.from_numpy(expected["keys"])],
        torch.device("cpu"),
        max_batch_pixels=10**6,
        stride=1,
    )
    maps = maps.relu()
    lowest, highest = (f(maps, dim=(1, 2), keepdim=True) for f in (torch.amin, torch.amax))
    scaled = (maps - lowest - 1e-5) / (highest - lowest + 1e-5)
    assert_close(scaled.relu(), np.maximum(expected["maps"], 0), 1e-5)
