"""Drawn scenes written as a Pascal VOC devkit."""

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from demo.scenes import Scene
from wood.data.masks import save_mask

JPEG_QUALITY = 92


class DevkitWriter:
    """Writes into `root`, the folder VOC2012."""

    def __init__(self, root: Path):
        self.root = root
        for name in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"):
            (root / name).mkdir(parents=True)

    def write_image(self, image_id: str, scene: Scene, *, with_mask: bool) -> None:
        """Write a photograph, its annotation and, for the image sets that have one, its mask."""
        scene.image.save(self.root / f"JPEGImages/{image_id}.jpg", quality=JPEG_QUALITY)
        annotation = _annotation(image_id, scene, segmented=with_mask)
        annotation.write(self.root / f"Annotations/{image_id}.xml", encoding="utf-8")
        if with_mask:
            save_mask(self.root / f"SegmentationClass/{image_id}.png", scene.mask)

    def write_image_set(self, name: str, image_ids: Iterable[str]) -> None:
        """Write a list of image ids, one to a line."""
        text = "".join(f"{image_id}\n" for image_id in image_ids)
        (self.root / f"ImageSets/Segmentation/{name}.txt").write_text(text, encoding="utf-8")


def _annotation(image_id: str, scene: Scene, *, segmented: bool) -> ElementTree.ElementTree:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "folder").text = "VOC2012"
    ElementTree.SubElement(root, "filename").text = f"{image_id}.jpg"
    size = ElementTree.SubElement(root, "size")
    for name, value in zip(("width", "height"), scene.image.size, strict=True):
        ElementTree.SubElement(size, name).text = str(value)
    ElementTree.SubElement(size, "depth").text = "3"
    ElementTree.SubElement(root, "segmented").text = str(int(segmented))
    for name, _ in scene.kinds:
        ElementTree.SubElement(ElementTree.SubElement(root, "object"), "name").text = name
    ElementTree.indent(root)
    return ElementTree.ElementTree(root)
