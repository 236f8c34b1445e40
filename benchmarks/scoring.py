"""Rate of scoring candidates: the whole, the network alone, and decoding alone.

    python -m benchmarks.scoring --classifier results/demo/classifiers/cam/seed-0/model.safetensors

The photographs are as large as those of Open Images (1024 x 768 pixels). The network waits for
decoding where the threads times the rate of one are below the network's rate.
"""

import argparse
import logging
import tempfile
from pathlib import Path

import pandas as pd

from benchmarks.download import photograph
from wood.ood.scoring import score_images
from wood.runtime.devices import find_device, use_precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classifier", type=Path, required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--long-side", type=int, default=224)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    use_precision(arguments.precision)
    print(f"device {find_device()}, {arguments.precision}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photographs = [photograph(seed) for seed in range(8)]
        paths = [folder / f"{number:06d}.jpg" for number in range(arguments.images)]
        for number, path in enumerate(paths):
            path.write_bytes(photographs[number % len(photographs)])
        table = pd.DataFrame({"image_id": [path.stem for path in paths], "path": map(str, paths)})
        table.assign(split="train", status="ok").to_parquet(folder / "manifest.parquet")
        for workers in arguments.workers:
            score_images(
                folder / "manifest.parquet",
                arguments.classifier,
                folder / "scores.parquet",
                long_side=arguments.long_side,
                workers=workers,
            )


if __name__ == "__main__":
    main()
