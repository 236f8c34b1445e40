"""IR labels (two dense CRFs an image) with one worker process and with one a core; peak memory.

As a bound, runs of one worker each that know nothing of each other, one a core at the same time:
what the cores' shared cache, memory and clock leave of so many times one worker's speed.

python -m benchmarks.crf --images 40
"""

import argparse
import os
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageFilter

from wood.affinity.ir_labels import make_ir_labels
from wood.data.lists import write_image_list
from wood.maps import LocalizationMaps, write_maps

HEIGHT, WIDTH = 375, 500
CLASSES = ("a", "b", "c")


def generate(folder: Path, images: int) -> None:
    """Write blurred noise as photographs, and smooth maps of three classes for each."""
    rng = np.random.default_rng(0)
    rows, maps = [], []
    for number in range(images):
        noise = Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
        path = folder / f"{number}.jpg"
        noise.filter(ImageFilter.GaussianBlur(8)).save(path)
        rows.append((str(number), str(path)))
        coarse = torch.rand(1, len(CLASSES), 6, 8)
        grid = torch.nn.functional.interpolate(coarse, size=(94, 125), mode="bilinear")[0].half()
        maps.append(
            LocalizationMaps(str(number), (HEIGHT, WIDTH), torch.arange(len(CLASSES)), grid)
        )
    write_image_list(folder / "images.csv", pd.DataFrame(rows, columns=["image_id", "path"]))
    write_maps(folder / "maps.safetensors", maps, class_names=CLASSES, source="benchmark")


def seconds(folder: Path, workers: int, name: str = "labels") -> float:
    """Return how long the IR labels of all images take, the workers' start included."""
    started = time.perf_counter()
    make_ir_labels(
        folder / "maps.safetensors",
        folder / "images.csv",
        folder / f"{name}-{workers}",
        class_names=CLASSES,
        foreground_threshold=0.7,
        background_threshold=0.4,
        gt_prob=0.7,
        workers=workers,
    )
    return time.perf_counter() - started


def seconds_apart(folder: Path, runs: int) -> float:
    """Return how long so many runs of one worker take that all work on all images."""
    started = time.perf_counter()
    with ThreadPoolExecutor(runs) as threads:
        list(threads.map(lambda run: seconds(folder, 1, f"apart-{run}"), range(runs)))
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, arguments.images)
        one, many = (seconds(folder, workers) for workers in (1, arguments.workers))
        bound = arguments.workers * one / seconds_apart(folder, arguments.workers)
    print(f"IR labels of {arguments.images} images of {WIDTH} x {HEIGHT}, 4 labels")
    print(f"  1 worker: {one / arguments.images:.2f} s/image")
    print(
        f"  {arguments.workers} workers: {many / arguments.images:.2f} s/image, "
        f"{one / many:.2f} times as fast (bound {bound:.2f})"
    )
    # Kilobytes on Linux: of the largest of the processes that were waited for.
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"  peak memory of a worker: {largest:.0f} MB")


if __name__ == "__main__":
    main()
