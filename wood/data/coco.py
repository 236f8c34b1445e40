"""Instance masks in COCO's format, readable by pycocotools and by FiftyOne."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wood.runtime.store import content_of, read_json, write_json


def encode_mask(mask: np.ndarray) -> dict[str, Any]:
    """Return an (H, W) bool mask as COCO's compressed run-length encoding.

    Runs alternate between 0 and 1, starting with 0, down the columns.
    """
    flat = np.asarray(mask, dtype=bool).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    if flat[0]:
        runs.insert(0, 0)
    # From the fourth on, runs are kept as the difference from the second last.
    changes = [run - (runs[i - 2] if i > 2 else 0) for i, run in enumerate(runs)]
    return {"size": list(mask.shape), "counts": "".join(map(_characters, changes))}


def _characters(number: int) -> str:
    """Five bits to a character, lowest first; bit 5 says that more follow, bit 4 is the sign."""
    text = ""
    more = True
    while more:
        bits = number & 31
        number >>= 5
        more = number != (-1 if bits & 16 else 0)
        text += chr(48 + bits + 32 * more)
    return text


def coco_image(
    file_name: str, size: tuple[int, int], objects: Iterable[tuple[int, float, np.ndarray]]
) -> dict[str, Any]:
    """Return one image's entry for `merge_documents`; objects are (value, score, (H, W) mask)."""
    entries = []
    for value, score, mask in objects:
        columns, rows = (np.flatnonzero(mask.any(axis=axis)) for axis in (0, 1))
        left, top = int(columns[0]), int(rows[0])
        entries.append(
            {
                "category_id": value,
                "score": round(score, 4),
                "segmentation": encode_mask(mask),
                "area": int(mask.sum()),
                "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
                "iscrowd": 0,
            }
        )
    return {"file_name": file_name, "height": size[0], "width": size[1], "objects": entries}


def merge_documents(
    parts: Sequence[str | Path], output: str | Path, *, class_names: Sequence[str]
) -> None:
    """Write one COCO file from the files of the shards, each a list of `coco_image`'s entries.

    Images and annotations are numbered from 1; categories are the 1-based places of `class_names`.

    Raises:
        InputError: a part is missing or broken.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for part in parts:
        with content_of(part, "instance masks of images"):
            for entry in read_json(part):
                objects = entry.pop("objects")
                images.append({"id": len(images) + 1, **entry})
                for one in objects:
                    annotations.append({"id": len(annotations) + 1, "image_id": len(images), **one})
    categories = [{"id": value, "name": name} for value, name in enumerate(class_names, start=1)]
    write_json(output, {"images": images, "annotations": annotations, "categories": categories})
