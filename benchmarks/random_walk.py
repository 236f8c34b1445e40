"""The sparse random walk beside IRN's dense squaring: time, error and memory.

python -m benchmarks.random_walk            # squares the dense matrix 8 times
python -m benchmarks.random_walk --quick    # squares it once, and multiplies by 8
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from wood.affinity import random_walk
from wood.affinity.paths import grid_affinities
from wood.runtime.devices import find_device

RADIUS, BETA, EXP_TIMES, CLASSES = 5, 10.0, 8, 3
COMPARED = (72, 96)
VOC = (94, 125)
GPU_BATCH = 32


def make_input(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return random seeds and a smooth random boundary."""
    coarse = torch.rand(1, 1, height // 8, width // 8)
    boundary = interpolate(coarse, size=(height, width), mode="bicubic")[0, 0].clamp(0, 1)
    return torch.rand(CLASSES, height, width), boundary


def median_seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Return the median time of `repeats` calls, after one to warm up."""
    function()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        function()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def dense_transition(boundary: Tensor) -> Tensor:
    """Return T as IRN builds it: (HW, HW) float32."""
    height, width = boundary.shape
    row = width + RADIUS - 1
    cells = torch.arange(height * row)
    # The layout of `grid_affinities` has padding at the end of each row.
    number = torch.where(cells % row < width, cells - cells // row * (RADIUS - 1), -1)
    affinity = torch.eye(height * width)
    for offset, values in grid_affinities(boundary, RADIUS):
        sources, targets = number[: len(cells) - offset], number[offset:]
        inside = (sources >= 0) & (targets >= 0)
        weight = values[inside] ** BETA
        affinity[sources[inside], targets[inside]] = weight
        affinity[targets[inside], sources[inside]] = weight
    return affinity / affinity.sum(dim=0)


def compare(quick: bool) -> None:
    """Print the times of both ways at 72 x 96, and how far they are apart."""
    seeds, boundary = make_input(*COMPARED)
    sparse = median_seconds(lambda: random_walk(seeds, boundary, RADIUS, BETA, EXP_TIMES))
    started = time.perf_counter()
    transition = dense_transition(boundary)
    building = time.perf_counter() - started
    squarings = 1 if quick else EXP_TIMES
    started = time.perf_counter()
    for _ in range(squarings):
        transition = transition @ transition
    dense = (time.perf_counter() - started) * EXP_TIMES / squarings
    note = " (one of 8 squarings measured)" if quick else ""
    print(f"72 x 96, {CLASSES} classes, {torch.get_num_threads()} threads")
    print(f"  dense squaring {dense:.2f} s{note}, and {building:.2f} s to build the matrix")
    print(f"  random_walk    {sparse:.4f} s: {dense / sparse:.0f} times as fast")
    if not quick:
        start = (seeds * (1 - boundary)).view(CLASSES, -1)
        expected = (start @ transition).view_as(seeds)
        apart = (random_walk(seeds, boundary) - expected).abs().max() / expected.max()
        print(f"  largest difference from the float32 squaring, relative: {apart:.1e}")


def highest_memory() -> float:
    """Return this process's highest memory in MB (Linux; getrusage would count the parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def peak_memory(height: int, width: int) -> float:
    """Return by how many MB one walk raises the highest memory of this process."""
    seeds, boundary = make_input(height, width)
    before = highest_memory()
    random_walk(seeds, boundary)
    return highest_memory() - before


def memory() -> None:
    """Print the memory at 1, 2, 4 and 8 times VOC's grid, each in a process of its own."""
    for factor in (1, 2, 4, 8):
        height, width = VOC[0] * factor, VOC[1]
        command = [sys.executable, "-m", "benchmarks.random_walk", "--memory", f"{height}x{width}"]
        taken = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        dense = (height * width) ** 2 * 4 / 2**20
        print(f"{height} x {width}: {taken} MB; the dense matrix alone {dense:,.0f} MB")


def gpu() -> None:
    """Print the rate of batches on the GPU, where there is one."""
    device = find_device()
    if device.type != "cuda":
        return
    pairs = [make_input(*VOC) for _ in range(GPU_BATCH)]
    seeds = torch.stack([seed for seed, _ in pairs]).to(device)
    boundary = torch.stack([edges for _, edges in pairs]).to(device)

    def walk() -> None:
        random_walk(seeds, boundary)
        torch.cuda.synchronize()

    seconds = median_seconds(walk)
    print(f"{torch.cuda.get_device_name()}: {GPU_BATCH / seconds:.0f} images/s at 94 x 125")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="square the dense matrix once only")
    parser.add_argument("--memory", metavar="HxW", help="print the memory of one walk, in MB")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    if arguments.memory:
        height, width = map(int, arguments.memory.split("x"))
        print(f"{peak_memory(height, width):.0f}")
        return
    compare(arguments.quick)
    seeds, boundary = make_input(*VOC)
    print(f"94 x 125: {median_seconds(lambda: random_walk(seeds, boundary)):.3f} s (median of 5)")
    memory()
    gpu()


if __name__ == "__main__":
    main()
