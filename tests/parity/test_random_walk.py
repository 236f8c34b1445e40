"""The random walk against IRN's formulas with the dense matrix, in double precision."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from wood.affinity import random_walk

RADIUS = 5


def dense_transition(boundary, beta):
    """T from the formulas: pairs closer than the radius, the map padded with boundary as in IRN."""
    height, width = boundary.shape
    padded = np.pad(boundary, ((0, RADIUS), (RADIUS, RADIUS)), constant_values=1)
    number = np.full(padded.shape, -1)
    number[:height, RADIUS : RADIUS + width] = np.arange(boundary.size).reshape(boundary.shape)
    affinity = np.eye(boundary.size)
    rows, columns = np.mgrid[:height, RADIUS : RADIUS + width].reshape(2, -1)
    for dy in range(RADIUS):
        for dx in range(-RADIUS + 1, RADIUS):
            length = np.hypot(dy, dx)
            if not (0 < length < RADIUS) or (dy == 0 and dx < 0):
                continue
            strongest = np.zeros(boundary.size)
            for y in range(dy + 1):
                for x in range(min(0, dx), max(0, dx) + 1):
                    if abs(dy * x - dx * y) / length < 1 - 1e-12:
                        strongest = np.maximum(strongest, padded[rows + y, columns + x])
            targets = number[rows + dy, columns + dx]
            inside = targets >= 0
            sources = np.arange(boundary.size)[inside]
            weight = (1 - strongest[inside]) ** beta
            affinity[sources, targets[inside]] = affinity[targets[inside], sources] = weight
    return affinity / affinity.sum(axis=0)


def dense_walk(seeds, boundary, beta=10.0, exp_times=8):
    boundary = boundary.double().numpy()
    transition = dense_transition(boundary, beta)
    walked = (seeds.double().numpy() * (1 - boundary)).reshape(len(seeds), -1)
    for _ in range(2**exp_times):
        walked = walked @ transition
    return torch.from_numpy(walked).view(seeds.shape)


def error(result, expected):
    """The largest error of each class, relative to the class's largest value."""
    largest = expected.abs().amax(dim=(1, 2)).clamp(min=1e-9)
    return ((result.double() - expected).abs().amax(dim=(1, 2)) / largest).max().item()


def smooth(height, width, cell=8):
    coarse = torch.rand(1, 1, max(2, height // cell), max(2, width // cell))
    return interpolate(coarse, size=(height, width), mode="bicubic")[0, 0].clamp(0, 1)


def make_boundary(kind, height, width):
    return {
        "smooth": lambda: smooth(height, width),
        "weak": lambda: smooth(height, width) * 0.1,
        "hard": lambda: (smooth(height, width, cell=4) > 0.6).float(),
        "speckled": lambda: (torch.rand(height, width) > 0.9).float(),
        "zero": lambda: torch.zeros(height, width),
        "one": lambda: torch.ones(height, width),
    }[kind]()


def make_seeds(height, width):
    """A dense map, a single pixel, and one in a corner."""
    seeds = torch.zeros(3, height, width)
    seeds[0] = torch.rand(height, width)
    seeds[1, height // 2, width // 2] = 1
    seeds[2, 0, 0] = 1
    return seeds


@pytest.mark.parametrize(
    ("kind", "height", "width"),
    [
        ("smooth", 48, 64),
        *[(kind, 24, 32) for kind in ("smooth", "weak", "hard", "speckled", "zero", "one")],
        ("smooth", 40, 1),
        ("hard", 1, 40),
        ("zero", 1, 1),
        ("smooth", 2, 3),
    ],
)
def test_equals_the_dense_walk(kind, height, width):
    torch.manual_seed(height * width)
    boundary, seeds = make_boundary(kind, height, width), make_seeds(height, width)
    result = random_walk(seeds, boundary)
    assert result.shape == seeds.shape
    assert result.dtype == torch.float32
    assert error(result, dense_walk(seeds, boundary)) < 1e-5  # 1e-4 is required


@pytest.mark.parametrize(("beta", "exp_times"), [(8.0, 0), (10.0, 2), (3.5, 5), (10.0, 10)])
def test_other_exponents_and_lengths(beta, exp_times):
    torch.manual_seed(0)
    boundary, seeds = smooth(12, 14), make_seeds(12, 14)
    result = random_walk(seeds, boundary, beta=beta, exp_times=exp_times)
    assert error(result, dense_walk(seeds, boundary, beta, exp_times)) < 1e-5


def test_double_precision():
    torch.manual_seed(0)
    boundary, seeds = smooth(20, 20).double(), make_seeds(20, 20).double()
    result = random_walk(seeds, boundary)
    assert result.dtype == torch.float64
    assert error(result, dense_walk(seeds, boundary)) < 2e-6


def test_a_batch_is_its_images():
    torch.manual_seed(0)
    boundary = torch.stack([smooth(17, 23), make_boundary("hard", 17, 23)])
    seeds = torch.rand(2, 4, 17, 23)
    batch = random_walk(seeds, boundary)
    for index in range(2):
        torch.testing.assert_close(
            batch[index], random_walk(seeds[index], boundary[index]), rtol=1e-5, atol=1e-6
        )


def test_padding_with_boundary_changes_nothing():
    torch.manual_seed(0)
    boundary, seeds = smooth(17, 23), torch.rand(2, 17, 23)
    large_boundary, large_seeds = torch.ones(25, 30), torch.zeros(2, 25, 30)
    large_boundary[:17, :23], large_seeds[:, :17, :23] = boundary, seeds
    large = random_walk(large_seeds, large_boundary)
    torch.testing.assert_close(large[:, :17, :23], random_walk(seeds, boundary))
    assert (large[:, 17:] == 0).all()


def test_boundaries_stop_the_walk():
    boundary, seeds = torch.zeros(20, 31), torch.zeros(1, 20, 31)
    boundary[:, 15] = 1
    seeds[0, 10, 5] = 1
    result = random_walk(seeds, boundary)[0]
    assert (result[:, 15:] == 0).all()
    assert (result[:, :15] > 0).all()
    assert result.max() < 0.05  # spread out over the 300 cells on its side


def test_no_classes_and_half_precision_seeds():
    assert random_walk(torch.zeros(0, 4, 5), torch.zeros(4, 5)).shape == (0, 4, 5)
    torch.manual_seed(0)
    seeds, boundary = torch.rand(1, 9, 9).half(), smooth(9, 9)
    assert torch.equal(random_walk(seeds, boundary), random_walk(seeds.float(), boundary))


def test_inputs_are_left_alone():
    seeds, boundary = torch.rand(2, 8, 8), torch.rand(8, 8)
    copies = seeds.clone(), boundary.clone()
    random_walk(seeds, boundary)
    assert torch.equal(seeds, copies[0])
    assert torch.equal(boundary, copies[1])


@pytest.mark.parametrize(
    ("seeds", "boundary", "words"),
    [
        (torch.zeros(2, 4, 5), torch.zeros(5, 4), "do not belong together"),
        (torch.zeros(4, 5), torch.zeros(4, 5), "do not belong together"),
        (torch.full((1, 4, 5), torch.nan), torch.zeros(4, 5), "not finite"),
        (torch.zeros(1, 4, 5), torch.full((4, 5), 1.5), "outside"),
        (torch.zeros(1, 4, 5), torch.full((4, 5), torch.nan), "outside"),
    ],
)
def test_bad_input_is_refused(seeds, boundary, words):
    with pytest.raises(ValueError, match=words):
        random_walk(seeds, boundary)
