"""Groups of one size: which images are together, and how many pixels wait."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from wood.data.groups import MOST_WAITING, of_one_size
from wood.data.photographs import batches_of_one_size
from wood.ood.scoring import Loaded, batches


def grouped(sizes, max_pixels):
    """The groups of numbered sizes, as their numbers."""
    items = enumerate(sizes)
    return [
        [number for number, _ in group]
        for group in of_one_size(items, lambda item: item[1], max_pixels)
    ]


def test_a_full_group_goes_first_and_the_others_in_the_order_of_their_first():
    wide, high, small = (40, 20), (20, 40), (10, 10)
    sizes = [wide, small, high, wide, high, wide, small]
    assert grouped(sizes, 2 * 40 * 20) == [[0, 3], [2, 4], [1, 6], [5]]
    assert grouped(sizes, 0) == [[number] for number in range(7)]


def test_the_largest_group_goes_where_too_many_pixels_wait():
    quarter = MOST_WAITING // 4
    sizes = [(1, 1), (1, 1), (1, 1), (1, quarter), (2, quarter), (1, quarter), (1, 1)]
    assert grouped(sizes, MOST_WAITING) == [[3, 5], [0, 1, 2, 6], [4]]


def test_groups_of_any_size_that_is_asked_for_become_full():
    side = MOST_WAITING // 2
    assert grouped([(1, side)] * 8, 4 * side) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def most_waiting(arrive, release):
    """The most pixels that had arrived and had not yet gone on their way."""
    waiting, most = 0, 0

    def counted():
        nonlocal waiting, most
        for pixels, item in arrive:
            waiting += pixels
            most = max(most, waiting)
            yield item

    for pixels in release(counted()):
        waiting -= pixels
    assert waiting == 0
    return most


def test_the_pixels_of_thousands_of_sizes_are_bounded():
    rng = np.random.default_rng(0)
    sizes = [tuple(size) for size in rng.normal((500, 375), 40, (4_000, 2)).astype(int).tolist()]
    assert len(set(sizes)) > 3000

    def release(items):
        for group in of_one_size(items, lambda size: size, 8_000_000):
            assert len(set(group)) == 1
            yield sum(width * height for width, height in group)

    most = most_waiting(((width * height, (width, height)) for width, height in sizes), release)
    assert most < MOST_WAITING + 700 * 700


SIDES = [(4000, 2500 + number) for number in range(15)]


def images():
    """Images whose headers alone are read, of ten million pixels each."""
    for width, height in SIDES:
        header = f"P6 {width} {height} 255\n".encode()
        yield width * height, (str(height), Image.open(io.BytesIO(header), formats=["PPM"]))


def loaded():
    """Images of one byte that is everywhere, of ten million pixels each."""
    for width, height in SIDES:
        pixels = torch.zeros(1, dtype=torch.uint8).expand(3, height, width)
        yield width * height, Loaded(height, pixels)


def in_photographs(items):
    for ids, batch in batches_of_one_size(items, 40_000_000):
        assert [str(image.height) for image in batch] == ids
        yield sum(image.width * image.height for image in batch)


def in_scoring(items):
    for rows, pixels in batches(items, 40_000_000):
        assert rows == [pixels.shape[2]] * len(pixels)
        yield pixels[:, 0].numel()


@pytest.mark.parametrize(("arrive", "release"), [(images, in_photographs), (loaded, in_scoring)])
def test_every_way_to_make_batches_has_the_bound(arrive, release):
    assert most_waiting(arrive(), release) < MOST_WAITING + 20_000_000
