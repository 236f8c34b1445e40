"""The training step of W-OoD: K-means, centres, L_d, the perturbation, the OoD term, SGD."""

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from tests.parity.golden.recipe import assert_close, golden
from tests.places import ROOT
from wood.data.masks import VOC_CLASSES
from wood.ood.centers import find_centers
from wood.ood.losses import distances
from wood.ood.perturbation import climb
from wood.seeds.wood_loss import WoodLoss
from wood.training.loop import make_optimizer
from wood.workflow import resolve as settings

STEPS = [("step0", "k50"), ("step1", "k50"), ("step0", "k12")]


class Network(nn.Module):
    """The README's network: z of 2048 numbers, and a classifier of 20 classes."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 6, 5, stride=2, bias=False),
            nn.ReLU(),
            nn.Conv2d(6, 2048, 1, bias=False),
            nn.ReLU(),
        )
        self.head = nn.Conv2d(2048, 20, 1, bias=False)

    def forward(self, images):
        features = self.backbone(images).mean(dim=(2, 3))
        return self.head(features[:, :, None, None])[:, :, 0, 0], features

    def weights(self):
        names = ("conv", "mix", "head")
        return dict(zip(names, (p for p in self.parameters()), strict=True))

    def load(self, arrays, prefix=""):
        with torch.no_grad():
            for name, parameter in self.weights().items():
                parameter.copy_(torch.from_numpy(arrays[f"{prefix}{name}"]))
        return self


def preset(clusters):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["classifiers"]["cam-wood"] |= {
        "preset": "reference-code",
        "wood": {"clusters": clusters},
    }
    return settings.classifier(config, "cam-wood")["wood"]


@pytest.fixture
def given():
    return golden("wood-training/setup-images") | golden("wood-training/setup-features")


def centers_of(expected):
    centers = torch.from_numpy(expected["centers"])
    return {"in": centers[:20], "ood": centers[20:]}


def batch_of(given, step):
    inside, outside = step["image_index"], step["image_ood_index"]
    images = torch.from_numpy(given["images"][inside]).flip(3)  # training sees them mirrored
    labels = torch.from_numpy(given["labels"][inside])
    assert torch.equal(labels, torch.from_numpy(step["label"]))
    ood = torch.from_numpy(given["images_ood"][outside])
    return {"image": images, "labels": labels, "ood": {"image": ood}}


def network_before(given, name, clusters):
    if name == "step0":
        return Network().load(given)
    return Network().load(golden(f"wood-training/step0-{clusters}"), "after_")


@pytest.mark.parametrize("clusters", [50, 12])
def test_clusters_and_centres(given, clusters):
    expected = golden(f"wood-training/setup-k{clusters}")
    network = Network().load(given)
    with torch.no_grad():
        logits, features = network(torch.from_numpy(given["images_ood"]))
        inside = network(torch.from_numpy(given["images"]))[1]
    assert_close(features, given["features_ood"], 1e-6)
    found, assignment = find_centers(
        inside,
        torch.from_numpy(given["labels"]),
        torch.from_numpy(given["features_ood"]),
        logits,
        preset(clusters),
        seed=0,
    )
    assert (assignment.numpy() == expected["assignment"]).all()
    assert_close(found["ood"], expected["kmeans_centers"], 1e-6)
    assert_close(torch.cat([found["in"], found["ood"]]), expected["centers"], 1e-6)


@pytest.mark.parametrize(("name", "clusters"), STEPS)
def test_distances_losses_and_gradients(given, name, clusters):
    step = golden(f"wood-training/{name}-{clusters}")
    centers = centers_of(golden(f"wood-training/setup-{clusters}"))
    network, batch = network_before(given, name, clusters), batch_of(given, step)
    loss = WoodLoss(preset(len(centers["ood"])), centers, VOC_CLASSES)

    logits, z = network(batch["image"])
    z.retain_grad()
    assert_close(z, step["z"], 1e-6)
    assert_close(logits, step["logits"], 1e-6)
    assert_close(distances(z, centers["in"]) * batch["labels"], step["fg_distances"], 1e-6)
    away = distances(z, centers["ood"])
    assert_close(away, step["ood_distances"], 1e-6)

    l_d = sum(loss.distance_term(z, batch["labels"], term) for term in ("in", "ood"))
    assert l_d.item() == pytest.approx(step["loss_M"].item(), rel=1e-6)
    (gradient,) = torch.autograd.grad(0.007 * l_d, z, retain_graph=True)
    assert_close(gradient, step["lambda_grad_z"], 1e-6)
    # The number of pairs that are pushed: 160 of 800, but 39 of 192.
    pushed = len(step["ood_distances"].flatten())
    assert (away < step["threshold"] * (1 - 1e-6)).sum() == pushed - int(pushed * (1 - 0.2))

    total, terms = loss(network, batch, 0.0)
    assert terms["cls_ood"].item() == pytest.approx(step["loss_ood"].item(), rel=1e-6)
    assert total.item() == pytest.approx(step["loss"].item(), rel=1e-6)


@pytest.mark.parametrize(("name", "clusters"), STEPS)
def test_ood_images_are_made_harder(given, name, clusters):
    step = golden(f"wood-training/{name}-{clusters}")
    network, batch = network_before(given, name, clusters), batch_of(given, step)
    images = batch["ood"]["image"]
    harder = climb(network, images, 0.07, 20)
    with torch.no_grad():
        assert_close(network(images)[0], step["logits_ood"], 1e-6)
        logits = network(harder)[0]
    assert_close(logits, step["logits_ood_perturbed"], 1e-5)
    if "image_ood_perturbed" in step:
        change = step["image_ood_perturbed"] - images.numpy()
        assert np.abs(change).max() > 0.05
        assert_close(harder - images, change, 5e-6, scale=0.07)
    bottle = VOC_CLASSES.index("bottle")
    assert (logits.argmax(dim=1).numpy() != bottle).tolist() == step["mask"].tolist()


@pytest.mark.parametrize("name", ["step0", "step1"])
def test_the_step_of_the_optimizer(given, name):
    step = golden(f"wood-training/{name}-k50")
    centers = centers_of(golden("wood-training/setup-k50"))
    network, batch = network_before(given, name, "k50"), batch_of(given, step)
    loss = WoodLoss(preset(50), centers, VOC_CLASSES)
    groups = [
        {"params": list(network.backbone.parameters()), "lr_scale": 1},
        {"params": list(network.head.parameters()), "lr_scale": 10},
    ]
    options = {"lr": 0.01, "momentum": 0, "weight_decay": 1e-4}
    optimizer = make_optimizer(groups, options)
    for group, lr in zip(optimizer.param_groups, step["lr"], strict=True):
        group["lr"] = group["full_lr"] * (1 - int(name[-1]) / 4) ** 0.9
        assert group["lr"] == pytest.approx(lr, rel=1e-6)
    loss(network, batch, 0.0)[0].backward()
    for part, parameter in network.weights().items():
        assert_close(parameter.grad, step[f"grad_{part}"], 1e-6)
    optimizer.step()
    # Their momentum is the weight decay, 1e-4; ours 0, which their file is equal to that far.
    for part, parameter in network.weights().items():
        assert_close(parameter, step[f"after_{part}"], 1e-4)
