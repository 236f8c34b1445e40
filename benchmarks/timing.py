"""Times of two ways of doing the same, and how long a GPU waits."""

import statistics
import time
from collections.abc import Callable

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile


def seconds(function: Callable[[], object]) -> float:
    """Return how long one call takes, the GPU's work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def compare(
    ours: Callable[[], object], reference: Callable[[], object], repeats: int
) -> tuple[float, float]:
    """Return the median times of both, called in turn so that other load meets both alike.

    One call of each to warm up is not counted.
    """
    ours()
    reference()
    times = [(seconds(ours), seconds(reference)) for _ in range(repeats)]
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)


def busy_seconds(function: Callable[[], object]) -> tuple[float, float]:
    """Return how long one call takes, and how long the GPU runs a kernel or a copy meanwhile."""
    with profile(activities=[ProfilerActivity.CUDA]) as recorded:
        taken = seconds(function)
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in recorded.events()
        if event.device_type == DeviceType.CUDA
    )
    busy, until = 0.0, float("-inf")
    for start, end in spans:
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return taken, busy / 1e6


def rate(run: Callable[[int], object], small: int, large: int) -> float:
    """Return how many of the units that `run` is called with are done in a second.

    Taken between a small and a large run, so that the start does not count.
    """
    run(small)
    short, long = (seconds(lambda count=count: run(count)) for count in (small, large))
    return (large - small) / (long - short)


def idle_share(run: Callable[[int], object], small: int, large: int) -> float:
    """Return the share of the time that the GPU is idle, between a small and a large run."""
    taken, busy = zip(
        *(busy_seconds(lambda count=count: run(count)) for count in (small, large)), strict=True
    )
    return 1 - (busy[1] - busy[0]) / (taken[1] - taken[0])
