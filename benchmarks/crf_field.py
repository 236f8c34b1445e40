"""The dense CRF in torch beside pydensecrf: two fields of one image, as an IR label needs them.

Both in turn in one process, on one thread; the largest difference is checked against 1e-3.

python -m benchmarks.crf_field --images results/demo/VOCdevkit/VOC2012/JPEGImages
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.timing import compare
from wood.crf import IR_LABEL_CRF, refine_each

LABELS, CELL, BOUND = 4, 40, 1e-3


def seeds(height: int, width: int, seed: int) -> np.ndarray:
    """Random labels in squares."""
    rows, columns = -(-height // CELL), -(-width // CELL)
    cells = np.random.default_rng(seed).integers(0, LABELS, (rows, columns))
    return np.kron(cells, np.ones((CELL, CELL), int))[:height, :width]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEGs")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for path in sorted(arguments.images.glob("*.jpg"))[: arguments.count]:
        image = np.array(Image.open(path).convert("RGB").resize((500, 375)))
        several = [seeds(*image.shape[:2], seed) for seed in range(2)]

        def both(in_torch: bool, image: np.ndarray = image, several: list = several) -> np.ndarray:
            refined = refine_each(
                image, several, parameters=IR_LABEL_CRF, num_labels=LABELS, in_torch=in_torch
            )
            return np.stack(refined)

        apart = np.abs(both(True) - both(False)).max()
        if apart > BOUND:
            raise SystemExit(f"{path}: the two ways are {apart:.1e} apart, more than {BOUND}")
        ours, theirs = compare(lambda: both(True), lambda: both(False), arguments.repeats)
        print(
            f"{path.name}: torch {ours:.3f} s, pydensecrf {theirs:.3f} s, "
            f"ratio {theirs / ours:.2f}, largest difference {apart:.1e}"
        )


if __name__ == "__main__":
    main()
