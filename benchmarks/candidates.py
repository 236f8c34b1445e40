"""Time and memory of the candidate filter on generated label files of the real form.

    python benchmarks/candidates.py 2 20 60        # millions of label rows

Machine labels are nine to an image with a long-tailed choice of labels, human ones a tenth of them,
and every fifth labelled image is in the image list, as the boxable images are of all 9 million.
"""

import argparse
import binascii
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

LABELS = 20_000
LABEL_IDS = ["/m/01yrx", "/m/0bt9lr", *(f"/m/{number:05x}" for number in range(2, LABELS))]
LABELS_PER_IMAGE = 9
LISTED = 5  # every fifth image is in the list
CHUNK = 1_000_000
IMAGE_HEADER = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
    "OriginalSize,OriginalMD5,Thumbnail300KURL,Rotation\n"
)


def image_ids(numbers: np.ndarray) -> pa.Array:
    """Return 16 hexadecimal digits a number, in no order, as the real ids."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    digits = binascii.hexlify(mixed.astype(">u8").tobytes())
    offsets = np.arange(0, len(digits) + 1, 16, dtype=np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(digits))


def write_labels(
    path: Path, source: str, rows: int, per_image: int, confidences: list[str], seed: int
) -> None:
    """Write `rows` labels of a long-tailed choice, `per_image` to an image."""
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(b"ImageID,Source,LabelName,Confidence\n")
        for start in range(0, rows, CHUNK):
            numbers = np.arange(start, min(start + CHUNK, rows))
            labels = (LABELS * rng.random(len(numbers)) ** 4).astype(int)
            values = rng.integers(0, len(confidences), len(numbers))
            table = {
                "image": image_ids(numbers // per_image),
                "source": pa.array([source]).take(np.zeros(len(numbers), int)),
                "label": pa.array(LABEL_IDS).take(labels),
                "confidence": pa.array(confidences).take(values),
            }
            pl.from_arrow(pa.table(table)).write_csv(file, include_header=False)


def write_images(path: Path, count: int) -> None:
    """Write the image list: every `LISTED`-th of `count` images."""
    ids = pl.Series("id", image_ids(np.arange(0, count, LISTED)))
    fields = [
        "{},train,https://farm1.example.org/1/{}_o.jpg",
        "https://www.example.org/photos/someone/{},https://creativecommons.org/licenses/by/2.0/",
        'https://www.example.org/people/{}/,Some Author,"A title, of sorts",1234567,{}{}',
        "https://c1.example.org/1/{}_z.jpg,0.0",
    ]
    line = ",".join(fields)
    lines = ids.to_frame().select(pl.format(line, *["id"] * line.count("{}")))
    with path.open("wb") as file:
        file.write(IMAGE_HEADER.encode())
        lines.write_csv(file, include_header=False, quote_style="never")


def generate(folder: Path, rows: int, seed: int = 0) -> dict:
    """Write a metadata index and its files; `rows` label rows in all."""
    words = ["Cat", "Dog", *(f"Label {number}" for number in range(2, LABELS))]
    names = folder / "classes.csv"
    names.write_text("".join(f"{i},{word}\n" for i, word in zip(LABEL_IDS, words, strict=True)))
    hierarchy = folder / "hierarchy.json"
    below = {"LabelName": "/m/01yrx"}
    hierarchy.write_text(json.dumps({"LabelName": "/m/0bl9f", "Subcategory": [below]}))
    human = rows // 11
    machine = rows - human
    tenths = [f"{number / 10:g}" for number in range(5, 11)]
    write_labels(folder / "machine.csv", "machine", machine, LABELS_PER_IMAGE, tenths, seed)
    write_labels(folder / "human.csv", "verification", human, 1, ["0", "1"], seed + 1)
    write_images(folder / "images.csv", machine // LABELS_PER_IMAGE)
    return {
        "classes": str(names),
        "hierarchy": str(hierarchy),
        "human": {"train": str(folder / "human.csv")},
        "machine": {"train": str(folder / "machine.csv")},
        "images": {"train": str(folder / "images.csv")},
    }


def measure(folder: Path, rows: int) -> None:
    """Filter in this process and print the rate and the peak memory."""
    from wood.ood.candidates import filter_candidates

    class_map = {"cat": "Cat", "dog": "Dog"}
    index = json.loads((folder / "metadata.json").read_text())
    started = time.perf_counter()
    counts = filter_candidates(
        index,
        folder / "candidates.parquet",
        folder / "explanation.parquet",
        classes=list(class_map),
        class_map=class_map,
    )
    seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    processor = usage.ru_utime + usage.ru_stime
    print(
        f"{rows / 1e6:.0f} M rows: {seconds:.1f} s, {rows / 1e6 / seconds:.2f} M rows/s "
        f"({processor:.1f} s of processor time), peak {usage.ru_maxrss / 1024:.0f} MiB, "
        f"{counts.listed} images listed, {counts.candidates} candidates",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("millions", type=float, nargs="+", help="millions of label rows")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the files go for a while")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.folder, int(arguments.millions[0]))
        return
    environment = os.environ | {"POLARS_MAX_THREADS": str(arguments.threads)}
    for millions in arguments.millions:
        rows = int(millions * 1e6)
        with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
            folder = Path(name)
            (folder / "metadata.json").write_text(json.dumps(generate(folder, rows)))
            # A process of its own: its peak memory is the filter's alone.
            command = [sys.executable, __file__, str(rows), "--measure", "--folder", name]
            subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
