"""The preset `reference-code` against the arithmetic of the authors' training step, written out."""

import pytest
import torch
import yaml
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from tests.places import ROOT
from wood.ood.perturbation import climb
from wood.seeds.wood_loss import WoodLoss
from wood.workflow import resolve as settings

CLASSES = ["bottle", "cat", "dog"]
CLUSTERS, BATCH, FEATURES = 10, 4, 6


class Pooled(nn.Module):
    """The smallest classifier with a feature z: a convolution, its mean, a linear head."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv2d(3, FEATURES, 3)
        self.head = nn.Linear(FEATURES, len(CLASSES), bias=False)

    def forward(self, images):
        features = self.backbone(images).relu().mean(dim=(2, 3))
        return self.head(features), features


@pytest.fixture
def step():
    """A model, a batch of D_in and D_ood, and centres, in double precision."""
    torch.manual_seed(6)  # two of the four OoD images score highest for bottle
    model = Pooled().double()
    inside, outside = (torch.randn(BATCH, 3, 8, 8, dtype=torch.float64) for _ in range(2))
    labels = torch.tensor([[1.0, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 1]], dtype=torch.float64)
    centers = {
        "in": torch.randn(len(CLASSES), FEATURES, dtype=torch.float64),
        "ood": torch.randn(CLUSTERS, FEATURES, dtype=torch.float64),
    }
    return model, {"image": inside, "labels": labels, "ood": {"image": outside}}, centers


def preset(name):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["classifiers"]["cam-wood"] |= {"preset": name, "wood": {"clusters": CLUSTERS}}
    return settings.classifier(config, "cam-wood")["wood"]


def perturbed(model, images, step):
    """One step along the gradient of the highest logits, divided by its maximum; clipped."""
    images = images.clone().requires_grad_()
    model(images)[0].max(dim=1).values.sum().backward()
    gradient = images.grad / images.grad.abs().max()
    return (images + step * gradient).detach().clamp(images.min().item(), images.max().item())


def test_the_whole_step(step):
    model, batch, centers = step
    ood = preset("reference-code")
    logits, z = model(batch["image"])
    labels = batch["labels"]

    to_classes = (z[:, None] - centers["in"]).square().sum(dim=2).sqrt() * labels
    to_clusters = (z[:, None] - centers["ood"]).square().sum(dim=2).sqrt()
    kept = int(BATCH * CLUSTERS * (1 - 0.2))
    threshold = to_clusters.flatten().topk(kept).values[-1]
    l_d = to_classes.mean() * (len(CLASSES) / CLUSTERS)
    l_d = l_d - (to_clusters * (to_clusters < threshold)).mean()

    harder = perturbed(model, batch["ood"]["image"], 0.07)
    logits_ood, _ = model(harder)
    per_image = -logsigmoid(-logits_ood).mean(dim=1)
    not_bottle = logits_ood.argmax(dim=1) != 0
    assert 0 < not_bottle.sum() < BATCH
    l_ood = (per_image * not_bottle).sum() / BATCH

    expected = binary_cross_entropy_with_logits(logits, labels) + 0.007 * l_d + 0.25 * l_ood
    loss, terms = WoodLoss(ood, centers, CLASSES)(model, batch, 0.0)
    # WoodLoss itself works in single precision.
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (terms["dist_in"] + terms["dist_ood"]).item() == pytest.approx(l_d.item(), rel=1e-5)
    assert terms["cls_ood"].item() == pytest.approx(l_ood.item(), rel=1e-5)


def test_the_presets_differ_in_what_the_text_does_not_say():
    paper, code = preset("paper"), preset("reference-code")
    assert {key for key in paper if paper[key] != code[key]} == {
        "normalize", "selection", "kmeans", "ood_weight", "ood_average", "perturbation",
        "leave_out", "trained_stages",
    }  # fmt: skip
    assert (paper["normalize"], paper["selection"]) == ("sum", "image")
    assert (paper["distance_weight"], paper["top_fraction"]) == (0.007, 0.2)
    assert (code["kmeans"]["start"], code["kmeans"]["iterations"]) == ("first", 10)


def test_climbing_raises_the_highest_logit_within_the_range_of_the_batch(step):
    model, batch, _ = step
    images = batch["ood"]["image"]
    harder = climb(model, images, 0.07)
    assert not harder.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert (harder - images).abs().max().item() == pytest.approx(0.07)
    assert harder.min() >= images.min()
    assert harder.max() <= images.max()
    assert (model(harder)[0].amax(dim=1) > model(images)[0].amax(dim=1)).all()


def test_climbing_looks_at_the_foreground_classes_alone(step):
    model, batch, _ = step
    images = batch["ood"]["image"]
    expected = perturbed(lambda x: (model(x)[0][:, :1], None), images, 0.07)
    torch.testing.assert_close(climb(model, images, 0.07, classes=1), expected)
