"""SEAM's network and losses against their equations, and the network against the published one.

The published network is written out as tensor operations on the names of its checkpoint: Wide
ResNet-38 (pre-activated blocks; 3x3 convolutions, in the last two levels bottlenecks), a 1x1
classifier of 20 classes and background, and the pixel correlation module.
"""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from tests.published import seam_wide_resnet38
from wood.models import seam
from wood.models.backbones import create_backbone
from wood.models.published import convert_seam
from wood.models.seam import SeamClassifier, View, correlate, strongest_classes
from wood.seeds.seam import SeamLoss, consistency, cross_loss, min_pooling_loss, normalize, shrink

E = 1e-5


@pytest.fixture(scope="module")
def published():
    """Random tensors under the published names, of a size that keeps the maps finite."""
    with torch.device("meta"):
        shapes = create_backbone("wide_resnet38", weights=None, output_stride=8).state_dict()
    heads = {"fc8": (21, 4096), "f8_3": (64, 512), "f8_4": (128, 1024), "f9": (192, 195)}
    state = {name: shape.shape for name, shape in seam_wide_resnet38(shapes).items()}
    state |= {f"{name}.weight": (*shape, 1, 1) for name, shape in heads.items()}
    generator = torch.Generator().manual_seed(0)
    for name, shape in state.items():
        if len(shape) == 4:
            scale = math.sqrt(1 / math.prod(shape[1:]))
            state[name] = torch.empty(shape).normal_(0, scale, generator=generator)
        elif name.endswith(("running_var", "weight")):
            state[name] = torch.empty(shape).uniform_(0.8, 1.2, generator=generator)
        else:
            state[name] = torch.empty(shape).normal_(0, 0.1, generator=generator)
    return {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}


def activated(x, w, name):
    mean, var, scale, shift = (
        w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
    )
    return functional.batch_norm(x, mean, var, scale, shift).relu()


def block(x, w, name, stride=1, dilations=(1, 1)):
    inside = activated(x, w, f"{name}.bn_branch2a")
    changes = f"{name}.conv_branch1.weight" in w
    shortcut = (
        functional.conv2d(inside, w[f"{name}.conv_branch1.weight"], stride=stride) if changes else x
    )
    first, second = dilations
    y = functional.conv2d(
        inside, w[f"{name}.conv_branch2a.weight"], stride=stride, padding=first, dilation=first
    )
    y = activated(y, w, f"{name}.bn_branch2b1")
    y = functional.conv2d(y, w[f"{name}.conv_branch2b1.weight"], padding=second, dilation=second)
    return shortcut + y, inside


def bottleneck(x, w, name):
    inside = activated(x, w, f"{name}.bn_branch2a")
    y = functional.conv2d(inside, w[f"{name}.conv_branch2a.weight"])
    y = activated(y, w, f"{name}.bn_branch2b1")
    y = functional.conv2d(y, w[f"{name}.conv_branch2b1.weight"], padding=4, dilation=4)
    y = activated(y, w, f"{name}.bn_branch2b2")
    y = functional.conv2d(y, w[f"{name}.conv_branch2b2.weight"])
    return functional.conv2d(inside, w[f"{name}.conv_branch1.weight"]) + y, inside


def published_maps(images, w):
    """The CAM of 21 labels and the refined maps, both of the images' size."""
    x = functional.conv2d(images, w["conv1a.weight"], padding=1)
    for name, blocks in (("b2", 3), ("b3", 3), ("b4", 6)):
        x, _ = block(x, w, name, stride=2)
        for number in range(1, blocks):
            x, _ = block(x, w, f"{name}_{number}")
    x, conv4 = block(x, w, "b5", dilations=(1, 2))
    for number in (1, 2):
        x, _ = block(x, w, f"b5_{number}", dilations=(2, 2))
    x, conv5 = bottleneck(x, w, "b6")
    x, _ = bottleneck(x, w, "b7")
    cam = functional.conv2d(activated(x, w, "bn7"), w["fc8.weight"])

    scaled = cam.clamp(min=0)
    scaled = (scaled - E).clamp(min=0) / (scaled.amax(dim=(2, 3), keepdim=True) + E)
    strongest = scaled[:, 1:].amax(dim=1, keepdim=True)
    spread = torch.cat([1 - strongest, scaled[:, 1:] * (scaled[:, 1:] >= strongest)], dim=1)

    grid = cam.shape[2:]
    small = functional.interpolate(images, grid, mode="bilinear", align_corners=True)
    parts = [
        small,
        functional.conv2d(conv4, w["f8_3.weight"]).relu(),
        functional.conv2d(conv5, w["f8_4.weight"]).relu(),
    ]
    f = functional.conv2d(torch.cat(parts, dim=1), w["f9.weight"]).flatten(2)
    f = f / (f.norm(dim=1, keepdim=True) + E)
    affinity = torch.einsum("bei,bej->bij", f, f).clamp(min=0)
    affinity = affinity / (affinity.sum(dim=1, keepdim=True) + E)
    refined = torch.einsum("bci,bij->bcj", spread.flatten(2), affinity).view_as(spread)
    return tuple(
        functional.interpolate(maps, images.shape[2:], mode="bilinear", align_corners=True)
        for maps in (cam, refined)
    )


