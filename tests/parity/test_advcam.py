"""AdvCAM against the published algorithm in double precision, with nothing shared or batched.

One image with its mirror image, one class at a time, one scale at a time; Grad-CAM by a backward
pass of its own to the features, then a second backward pass to the pixels.
"""

from math import ceil

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from wood.data.transforms import normalize, rescale
from wood.maps import normalize_maps
from wood.models.cam import CamClassifier
from wood.models.classifiers import build_classifier
from wood.models.folding import folded
from wood.seeds.advcam import climb, multi_scale_advcam
from wood.seeds.pyramid import make_pyramid

CLASSES = ["bird", "cat", "cow", "dog", "horse", "person", "sheep", "train"]
SETTINGS = {
    "scales": [0.5, 1.0],
    "iterations": 3,
    "half_scale_iterations": 2,
    "half_scale_weight": 1,
    "step_size": 0.08,
    "regularizer": 7.0,
    "mask_threshold": 0.5,
}
CLIMB = {name: SETTINGS[name] for name in ("step_size", "regularizer", "mask_threshold")}


@pytest.fixture(scope="module")
def model() -> CamClassifier:
    torch.manual_seed(0)
    return build_classifier("tf_efficientnet_lite0", CLASSES, 16, "package").eval()


@pytest.fixture(scope="module")
def exact(model) -> CamClassifier:
    double = build_classifier("tf_efficientnet_lite0", CLASSES, 16, None).double().eval()
    double.load_state_dict(model.state_dict())
    return double


def photograph(width, height, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@torch.no_grad()
def seen(network, image, count):
    """The classes whose maps of an image (3, h, w) are highest, in ascending order."""
    peaks = network.activation_maps(image[None])[0].amax(dim=(1, 2))
    return peaks.topk(count).indices.sort().values


def grad_cam(network, x, label):
    """Grad-CAM of a pair, and the class maps; the weights by a backward pass to the features."""
    features = network.backbone(x)
    class_maps = network.head(features)
    target = class_maps[:, label].clamp(min=0).sum()
    gradient = torch.autograd.grad(target, features, retain_graph=True)[0]
    weights = gradient.sum(dim=(2, 3), keepdim=True) / ((gradient > 0).sum() + 1e-12)
    return (weights * features).sum(dim=1).clamp(min=0), class_maps


def published(network, image, label, iterations, history=None):
    """The sum of the maps of one image (3, h, w) while it climbs for one class."""
    x = torch.stack([image, image.flip(2)])
    total, first = 0, None
    for _ in range(iterations):
        x = x.detach().requires_grad_()
        cams, class_maps = grad_cam(network, x, label)
        found = cams[0] + cams[1].flip(1)
        first = found.detach() if first is None else first
        total = total + found.detach()
        scores = class_maps.clamp(min=0).mean(dim=(2, 3))
        others = scores.sum() - 2 * scores[:, label].sum()
        mask = (found / found.max() > CLIMB["mask_threshold"]).to(x.dtype)
        lost = ((found - first).abs() * mask).sum()
        (-others - CLIMB["regularizer"] * lost).backward()
        step = CLIMB["step_size"] * x.grad / (x.grad.abs().max() + 1e-12)
        if history is not None:
            history.append(x.detach())
        x = (x + step).clamp(x.min().item(), x.max().item())
    return total


def test_a_batch_of_pairs_climbs_as_the_published_algorithm(exact):
    images = [torch.randn(3, 48, 64, dtype=torch.float64) for _ in range(2)]
    present = [seen(exact, images[0], 2).tolist(), seen(exact, images[1], 1).tolist()]
    pairs = [(number, label) for number, labels in enumerate(present) for label in labels]
    history = []
    expected = [published(exact, images[i], label, 5, history) for i, label in pairs]
    # It does climb, and what is kept by the regulariser matters.
    assert (history[4] - history[0]).abs().max() > 0.1
    ours = climb(
        exact,
        torch.cat([torch.stack([images[i], images[i].flip(2)]) for i, _ in pairs]),
        torch.tensor([label for _, label in pairs]),
        iterations=5,
        **CLIMB,
    )
    for one, other in zip(ours, expected, strict=True):
        assert other.max() > 0
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9 * other.max().item())
    unregularized = climb(
        exact,
        torch.stack([images[0], images[0].flip(2)]),
        torch.tensor([pairs[0][1]]),
        iterations=5,
        **CLIMB | {"regularizer": 0},
    )
    assert (unregularized[0] - expected[0]).abs().max() > 1e-4 * expected[0].max()


@pytest.mark.parametrize("half_scale_weight", [1, 2])
def test_scales_and_classes_in_single_precision(model, exact, half_scale_weight):
    photographs = [photograph(101, 70, seed) for seed in range(2)]
    tensors = [normalize(image, model.backbone.mean, model.backbone.std) for image in photographs]
    classes = [seen(model, tensors[0], 2), seen(model, tensors[1], 1)]
    network = CamClassifier(folded(model.backbone), len(CLASSES)).eval()
    network.head.load_state_dict(model.head.state_dict())
    network.requires_grad_(False)
    ours = multi_scale_advcam(
        network,
        [make_pyramid(image, SETTINGS["scales"]) for image in photographs],
        classes,
        torch.device("cpu"),
        settings=SETTINGS | {"half_scale_weight": half_scale_weight},
        max_batch_pixels=2 * 2 * 101 * 70,  # two pairs at a time at full scale
    )
    grid = (ceil(70 / 16) * 4, ceil(101 / 16) * 4)
    for image, present, maps in zip(photographs, classes, ours, strict=True):
        assert maps.shape == (len(present), 18, 26)
        for label, found in zip(present.tolist(), maps, strict=True):
            expected = 0
            for scale, iterations, weight in ((0.5, 2, half_scale_weight), (1.0, 3, 1)):
                tensor = normalize(rescale(image, scale), model.backbone.mean, model.backbone.std)
                total = published(exact, tensor.double(), label, iterations)[None, None]
                large = interpolate(total, grid, mode="bilinear", align_corners=False)
                expected = expected + weight * large[0, 0, :18, :26]
            assert expected.max() > 0
            # Rounding moves a few rectified values to the other side of zero.
            assert (found - expected).abs().max() <= 2e-2 * expected.max()


def test_a_class_that_is_seen_nowhere_has_an_empty_map(exact):
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    network = CamClassifier(exact.backbone, 2).double().eval()
    with torch.no_grad():
        network.head.weight[0] = -1
        network.head.weight[1] = 1
    maps = climb(network, images, torch.tensor([0]), iterations=3, **CLIMB)
    assert torch.equal(maps, torch.zeros_like(maps))


def test_bfloat16_stays_near(model):
    """As on CUDA: the network in bfloat16, the images and sums in single precision."""
    image = normalize(photograph(96, 64, 5), model.backbone.mean, model.backbone.std)
    arguments = (model, torch.stack([image, image.flip(2)]), seen(model, image, 1))
    single = climb(*arguments, iterations=5, **CLIMB)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = climb(*arguments, iterations=5, **CLIMB)
    assert half.dtype == torch.float32
    assert single.mean() > 0
    # How strong the climb is differs more, between processors too; seeds see normalised maps.
    ours, exact = normalize_maps(half), normalize_maps(single)
    assert (ours - exact).abs().mean() <= 0.1 * exact.mean()
