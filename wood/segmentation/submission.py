"""The archive that the Pascal VOC evaluation server takes (competition comp6)."""

import gzip
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from wood.data.images import DAMAGE, load_image
from wood.data.lists import read_image_list
from wood.data.masks import VOC_CLASSES, VOC_PALETTE, load_mask
from wood.runtime.errors import InputError
from wood.runtime.store import atomic_path

FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"


def make_submission(
    images: str | Path,
    mask_dirs: Sequence[str | Path],
    archive: str | Path,
    *,
    class_names: Sequence[str] = VOC_CLASSES,
    expected_images: int | None = None,
) -> None:
    """Pack the masks of a test set as `results/VOC2012/Segmentation/comp6_test_cls/<id>.png`.

    Every mask is checked before anything is written; equal masks give equal bytes.

    Args:
        images: image list of the test set; other files in the folders are left out.
        mask_dirs: folders of palette PNGs.
        archive: the .tar.gz file.
        class_names: foreground classes of the masks; the server knows VOC's 20, in their order.
        expected_images: length that the list must have; 1,456 for VOC 2012's test set.

    Raises:
        InputError: other classes, a list of another length, or the first mask that is missing,
            not a palette PNG in VOC's colours, of another size than its image, or with a value
            above 20.
    """
    if tuple(class_names) != VOC_CLASSES:
        raise InputError("The evaluation server takes masks of VOC's 20 classes only.")
    listed = read_image_list(images)
    if expected_images is not None and len(listed) != expected_images:
        raise InputError(f"{images}: {len(listed)} images, the test set has {expected_images}.")
    masks = {}
    for image_id, image in zip(listed["image_id"], listed["path"], strict=True):
        places = [Path(folder) / f"{image_id}.png" for folder in mask_dirs]
        mask = next((path for path in places if path.is_file()), places[0])
        _check(mask, image)
        masks[image_id] = mask
    with (
        atomic_path(archive) as temporary,
        open(temporary, "wb") as raw,
        # No time and no file name in the header: equal masks, equal bytes.
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for image_id in sorted(masks):
            content = masks[image_id].read_bytes()
            entry = tarfile.TarInfo(f"{FOLDER}/{image_id}.png")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _check(mask: Path, image: str) -> None:
    photograph = load_image(image)
    values = load_mask(mask, (photograph.height, photograph.width))
    wrong = values[values > len(VOC_CLASSES)]
    if wrong.size:
        raise InputError(f"{mask}: the value {wrong[0]}; the server takes 0 to 20.")
    try:
        with Image.open(mask, formats=("PNG",)) as opened:
            palette = opened.getpalette() if opened.mode == "P" else None
    except DAMAGE as error:
        raise InputError(f"{mask}: not a readable mask ({error}).") from None
    used = 3 * (len(VOC_CLASSES) + 1)
    if palette is None or palette[:used] != VOC_PALETTE[: min(used, len(palette))]:
        raise InputError(f"{mask}: not a palette PNG in VOC's colours.")