@torch.no_grad()
def test_maps_and_logits_are_those_of_the_published_network(published):
    with torch.device("meta"):
        model = SeamClassifier(
            create_backbone("wide_resnet38", weights=None, output_stride=8), 20
        ).eval()
    model.load_state_dict(convert_seam(published, "seam.pth"), strict=False, assign=True)
    images = torch.randn(2, 3, 33, 46)
    cam, refined = published_maps(images, published)
    view = model.view(images)
    assert view.maps.shape == (2, 20, 5, 6)
    assert cam[:, 1:].std() > 0.1
    ours = seam.corner_to_corner(view.maps, (33, 46))
    torch.testing.assert_close(ours, cam[:, 1:], rtol=0, atol=1e-5 * cam.abs().max().item())
    ours = seam.corner_to_corner(view.refined, (33, 46))
    torch.testing.assert_close(ours, refined, rtol=0, atol=1e-5)
    torch.testing.assert_close(view.logits, cam[:, 1:].mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)
    logits, features = model(images)
    torch.testing.assert_close(logits, view.logits)
    torch.testing.assert_close(features @ model.head.weight[:, :, 0, 0].T, logits)
    assert torch.equal(model.activation_maps(images), view.refined[:, 1:])


def random(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_the_module_averages_over_positions_by_their_rectified_cosine(monkeypatch):
    maps, embedding = random(2, 3, 4, 5).abs(), random(2, 7, 4, 5, seed=1)
    result = correlate(maps, embedding)
    for b, y, x in ((0, 0, 0), (0, 3, 4), (1, 2, 1)):
        own = embedding[b, :, y, x].numpy()
        total, weights = np.zeros(3), 0.0
        for v in range(4):
            for u in range(5):
                other = embedding[b, :, v, u].numpy()
                norms = (np.linalg.norm(own) + E) * (np.linalg.norm(other) + E)
                weight = max(0.0, own @ other / norms)
                total += weight * maps[b, :, v, u].numpy()
                weights += weight
        np.testing.assert_allclose(result[b, :, y, x], total / (weights + E), rtol=1e-12)
    monkeypatch.setattr(seam, "MOST_PAIRS", 2 * 20 * 3)
    torch.testing.assert_close(correlate(maps, embedding), result)


def test_the_module_does_not_see_places_only_what_is_there():
    maps, embedding = random(1, 3, 4, 5), random(1, 7, 4, 5, seed=1)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    moved = [tensor.flatten(2)[:, :, order].view_as(tensor) for tensor in (maps, embedding)]
    expected = correlate(maps, embedding).flatten(2)[:, :, order]
    torch.testing.assert_close(correlate(*moved).flatten(2), expected)
    same = correlate(maps, torch.ones_like(embedding))
    torch.testing.assert_close(
        same, maps.mean(dim=(2, 3), keepdim=True).expand_as(maps), rtol=1e-4, atol=1e-4
    )


def test_only_the_strongest_class_and_the_background_are_spread():
    maps = torch.tensor([[[[4.0, 1.0, -2.0]], [[1.0, 2.0, 0.0]]]], dtype=torch.float64)
    first = [(4 - E) / (4 + E), (1 - E) / (4 + E), 0]
    second = [(1 - E) / (2 + E), (2 - E) / (2 + E), 0]
    expected = [[1 - first[0], 1 - second[1], 1], [first[0], 0, 0], [0, second[1], 0]]
    spread = strongest_classes(maps.requires_grad_())
    np.testing.assert_allclose(spread[0, :, 0], expected, rtol=1e-12)
    assert not spread.requires_grad


def max_norm(maps):
    """SEAM's scaling of one map (h, w)."""
    maps = np.maximum(maps, 0)
    return np.maximum(maps - maps.min() - E, 0) / (maps.max() - maps.min() + E)


def up(maps, size):
    return functional.interpolate(maps, size, mode="bilinear", align_corners=True)


@pytest.fixture
def views():
    """Two views of three images of 40 x 30 pixels, and labels of four classes."""
    size, small_size = (40, 30), (12, 9)
    labels = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.float64)
    full, small = (
        View(
            random(3, 4, seed=seed),
            random(3, 6, seed=seed + 1),
            random(3, 4, *grid, seed=seed + 2).requires_grad_(),
            random(3, 5, *grid, seed=seed + 3).abs().requires_grad_(),
        )
        for seed, grid in ((0, (5, 4)), (10, (2, 3)))
    )
    return full, small, labels, size, small_size


