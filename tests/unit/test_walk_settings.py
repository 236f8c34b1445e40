"""The search for settings of the walk scores what the pipeline would cut its pseudo-masks from."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.walk_settings import THRESHOLDS, count, described
from wood.affinity.inputs import Seed
from wood.affinity.pseudo_masks import pseudo_mask, walk_seeds
from wood.data.lists import half
from wood.data.masks import save_mask
from wood.maps import LocalizationMaps, write_maps
from wood.metrics import SegmentationScores
from wood.runtime.errors import InputError
from wood.runtime.store import save_tensors

CLASSES = ["cat", "dog"]
SIZE = (34, 47)
IDS = ["one", "two", "three", "four"]


@pytest.fixture
def run(tmp_path):
    """Maps of two classes, boundaries and true masks of four images, two of each half."""
    random = torch.Generator().manual_seed(0)
    grid = (9, 12)
    images = []
    for folder in ("maps", "boundaries/0000", "masks"):
        (tmp_path / folder).mkdir(parents=True)
    for image_id in IDS:
        maps = torch.rand(2, *grid, generator=random).half()
        images.append(LocalizationMaps(image_id, SIZE, torch.tensor([0, 1]), maps))
        boundary = (255 * torch.rand(grid, generator=random)).to(torch.uint8).numpy()
        Image.fromarray(boundary).save(tmp_path / "boundaries/0000" / f"{image_id}.png")
        true = torch.randint(0, 3, SIZE, generator=random).to(torch.uint8).numpy()
        save_mask(tmp_path / "masks" / f"{image_id}.png", true)
    shard = tmp_path / "maps" / "0000.safetensors"
    write_maps(shard, images, class_names=CLASSES, source="weights: cam")
    return tmp_path, images


def test_its_counts_are_those_of_the_pseudo_masks(run):
    folder, images = run
    assert {half(image_id) for image_id in IDS} == {"A", "B"}
    setting, number = (3, 10.0, 1.5), 12
    places = [folder / name for name in ("maps", "boundaries", "masks")]
    counts = count(*places, [setting], all_classes=CLASSES)
    expected = {name: SegmentationScores(["background", *CLASSES]) for name in "AB"}
    for image in images:
        with Image.open(folder / "boundaries/0000" / f"{image.image_id}.png") as edges:
            boundary = torch.from_numpy(np.asarray(edges, np.float32) / 255)
        seed = Seed(image, "")
        walked = walk_seeds([seed], boundary[None], 5, 10.0, 3, 1.5)[0]
        with Image.open(folder / "masks" / f"{image.image_id}.png") as true:
            target = np.asarray(true)
        expected[half(image.image_id)].update(target, pseudo_mask(seed, walked, THRESHOLDS[number]))
    for name, scores in expected.items():
        found = counts[setting][name].scores(number)
        np.testing.assert_array_equal(found.confusion, scores.confusion)
    of_half_b = 100 * expected["B"].summary()["miou"]
    line = described(counts[setting], THRESHOLDS[number])
    assert line.endswith(f", {of_half_b:.1f}")
    assert f"at {THRESHOLDS[number]:.3f}" in line


def test_an_image_without_a_boundary_map_is_named(run):
    folder, _ = run
    missing = folder / "boundaries/0000/three.png"
    missing.unlink()
    with pytest.raises(InputError, match=r"three\.png: no such file"):
        count(folder / "maps", folder / "boundaries", folder / "masks", [(3, 10.0, 1.0)], CLASSES)


def test_masks_of_other_images_are_named(run, tmp_path):
    folder, _ = run
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no image with a map and with a mask"):
        count(folder / "maps", folder / "boundaries", tmp_path / "empty", [(3, 10.0, 1.0)], CLASSES)


def test_a_shard_of_other_classes_is_named(run):
    folder, images = run
    other = folder / "maps" / "0001.safetensors"
    write_maps(other, images[:1], class_names=["cat", "cow"], source="weights: cam")
    with pytest.raises(InputError, match=r"0001\.safetensors: these maps were made for"):
        count(folder / "maps", folder / "boundaries", folder / "masks", [(3, 10.0, 1.0)], CLASSES)


def test_a_file_without_maps_is_named(run):
    folder, _ = run
    other = folder / "maps" / "0000.safetensors"
    save_tensors(other, {"weight": torch.zeros(1)})
    with pytest.raises(InputError, match=r"0000\.safetensors: this file does not hold"):
        count(folder / "maps", folder / "boundaries", folder / "masks", [(3, 10.0, 1.0)], CLASSES)
