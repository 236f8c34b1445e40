"""Groups of images of one size, which can go through a network together."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

# Pixels that wait, of all sizes together: 300 MB as bytes, 400 MB as PIL keeps them.
MOST_WAITING = 100_000_000


def of_one_size(
    items: Iterable[Item], size: Callable[[Item], tuple[int, int]], max_pixels: int
) -> Iterator[list[Item]]:
    """Group what has one size, in groups of at most `max_pixels` pixels (at least one item).

    Sizes differ from photograph to photograph, so several groups grow at once. The one of the most
    pixels goes on its way before it is full where `MOST_WAITING` pixels wait, or `max_pixels` if
    those are more.

    Args:
        items: anything that holds an image.
        size: the two sides of an item, in pixels.
        max_pixels: of a group.
    """
    most = max(MOST_WAITING, max_pixels)
    groups: dict[tuple[int, int], list[Item]] = {}
    waiting = 0
    for item in items:
        own = size(item)
        group = groups.setdefault(own, [])
        group.append(item)
        waiting += _pixels(own)
        full = (len(group) + 1) * _pixels(own) > max_pixels
        if full or waiting >= most:
            ready = own if full else max(groups, key=lambda key: len(groups[key]) * _pixels(key))
            waiting -= len(groups[ready]) * _pixels(ready)
            yield groups.pop(ready)
    yield from groups.values()


def _pixels(size: tuple[int, int]) -> int:
    return size[0] * size[1]