def test_losses_are_those_of_the_equations(views):
    full, small, labels, size, small_size = views
    found = consistency(full, small, labels, size, small_size)
    present = labels.numpy()
    minimum, er, ecr = 0.0, 0.0, 0.0
    scaled = {}
    for name, view, own in (("full", full, size), ("small", small, small_size)):
        cam, refined = (up(maps.detach(), own).numpy() for maps in (view.maps, view.refined))
        for n in range(3):
            strongest = (refined[n, 1:] * present[n][:, None, None]).max(axis=0).ravel()
            k = strongest.size // 4
            minimum += np.maximum(np.sort(strongest)[:k], 0).sum() / k / 3 / 2
        for kind, maps, known in (
            ("cam", cam, present),
            ("refined", refined, np.pad(present, ((0, 0), (1, 0)), constant_values=1)),
        ):
            normed = np.array([[max_norm(one) for one in image] for image in maps])
            normed = up(torch.from_numpy(normed), small_size).numpy()
            scaled[name, kind] = normed * known[:, :, None, None]
    er = np.abs(scaled["full", "cam"] - scaled["small", "cam"]).mean()
    for name, other in (("full", "small"), ("small", "full")):
        for n in range(3):
            cam = scaled[other, "cam"][n]
            best = cam.max(axis=0)
            target = np.concatenate([1 - best[None], np.where(cam == best, cam, 0)])
            away = np.sort(np.abs(target - scaled[name, "refined"][n]).ravel())
            ecr += away[-int(away.size * 0.2) :].mean() / 3
    assert found["min_pool"].item() == pytest.approx(minimum, rel=1e-12)
    assert found["er"].item() == pytest.approx(er, rel=1e-12)
    assert found["ecr"].item() == pytest.approx(ecr, rel=1e-12)


def test_gradients_of_the_losses_flow_where_seam_has_them(views):
    full, small, labels, size, small_size = views
    found = consistency(full, small, labels, size, small_size)
    maps = [full.maps, small.maps]
    refined = [full.refined, small.refined]

    def reached(loss):
        gradients = torch.autograd.grad(
            loss, [*maps, *refined], retain_graph=True, allow_unused=True
        )
        return [gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients]

    assert reached(found["er"]) == [True, True, False, False]
    assert reached(found["ecr"]) == [False, False, True, True]
    assert reached(found["min_pool"]) == [False, False, True, True]
    # A class that the image does not have is no part of ER.
    gradient = torch.autograd.grad(found["er"], full.maps)[0]
    assert torch.equal(gradient.abs().sum(dim=(2, 3)) > 0, labels > 0)


def test_gradients_are_those_of_the_equations():
    maps, target = random(2, 3, 3, 4), random(2, 2, 3, 4, seed=1).abs()
    inputs = maps.requires_grad_()
    assert torch.autograd.gradcheck(normalize, inputs)
    assert torch.autograd.gradcheck(min_pooling_loss, inputs)
    assert torch.autograd.gradcheck(lambda refined: cross_loss(refined, target), inputs)
    embedding = random(2, 4, 3, 4, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda f: correlate(maps.detach(), f), embedding)


def test_views_that_are_equivariant_have_no_er():
    ramp = torch.linspace(0, 1, 9, dtype=torch.float64)
    full = torch.stack([ramp.expand(7, 9), 1 - ramp.expand(7, 9)])[None]
    small = full[:, :, ::3, ::4]
    labels = torch.ones(1, 2, dtype=torch.float64)
    background = torch.zeros(1, 1, dtype=torch.float64)

    def view(maps):
        return View(labels, labels, maps, torch.cat([background.view(1, 1, 1, 1).expand(
            1, 1, *maps.shape[2:]), maps], dim=1))  # fmt: skip

    def er(maps):
        return consistency(view(full), view(maps), labels, (25, 33), (7, 9))["er"].item()

    assert er(small) < 1e-12
    assert er(small.flip(3)) > 0.1


