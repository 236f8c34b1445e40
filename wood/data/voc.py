"""The Pascal VOC devkit: image sets, image-level labels, SBD's additional training images."""

from collections.abc import Sequence
from pathlib import Path

from wood.runtime.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
IMAGE_SETS = Path("ImageSets", "Segmentation")


def check_devkit(voc_root: str | Path) -> None:
    """Raise InputError unless `voc_root` (.../VOCdevkit/VOC2012) has filled JPEGImages,
    Annotations and ImageSets/Segmentation."""
    root = Path(voc_root)
    if not root.is_dir():
        raise InputError(f"{root}: there is no such devkit folder.")
    for name in ("JPEGImages", "Annotations", IMAGE_SETS):
        folder = root / name
        if not folder.is_dir():
            raise InputError(f"{root}: this is no VOC devkit, the folder {name} is missing.")
        if next(folder.iterdir(), None) is None:
            raise InputError(f"{folder}: the devkit's folder is empty.")


def read_image_set(voc_root: str | Path, image_set: str) -> list[str]:
    """The image ids in ImageSets/Segmentation/<image_set>.txt, in the file's order.

    Raises InputError naming the file if it is missing or empty, or names an image twice.
    """
    return read_ids(Path(voc_root) / IMAGE_SETS / f"{image_set}.txt")


def read_ids(path: str | Path) -> list[str]:
    """The image ids in a list with one image a line.

    A line is an id or, as in the usual lists of the augmented set, ``/JPEGImages/<id>.jpg
    /SegmentationClassAug/<id>.png``.

    Raises InputError naming the file if it is missing or empty, or names an image twice.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path}: no such image set.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error}).") from None
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        image_id = _image_id(line.split()[0])
        if image_id in first_line:
            raise InputError(
                f"{path}: line {number} names the image {image_id!r} again, "
                f"after line {first_line[image_id]}."
            )
        first_line[image_id] = number
    if not first_line:
        raise InputError(f"{path}: the image set is empty.")
    return list(first_line)


def _image_id(entry: str) -> str:
    name = Path(entry).name
    return Path(name).stem if Path(name).suffix.lower() in IMAGE_SUFFIXES else name


def derive_train_aug(voc_root: str | Path, sbd_root: str | Path) -> list[str]:
    """The augmented training set: SBD's train and val, plus VOC's train, minus VOC's val.

    10,582 images for VOC 2012 (paper Sec. 4.1). All of them, SBD's too, are in the devkit's
    JPEGImages with their own annotation. `sbd_root` is the folder with SBD's train.txt and
    val.txt, or one that holds it as benchmark_RELEASE/dataset.

    Returns the sorted ids. Raises InputError if a list is missing or empty.
    """
    folder = _sbd_lists(sbd_root)
    sbd = {*read_ids(folder / "train.txt"), *read_ids(folder / "val.txt")}
    train, val = (read_image_set(voc_root, name) for name in ("train", "val"))
    return sorted((sbd | set(train)) - set(val))


def _sbd_lists(sbd_root: str | Path) -> Path:
    root = Path(sbd_root)
    for folder in (root, root / "dataset", root / "benchmark_RELEASE" / "dataset"):
        if (folder / "train.txt").is_file() and (folder / "val.txt").is_file():
            return folder
    raise InputError(f"{root}: SBD's train.txt and val.txt are not here.")


def annotation_path(voc_root: str | Path, image_id: str) -> Path:
    """Where the devkit keeps the annotation of `image_id`."""
    return Path(voc_root) / "Annotations" / f"{image_id}.xml"


def annotated_classes(path: str | Path) -> set[str]:
    """The names of the objects in one annotation: the image-level label.

    Difficult objects and objects without a box count; the parts of an object (head, hand, foot)
    do not.

    Raises InputError naming the file if it is missing or no annotation. Entities and document
    types are refused.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, parse

    path = Path(path)
    try:
        root = parse(path, forbid_dtd=True).getroot()
    except FileNotFoundError:
        raise InputError(f"{path}: no such annotation.") from None
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise InputError(f"{path}: not an XML annotation ({error}).") from None
    if root.tag != "annotation":
        raise InputError(f"{path}: not a VOC annotation, the root element is {root.tag!r}.")
    names = [(element.findtext("name") or "").strip() for element in root.findall("object")]
    if "" in names:
        raise InputError(f"{path}: object number {names.index('') + 1} has no name.")
    return set(names)


def check_classes(path: str | Path, names: set[str], all_classes: Sequence[str]) -> None:
    """Raise InputError if an annotation names a class outside the data set's full list."""
    unknown = sorted(names.difference(all_classes))
    if unknown:
        raise InputError(
            f"{path}: the class {unknown[0]!r} is not in the data set's list: "
            f"{', '.join(all_classes)}."
        )


def index_images(folder: str | Path) -> dict[str, list[Path]]:
    """The image files (.jpg, .jpeg, .png in either case) in `folder`, by image id.

    Raises InputError if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such image folder.")
    images: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images.setdefault(path.stem, []).append(path)
    return images
