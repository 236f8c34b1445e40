"""A small Open Images mirror for tests: the real file names, columns, ids and hierarchy nodes."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from wood.ood.labels_map import read_class_map

LABEL_HEADER = ["ImageID", "Source", "LabelName", "Confidence"]
IMAGE_HEADER = [
    "ImageID",
    "Subset",
    "OriginalURL",
    "OriginalLandingURL",
    "License",
    "AuthorProfileURL",
    "Author",
    "Title",
    "OriginalSize",
    "OriginalMD5",
    "Thumbnail300KURL",
    "Rotation",
]
# Labels outside the class map; two of them share a name, as a dozen do in the real file.
OTHER_LABELS = {
    "/m/0jbk": "Animal",
    "/m/04rky": "Mammal",
    "/m/06ht1": "Room",
    "/m/02zr8": "Forest",
    "/m/0bl9f": "Entity",
    "/m/0dzct": "Human face",
    "/m/083wq": "Wheel",
    "/m/0156sn": "Ball",
    "/m/018xm": "Ball",
    "/m/07dm6": "Tiger",
    "/m/01xqw": "Tiger cub",
}
HIERARCHY = {
    "LabelName": "/m/0bl9f",
    "Subcategory": [
        {
            "LabelName": "/m/01g317",  # Person
            "Part": [{"LabelName": "/m/02p0tk3", "Part": [{"LabelName": "/m/0dzct"}]}],
        },
        {
            "LabelName": "/m/0jbk",
            "Subcategory": [
                {
                    "LabelName": "/m/04rky",
                    "Subcategory": [
                        {"LabelName": "/m/01yrx"},
                        {"LabelName": "/m/0bt9lr"},
                        {"LabelName": "/m/07dm6", "Subcategory": [{"LabelName": "/m/01xqw"}]},
                    ],
                }
            ],
        },
        {"LabelName": "/m/0k4j", "Part": [{"LabelName": "/m/083wq"}]},  # Car
    ],
}


def image_id(number: int) -> str:
    return f"{(number + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}"


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


class Mirror:
    """Collects images and their labels, and writes them as the bucket of metadata has them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images: list[list[object]] = []
        self.human: list[list[object]] = []
        self.machine: list[list[object]] = []
        self.names = dict(OTHER_LABELS)
        for entry in read_class_map().values():
            finer = {label: name for name, label in entry["finer"].items()}
            self.names |= finer | {label: name for name, label in entry["labels"].items()}
        self.ids = {name: label for label, name in self.names.items()}

    def add(
        self,
        human: Sequence[tuple[str, float]] = (),
        machine: Sequence[tuple[str, float]] = (),
        **columns: object,
    ) -> str:
        """Add an image with labels given by (name, confidence); return its id."""
        name = str(columns.pop("ImageID", image_id(len(self.images))))
        row = {"ImageID": name, "Subset": "validation"} | columns
        self.images.append([row.get(column, "") for column in IMAGE_HEADER])
        for label, confidence in human:
            self.human.append([name, "verification", self.ids[label], confidence])
        for label, confidence in machine:
            self.machine.append([name, "machine", self.ids[label], confidence])
        return name

    def write(self) -> Path:
        labels = self.root / "v5"
        lists = self.root / "2018_04"
        write_csv(self.root / "v6" / "oidv6-class-descriptions.csv", list(self.names.items()))
        lists.mkdir(parents=True, exist_ok=True)
        (lists / "bbox_labels_600_hierarchy.json").write_text(json.dumps(HIERARCHY))
        for source, rows in (("human", self.human), ("machine", self.machine)):
            path = labels / f"validation-annotations-{source}-imagelabels.csv"
            write_csv(path, [LABEL_HEADER, *rows])
        path = lists / "validation" / "validation-images-with-rotation.csv"
        write_csv(path, [IMAGE_HEADER, *self.images])
        return self.root


def write_image(path: Path, size: tuple[int, int] = (32, 24), colour: str = "olive") -> None:
    """Write a JPEG whose top left quarter is white, so that rotations show."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", size, colour)
    image.paste("white", (0, 0, size[0] // 2, size[1] // 2))
    image.save(path, format="JPEG", quality=95)