def test_a_view_is_shrunk_corner_to_corner():
    images = random(1, 3, 11, 21)
    small = shrink(images, 0.3)
    assert small.shape == (1, 3, 3, 6)
    torch.testing.assert_close(small[:, :, [0, 0, -1, -1], [0, -1, 0, -1]],
                               images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]])  # fmt: skip
    assert shrink(images, 0.05).shape == (1, 3, 1, 1)


@pytest.fixture(scope="module", params=["tf_efficientnet_lite0", "resnet50"])
def model(request):
    torch.manual_seed(0)
    weights = "package" if request.param == "tf_efficientnet_lite0" else None
    return SeamClassifier(create_backbone(request.param, weights=weights), 3)


def test_any_backbone_carries_the_module(model):
    images = torch.randn(1, 3, 49, 65)
    with torch.no_grad():
        view = model.eval().view(images)
        logits, features = model(images)
        direct = model.head(features[:, :, None, None])[:, :, 0, 0]
    assert view.maps.shape == (1, 3, 4, 5)
    assert view.refined.shape == (1, 4, 4, 5)
    torch.testing.assert_close(view.logits, logits, rtol=1e-4, atol=1e-5)
    assert features.shape == (1, model.backbone.num_features)
    torch.testing.assert_close(direct, logits, rtol=1e-4, atol=1e-5)


def test_the_modules_gradient_stays_in_the_module(model):
    model.train()
    model.zero_grad()
    model.view(torch.randn(1, 3, 49, 65)).refined.square().sum().backward()
    module = {"reduce_shallow.weight", "reduce_deep.weight", "embed.weight"}
    assert {n for n, p in model.named_parameters() if p.grad is not None} == module
    groups = model.parameter_groups(10)
    faster = {id(parameter) for parameter in groups[1]["params"]}
    names = {name for name, parameter in model.named_parameters() if id(parameter) in faster}
    assert names == {*module, "head.weight"}
    assert [group["lr_scale"] for group in groups] == [1, 10]


class Whole:
    """The full-scale view's losses, to be told apart from SEAM's: cls_in, and 100 for W-OoD."""

    def ood_scores(self, model, batch):
        return model(batch["ood"]["image"])[0], None

    def combine(self, logits, features, labels, logits_ood, maps_ood):
        assert maps_ood is None
        self.seen = logits, features, logits_ood
        cls_in = functional.binary_cross_entropy_with_logits(logits, labels)
        return cls_in + 100, {"cls_in": cls_in}


def test_the_whole_loss_is_the_sum_of_its_parts(model):
    model.eval()
    torch.manual_seed(1)
    images, outside = torch.randn(2, 3, 49, 65), torch.randn(1, 3, 32, 32)
    labels = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    whole = Whole()
    batch = {"image": images, "labels": labels, "ood": {"image": outside}}
    loss, terms = SeamLoss(whole, 0.3)(model, batch, 0.0)
    full, small = model.view(images), model.view(shrink(images, 0.3))
    torch.testing.assert_close(whole.seen[0], full.logits)
    torch.testing.assert_close(whole.seen[1], full.features)
    torch.testing.assert_close(whole.seen[2], model(outside)[0])
    bce = functional.binary_cross_entropy_with_logits
    parts = consistency(full, small, labels, images.shape[2:], (14, 19))
    expected = (bce(full.logits, labels) + bce(small.logits, labels)) / 2 + 100
    expected = expected + parts["min_pool"] + parts["er"] + parts["ecr"]
    torch.testing.assert_close(loss, expected)
    assert set(terms) == {"cls_in", "cls_small", "min_pool", "er", "ecr"}


@pytest.mark.parametrize(("scaled", "size"), [((66, 50), (132, 99)), ((60, 41), (60, 41)),
                                              ((33, 70), (22, 47))])  # fmt: skip
def test_maps_come_to_stride_4_as_published(scaled, size):
    maps = random(3, 9, 7)
    published = up(maps[None], scaled)
    published = functional.interpolate(published, size, mode="bilinear", align_corners=False)
    height, width = (-(-side // 4) for side in size)
    padding = (0, 4 * width - size[1], 0, 4 * height - size[0])
    published = functional.pad(published, padding, mode="replicate")
    expected = functional.interpolate(
        published, (height, width), mode="bilinear", align_corners=False
    )
    found = SeamClassifier.on_grid(None, maps, scaled, size)
    torch.testing.assert_close(found, expected[0])
    whole = functional.interpolate(up(maps[None], scaled), size, mode="bilinear")[0]
    torch.testing.assert_close(SeamClassifier.on_grid(None, maps, scaled, size, stride=1), whole)
