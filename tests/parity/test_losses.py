"""The W-OoD losses against the equations of the paper, written out in double precision."""

import math

import numpy as np
import pytest
import torch

from wood.ood.losses import classification_loss, distance_loss, ood_losses


def equation_2(features, labels, in_centers, ood_centers, nearest):
    """Eq. 1 and 2 in plain Python, per image; the mean over the batch."""
    total = 0.0
    for z, y in zip(features.tolist(), labels.tolist(), strict=True):
        d_in = [math.dist(z, center) for center in in_centers.tolist()]
        d_ood = sorted(math.dist(z, center) for center in ood_centers.tolist())
        total += sum(d for d, present in zip(d_in, y, strict=True) if present)
        total -= sum(d_ood[:nearest])
    return total / len(features)


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(6, 8, generator=generator, dtype=torch.float64)
    labels = (torch.rand(6, 4, generator=generator) < 0.4).double()
    labels[2] = 0
    in_centers = torch.randn(4, 8, generator=generator, dtype=torch.float64)
    ood_centers = torch.randn(10, 8, generator=generator, dtype=torch.float64)
    return features, labels, in_centers, ood_centers


@pytest.mark.parametrize(("top_fraction", "nearest"), [(0.2, 2), (0.25, 2), (1.0, 10), (0.001, 1)])
def test_eq_2(case, top_fraction, nearest):
    expected = equation_2(*case, nearest)
    assert distance_loss(*case, top_fraction).item() == pytest.approx(expected, rel=1e-12)


def test_terms_add_up_and_clusters_divide(case):
    both = distance_loss(*case, 0.2)
    parts = [distance_loss(*case, 0.2, terms=(term,)) for term in ("in", "ood")]
    torch.testing.assert_close(sum(parts), both)
    assert parts[0] > 0 > parts[1]
    torch.testing.assert_close(distance_loss(*case, 0.2, normalize="clusters"), both / 10)


def test_one_threshold_over_the_batch_takes_the_nearest_pairs(case):
    features, labels, in_centers, ood_centers = case
    away = [math.dist(z, center) for z in features.tolist() for center in ood_centers.tolist()]
    expected = -sum(sorted(away)[: 2 * 6]) / 6
    loss = distance_loss(
        features, labels, in_centers, ood_centers, 0.2, terms=("ood",), selection="batch"
    )
    assert loss.item() == pytest.approx(expected, rel=1e-12)


def test_an_image_without_a_class_is_only_pushed(case):
    features, labels, in_centers, ood_centers = case
    alone = (features[2:3], labels[2:3], in_centers, ood_centers)
    assert distance_loss(*alone, 0.2, terms=("in",)).item() == 0
    assert distance_loss(*alone, 0.2).item() < 0


def test_a_class_without_images_contributes_nothing(case):
    features, labels, in_centers, ood_centers = case
    labels[:, 1] = 1
    without = in_centers.clone()
    without[1] = torch.nan
    rest = labels.clone()
    rest[:, 1] = 0
    torch.testing.assert_close(
        distance_loss(features, labels, without, ood_centers, 0.2),
        distance_loss(features, rest, in_centers, ood_centers, 0.2),
    )


def test_gradient_is_that_of_the_equation(case):
    features, labels, in_centers, ood_centers = case
    assert torch.autograd.gradcheck(
        lambda z: distance_loss(z, labels, in_centers, ood_centers, 0.3),
        features.requires_grad_(),
    )


@pytest.mark.parametrize(("selection", "pushed"), [("image", 2), ("batch", 3)])
def test_gradient_is_finite_on_a_centre_and_at_equal_distances(selection, pushed):
    features = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    centers = torch.tensor([[0.0, 0, 0], [1, 0, 0], [-1, 0, 0]], dtype=torch.float64)
    labels = torch.tensor([[1.0, 0, 0], [1, 1, 0]], dtype=torch.float64)
    loss = distance_loss(features, labels, centers, centers, 0.67, selection=selection)
    loss.backward()
    # In: 0 and 0 + 1. OoD: the two nearest of {0, 1, 1} of each image, or 6 - int(6 * 0.33) = 5
    # pairs of the batch, of which two are 0.
    assert loss.item() == pytest.approx((1 - pushed) / 2)
    assert torch.isfinite(features.grad).all()


def test_one_cluster():
    features = torch.tensor([[3.0, 4.0]])
    zeros = torch.zeros(1, 2)
    assert distance_loss(features, torch.zeros(1, 1), zeros, zeros, 0.2).item() == -5


@pytest.mark.parametrize(
    "arguments",
    [
        {"top_fraction": 0},
        {"top_fraction": 1.1},
        {"top_fraction": 0.2, "normalize": "mean"},
        {"top_fraction": 0.2, "selection": "all"},
        {"top_fraction": 0.2, "terms": ()},
        {"top_fraction": 0.2, "terms": ("out",)},
    ],
)
def test_impossible_arguments_are_named(case, arguments):
    with pytest.raises(ValueError, match=list(arguments)[-1]):
        distance_loss(*case, **arguments)


def bce(logit, target):
    p = 1 / (1 + math.exp(-logit))
    return -target * math.log(p) - (1 - target) * math.log(1 - p)


def test_eq_3():
    rng = np.random.default_rng(0)
    logits_in, logits_ood = rng.normal(size=(5, 3)), rng.normal(size=(2, 3))
    labels = (rng.random((5, 3)) < 0.5).astype(float)
    inside = np.mean([bce(a, y) for a, y in zip(logits_in.flat, labels.flat, strict=True)])
    outside = np.mean([bce(a, 0) for a in logits_ood.flat])
    tensors = [torch.from_numpy(array) for array in (logits_in, labels, logits_ood)]
    assert classification_loss(*tensors[:2]).item() == pytest.approx(inside, rel=1e-12)
    assert classification_loss(*tensors).item() == pytest.approx(inside + outside, rel=1e-12)


def test_ood_images_of_no_class_of_any_class_and_of_a_class_of_their_own():
    """Sec. 3.2: Eq. 3, the uniform distribution, and one background class."""
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = {"zeros": [], "uniform": [], "background": []}
    for row in logits.tolist():
        total = sum(math.exp(value) for value in row)
        expected["zeros"].append(np.mean([bce(value, 0) for value in row]))
        expected["uniform"].append(-sum(math.log(math.exp(v) / total) for v in row) / 3)
        expected["background"].append((bce(row[0], 0) + bce(row[1], 0) + bce(row[2], 1)) / 3)
    for target, values in expected.items():
        assert ood_losses(logits, target).tolist() == pytest.approx(values, rel=1e-12)
        assert torch.autograd.gradcheck(
            lambda x, target=target: ood_losses(x, target), logits.clone().requires_grad_()
        )
    assert ood_losses(torch.zeros(1, 3), "uniform").item() == pytest.approx(math.log(3))
    with pytest.raises(ValueError, match="target"):
        ood_losses(logits, "ones")


def test_gradient_of_eq_3_is_that_of_the_equation():
    generator = torch.Generator().manual_seed(2)
    inside, outside = (
        torch.randn(rows, 3, generator=generator, dtype=torch.float64).requires_grad_()
        for rows in (4, 2)
    )
    labels = torch.tensor([[1.0, 0, 0], [0, 0, 0], [1, 1, 1], [0, 1, 0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda a, b: classification_loss(a, labels, b), (inside, outside)
    )
