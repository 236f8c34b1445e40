"""A tiny Pascal VOC devkit for tests, its annotations as peculiar as the real ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from wood.data.masks import VOC_CLASSES, save_mask

BOX = "<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>20</xmax><ymax>15</ymax></bndbox>"
PART = f"<part><name>head</name>{BOX}</part>"


def object_xml(name: str, *, parts: bool = False, difficult: bool = False, box: bool = True) -> str:
    """One <object> as in the devkit: parts have names of their own, which are no classes."""
    return (
        f"<object><name>{name}</name><pose>Left</pose><truncated>0</truncated>"
        f"<difficult>{int(difficult)}</difficult>{BOX if box else ''}{PART if parts else ''}"
        "</object>"
    )


def annotation_xml(image_id: str, objects: Sequence[str]) -> str:
    """A whole annotation of the given <object> elements."""
    return (
        f"<annotation><folder>VOC2012</folder><filename>{image_id}.jpg</filename>"
        "<source><database>The VOC Database</database><image>flickr</image></source>"
        "<size><width>24</width><height>16</height><depth>3</depth></size>"
        f"<segmented>1</segmented>{''.join(objects)}</annotation>"
    )


def make_devkit(
    root: Path,
    images: Mapping[str, Sequence[str]],
    sets: Mapping[str, Sequence[str]],
    masks: Sequence[str] = (),
    size: tuple[int, int] = (16, 24),
) -> Path:
    """Write a devkit under `root` and return its VOC2012 folder.

    `images` gives the classes of each image. Every other image's first object has parts, every
    third's is difficult, every second object of an image has no box. `masks` are the images with
    a mask: vertical stripes of background, each class, and ignore, in VOC's values.
    """
    voc = root / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number, (image_id, names) in enumerate(images.items()):
        pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(voc / "JPEGImages" / f"{image_id}.jpg")
        objects = [
            object_xml(
                name,
                parts=index == 0 and number % 2 == 0,
                difficult=index == 0 and number % 3 == 0,
                box=index != 1,
            )
            for index, name in enumerate(names)
        ]
        text = annotation_xml(image_id, objects)
        (voc / "Annotations" / f"{image_id}.xml").write_text(text)
        if image_id in masks:
            values = [0, *(VOC_CLASSES.index(name) + 1 for name in names), 255]
            columns = np.array(values)[np.arange(size[1]) * len(values) // size[1]]
            save_mask(
                voc / "SegmentationClass" / f"{image_id}.png",
                np.broadcast_to(columns, size),
            )
    for name, image_ids in sets.items():
        text = "".join(f"{image_id}\n" for image_id in image_ids)
        (voc / "ImageSets" / "Segmentation" / f"{name}.txt").write_text(text)
    return voc
