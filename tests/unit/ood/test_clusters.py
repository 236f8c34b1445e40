"""Centres by class and by K-means."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from wood.ood.clusters import class_centers, group_centers, kmeans
from wood.runtime.errors import InputError


@pytest.fixture
def blobs():
    generator = torch.Generator().manual_seed(0)
    means = 4 * torch.randn(7, 16, generator=generator)
    points = means.repeat_interleave(30, dim=0) + torch.randn(210, 16, generator=generator)
    return points


def test_class_centers_are_means_and_nan_without_images():
    features = torch.tensor([[1.0, 0], [3, 0], [0, 5]])
    labels = torch.tensor([[1.0, 0, 1], [1, 0, 0], [0, 0, 1]])
    centers = class_centers(features, labels)
    assert centers[0].tolist() == [2, 0]
    assert centers[1].isnan().all()
    assert centers[2].tolist() == [0.5, 2.5]


def test_centers_are_the_means_of_their_clusters(blobs):
    centers, assignment = kmeans(blobs, 7, seed=0)
    assert assignment.dtype == torch.int64
    for cluster in range(7):
        torch.testing.assert_close(centers[cluster], blobs[assignment == cluster].mean(dim=0))
    nearest = torch.cdist(blobs, centers).argmin(dim=1)
    assert torch.equal(nearest, assignment)


def test_as_good_as_scikit_learn(blobs):
    rng = np.random.default_rng(0)
    for points in (blobs, torch.from_numpy(rng.normal(size=(400, 8))).float()):
        centers, assignment = kmeans(points, 9, seed=0)
        ours = (points - centers[assignment]).square().sum().item()
        theirs = KMeans(9, n_init=10, random_state=0).fit(points.numpy()).inertia_
        assert ours <= 1.02 * theirs


def test_same_seed_same_clusters(blobs):
    first, second = (kmeans(blobs, 5, seed=4) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_no_cluster_is_empty_even_with_copies():
    points = torch.tensor([[0.0], [0.0], [0.0], [1.0], [100.0], [100.0]])
    _, assignment = kmeans(points, 3, seed=0)
    assert sorted(set(assignment.tolist())) == [0, 1, 2]


def test_fewer_different_images_than_clusters():
    with pytest.raises(InputError, match=r"there are 2, and wood\.clusters is 3"):
        kmeans(torch.tensor([[0.0], [0.0], [1.0]]), 3, seed=0)


def test_from_the_first_images_as_the_authors_code_does(blobs):
    """Lloyd's algorithm written out: centres of the first K rows, then 10 rounds of both steps."""
    centers = blobs[:9].double()
    for _ in range(10):
        nearest = torch.cdist(blobs.double(), centers).argmin(dim=1)
        centers = torch.stack([blobs.double()[nearest == k].mean(dim=0) for k in range(9)])
    found, assignment = kmeans(blobs, 9, seed=0, start="first", iterations=10)
    torch.testing.assert_close(found.double(), centers, rtol=1e-5, atol=1e-5)
    assert torch.equal(assignment, nearest)
    with pytest.raises(ValueError, match="start"):
        kmeans(blobs, 9, seed=0, start="last")


def test_groups_by_predicted_class_skip_empty_ones():
    features = torch.tensor([[0.0], [2.0], [10.0]])
    centers, assignment = group_centers(features, torch.tensor([1, 1, 4]), 6)
    assert centers.tolist() == [[1.0], [10.0]]
    assert assignment.tolist() == [0, 0, 1]
