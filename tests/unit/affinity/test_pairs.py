"""Paths, affinities, affinity labels and IRNet's losses, by brute force on small grids."""

import itertools
import math

import pytest
import torch

from wood.affinity.affinity_labels import affinity_labels
from wood.affinity.losses import irnet_loss
from wood.affinity.paths import search_paths, training_affinities, training_sources


def brute_force_pairs(radius):
    """Every (dy, dx) nearer than the radius, one of each opposite pair, with its path's cells."""
    reach = range(-radius + 1, radius)
    for dy, dx in itertools.product(reach, reach):
        length = math.hypot(dy, dx)
        if not 0 < length < radius or dy < 0 or (dy == 0 and dx < 0):
            continue
        cells = {
            (y, x)
            for y, x in itertools.product(reach, reach)
            if min(0, dy) <= y <= max(0, dy)
            and min(0, dx) <= x <= max(0, dx)
            and abs(dy * x - dx * y) / length < 1 - 1e-12
        }
        yield dy, dx, cells


@pytest.mark.parametrize("radius", [2, 5, 10])
def test_paths(radius):
    found = {(path.dy, path.dx): set(path.cells) for path in search_paths(radius)}
    assert found == {(dy, dx): cells for dy, dx, cells in brute_force_pairs(radius)}


@pytest.mark.parametrize(("radius", "count"), [(5, 34), (10, 152)])
def test_number_of_paths_is_irns(radius, count):
    assert len(search_paths(radius)) == count


def test_a_radius_without_neighbours_is_refused():
    with pytest.raises(ValueError, match="reaches no other cell"):
        search_paths(1)


def source_cells(height, width, radius):
    rows, columns = training_sources(height, width, radius)
    return list(itertools.product(range(rows.start, rows.stop), range(columns.start, columns.stop)))


@pytest.mark.parametrize(("height", "width", "radius"), [(7, 9, 3), (6, 9, 4), (12, 13, 5)])
def test_sources_are_those_with_all_targets_on_the_grid(height, width, radius):
    expected = [
        (y, x)
        for y, x in itertools.product(range(height), range(width))
        if y + radius - 1 < height and x - radius + 1 >= 0 and x + radius - 1 < width
    ]
    assert source_cells(height, width, radius) == expected


def test_training_affinities_and_their_gradient():
    radius, height, width = 4, 6, 9
    boundary = torch.rand(2, height, width, dtype=torch.float64, requires_grad=True)
    affinities = training_affinities(boundary, radius)
    sources = source_cells(height, width, radius)
    assert affinities.shape == (2, len(search_paths(radius)), 3, 3)

    expected = [
        [
            [
                1 - torch.stack([image[y + cy, x + cx] for cy, cx in path.cells]).max()
                for y, x in sources
            ]
            for path in search_paths(radius)
        ]
        for image in boundary
    ]
    expected = torch.stack([torch.stack([torch.stack(row) for row in one]) for one in expected])
    torch.testing.assert_close(affinities.flatten(2), expected)

    weights = torch.rand_like(expected)
    (gradient,) = torch.autograd.grad((affinities.flatten(2) * weights).sum(), boundary)
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), boundary)
    torch.testing.assert_close(gradient, expected_gradient)


def test_too_small_a_grid_is_refused():
    with pytest.raises(ValueError, match="too small"):
        training_affinities(torch.rand(1, 9, 8), 5)


def random_labels(*shape):
    return torch.tensor([0, 0, 1, 2, 255], dtype=torch.uint8)[torch.randint(0, 5, shape)]


def test_affinity_labels():
    torch.manual_seed(0)
    radius, height, width = 4, 7, 10
    grid = random_labels(2, height, width)
    labels = affinity_labels(grid, radius)
    sources = source_cells(height, width, radius)
    for image, (place, path) in itertools.product(range(2), enumerate(search_paths(radius))):
        for number, (y, x) in enumerate(sources):
            here = int(grid[image, y, x])
            there = int(grid[image, y + path.dy, x + path.dx])
            certain = here != 255 and there != 255
            found = [
                bool(mask[image, place].flatten()[number])
                for mask in (labels.background, labels.foreground, labels.negative)
            ]
            assert found == [
                here == there == 0,
                certain and here == there and here > 0,
                certain and here != there,
            ]


def brute_force_loss(boundary, displacement, grid, radius):
    """IRN's four losses, pair by pair."""
    sums = dict.fromkeys(("background", "foreground", "negative", "move", "rest"), 0.0)
    counts = dict.fromkeys(("background", "foreground", "negative"), 0)
    height, width = grid.shape[1:]
    for image, path in itertools.product(range(len(grid)), search_paths(radius)):
        for y, x in source_cells(height, width, radius):
            here, there = int(grid[image, y, x]), int(grid[image, y + path.dy, x + path.dx])
            if 255 in (here, there):
                continue
            edge = max(float(boundary[image, y + cy, x + cx]) for cy, cx in path.cells)
            apart = (
                displacement[image, :, y, x] - displacement[image, :, y + path.dy, x + path.dx]
            ).tolist()
            if here != there:
                counts["negative"] += 1
                sums["negative"] -= math.log(1 + 1e-5 - (1 - edge))
                continue
            kind = "foreground" if here else "background"
            counts[kind] += 1
            sums[kind] -= math.log(1 - edge + 1e-5)
            if here:
                sums["move"] += abs(apart[0] - path.dy) + abs(apart[1] - path.dx)
            else:
                sums["rest"] += abs(apart[0]) + abs(apart[1])
    positive = sum(sums[kind] / counts[kind] for kind in ("background", "foreground")) / 2
    return (
        positive,
        sums["negative"] / counts["negative"],
        sums["move"] / (2 * counts["foreground"]),
        sums["rest"] / (2 * counts["background"]),
    )


def test_losses():
    torch.manual_seed(0)
    grid = random_labels(2, 7, 10)
    logits, displacement = torch.randn(2, 1, 7, 10), 3 * torch.randn(2, 2, 7, 10)
    loss, terms = irnet_loss(logits, displacement, grid, 4)
    expected = brute_force_loss(torch.sigmoid(logits)[:, 0], displacement, grid, 4)
    assert [term.item() for term in terms.values()] == pytest.approx(expected, rel=1e-4)
    positive, negative, move, rest = expected
    assert loss.item() == pytest.approx((positive + negative) / 2 + (move + rest) / 2, rel=1e-4)


def test_loss_without_any_certain_pair_is_zero_and_has_a_gradient():
    logits, displacement = torch.zeros(1, 1, 7, 10), torch.zeros(1, 2, 7, 10)
    logits.requires_grad_()
    loss, _ = irnet_loss(logits, displacement, torch.full((1, 7, 10), 255), 4)
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


def test_displacements_to_the_centroid_cost_nothing():
    """Each pixel of one object points to the same place."""
    rows, columns = torch.meshgrid(torch.arange(9.0), torch.arange(12.0), indexing="ij")
    displacement = torch.stack([4 - rows, 5 - columns])[None]
    _, terms = irnet_loss(
        torch.zeros(1, 1, 9, 12), displacement, torch.ones(1, 9, 12, dtype=torch.uint8), 4
    )
    assert terms["displacement_foreground"].item() == 0
