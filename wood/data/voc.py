"""The Pascal VOC devkit: image sets, image-level labels, SBD's additional training images."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from wood.data.image_ids import as_image_id, file_id
from wood.data.tables import read_lines
from wood.runtime.errors import InputError
from wood.runtime.sentences import quoted

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
# The first file name of a line: up to the first ending that a space, or nothing, follows.
FILE_NAME = re.compile(r".*?\.(?:jpe?g|png)(?=\s|$)", re.IGNORECASE)
IMAGE_SETS = Path("ImageSets", "Segmentation")

FETCHED_SETS = ("train", "val", "trainval")  # in the archive of the training images
TEST_IMAGES = (
    "VOC's test images need an account at http://host.robots.ox.ac.uk:8080/ (then VOC2012, "
    "test data); unpack JPEGImages and ImageSets"
)


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


def read_image_set(
    voc_root: str | Path, image_set: str, folder: str | Path | None = None
) -> list[str]:
    """The image ids in <folder>/<image_set>.txt, in the file's order.

    `folder` is the devkit's ImageSets/Segmentation unless another one is given.

    Raises InputError naming the file if it is missing or empty, or names an image twice.
    """
    return read_ids(Path(folder or Path(voc_root) / IMAGE_SETS) / f"{image_set}.txt")


def read_ids(path: str | Path, what: str = "image set") -> list[str]:
    """The image ids in a list with one image a line; the one reader of such lists.

    A line is an id, a file name or path with an ending (the name is the id), or, as in the usual
    lists of the augmented set, ``/JPEGImages/<id>.jpg /SegmentationClassAug/<id>.png``. Names may
    hold spaces.

    Raises InputError naming the file if it is missing or empty, names an image twice, or has a line
    that is no id.
    """
    return list(read_entries(path, what))


def read_entries(path: str | Path, what: str = "image set") -> dict[str, str]:
    """The ids of a list as in `read_ids`, each with the name that the line gives its file."""
    entries: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in read_lines(path, what):
        with_ending = FILE_NAME.match(line)
        name = (with_ending[0] if with_ending else line).replace("\\", "/")
        stem = PurePosixPath(name).stem if with_ending else PurePosixPath(name).name
        name_id = as_image_id(stem, f"{path}: line {number}")
        if name_id in lines:
            raise InputError(
                f"{path}: line {number} names the image {quoted(name_id)} again, after line "
                f"{lines[name_id]}."
            )
        lines[name_id] = number
        entries[name_id] = name
    if not entries:
        raise InputError(f"{path}: the {what} is empty, it names no image.")
    return entries


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
            images.setdefault(file_id(path), []).append(path)
    return images
