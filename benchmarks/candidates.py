"""Time and memory of the candidate filter on generated label files of the real form.

    python benchmarks/candidates.py 2 20 60        # millions of label rows

Machine labels are nine to an image with a long-tailed choice of labels, human ones a tenth of them,
and every fifth labelled image is in the image list, as the boxable images are of all 9 million.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LABELS = 20_000
LABELS_PER_IMAGE = 9
LISTED = 5  # every fifth image is in the list
CHUNK = 1_000_000
IMAGE_HEADER = (
    "ImageID,Subset,OriginalURL,OriginalLandingURL,License,AuthorProfileURL,Author,Title,"
    "OriginalSize,OriginalMD5,Thumbnail300KURL,Rotation\n"
)


def image_ids(start: int, stop: int) -> list[str]:
    """Return 16 hexadecimal digits a number, in no order, as the real ids."""
    numbers = np.arange(start, stop, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return [f"{number:016x}" for number in numbers]


def generate(folder: Path, rows: int, seed: int = 0) -> dict:
    """Write a metadata index and its files; `rows` label rows in all."""
    rng = np.random.default_rng(seed)
    names = folder / "classes.csv"
    ids = ["/m/01yrx", "/m/0bt9lr", *(f"/m/{number:05x}" for number in range(2, LABELS))]
    words = ["Cat", "Dog", *(f"Label {number}" for number in range(2, LABELS))]
    names.write_text("".join(f"{i},{word}\n" for i, word in zip(ids, words, strict=True)))
    hierarchy = folder / "hierarchy.json"
    hierarchy.write_text(json.dumps({"LabelName": "/m/0bl9f"}))
    human = rows // 11
    files = {"machine": rows - human, "human": human}
    for source, count in files.items():
        with (folder / f"{source}.csv").open("w") as file:
            file.write("ImageID,Source,LabelName,Confidence\n")
            per_image = LABELS_PER_IMAGE if source == "machine" else 1
            for start in range(0, count, CHUNK):
                stop = min(start + CHUNK, count)
                first = start // per_image
                images = image_ids(first, (stop - 1) // per_image + 1)
                labels = (LABELS * rng.random(stop - start) ** 4).astype(int)
                values = (
                    rng.integers(5, 11, stop - start) / 10
                    if source == "machine"
                    else rng.integers(0, 2, stop - start)
                )
                file.writelines(
                    f"{images[row // per_image - first]},{source},{ids[label]},{value:g}\n"
                    for row, label, value in zip(range(start, stop), labels, values, strict=True)
                )
    with (folder / "images.csv").open("w") as file:
        file.write(IMAGE_HEADER)
        for start in range(0, files["machine"] // LABELS_PER_IMAGE, CHUNK):
            stop = min(start + CHUNK, files["machine"] // LABELS_PER_IMAGE)
            for image_id in image_ids(start, stop)[::LISTED]:
                file.write(
                    f"{image_id},train,https://farm1.example.org/1/{image_id}_o.jpg,"
                    f"https://www.example.org/photos/someone/{image_id},"
                    "https://creativecommons.org/licenses/by/2.0/,"
                    f'https://www.example.org/people/{image_id}/,Some Author,"A title, of sorts",'
                    f"1234567,{image_id}{image_id},https://c1.example.org/1/{image_id}_z.jpg,0.0\n"
                )
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
