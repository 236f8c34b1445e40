"""The seeds of one shard together with their photographs, checked before work starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wood.data.lists import read_image_list
from wood.maps import LocalizationMaps, read_maps
from wood.runtime.errors import InputError


@dataclass(frozen=True)
class Seed:
    """The localization maps of one image, and the image's file."""

    maps: LocalizationMaps
    path: str

    @property
    def image_id(self) -> str:
        return self.maps.image_id


def read_seeds(
    maps: str | Path,
    images: str | Path,
    class_names: Sequence[str] | None,
    classifier: str | None = None,
) -> list[Seed]:
    """Read a shard of localization maps and find the images it is for.

    Args:
        maps: shard of localization maps.
        images: image list with (at least) the shard's images.
        class_names, classifier: what the maps must be for and by; see `wood.maps.read_maps`.

    Raises:
        InputError: a truncated shard, one for other classes or of another classifier, maps that
            are not finite (the first such image is named), or an image that is not in the list.
    """
    listed = read_image_list(images)
    paths = dict(zip(listed["image_id"], listed["path"], strict=True))
    seeds = []
    for image in read_maps(maps, class_names, classifier):
        if image.image_id not in paths:
            raise InputError(f"{images}: the image {image.image_id!r} of {maps} is not listed.")
        seeds.append(Seed(image, paths[image.image_id]))
    return seeds


def check_size(seed: Seed, height: int, width: int) -> None:
    """Raise InputError if the image is not of the size that its maps were made for."""
    if (height, width) != tuple(seed.maps.size):
        raise InputError(
            f"{seed.path}: the image has {width}x{height} pixels, "
            f"its localization maps were made for {seed.maps.size[1]}x{seed.maps.size[0]}."
        )
