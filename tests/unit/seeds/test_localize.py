"""A shard of localization maps, from files to file, by every method."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.unit.seeds.photographs import CLASSES, LABELS, SIZES
from wood.data.photographs import batches_of_one_size, readable_images
from wood.data.transforms import normalize, rescale
from wood.maps import read_maps
from wood.models.classifiers import build_classifier
from wood.runtime.errors import InputError
from wood.seeds.localize import localize
from wood.seeds.methods import METHODS, Method
from wood.seeds.pyramid import level, pyramids

CAM = {"method": "cam", "scales": [0.5, 1.0]}
ADVCAM = {
    "method": "advcam",
    "scales": [0.5, 1.0],
    "iterations": 2,
    "half_scale_iterations": 1,
    "half_scale_weight": 1,
    "step_size": 0.08,
    "regularizer": 7,
    "mask_threshold": 0.5,
}


def make(files, output, settings, **changed):
    arguments = {
        "settings": settings,
        "shard_index": 0,
        "shard_count": 1,
        "class_names": CLASSES,
        "max_batch_pixels": 100_000,
        "max_failed_fraction": 0,
    } | changed
    names = ("images.csv", "labels.parquet", "model.safetensors")
    localize(*(files / name for name in names), output, **arguments)
    return {maps.image_id: maps for maps in read_maps(output, arguments["class_names"])}


@pytest.mark.parametrize("settings", [CAM, ADVCAM], ids=["cam", "advcam"])
def test_only_the_classes_present_in_the_order_of_the_list(files, tmp_path, settings):
    found = make(files, tmp_path / "maps", settings)
    assert list(found) == list(SIZES)
    for image_id, maps in found.items():
        width, height = SIZES[image_id]
        present = np.flatnonzero(LABELS[image_id]).tolist()
        assert maps.size == (height, width)
        assert maps.classes.tolist() == present
        assert maps.maps.shape == (len(present), -(-height // 4), -(-width // 4))
        assert maps.maps.dtype == torch.float16
        assert ((maps.maps.amax(dim=(1, 2)) == 1) | (maps.maps.amax(dim=(1, 2)) == 0)).all()
    # What is in a batch, and how many go through at once, changes nothing but rounding.
    alone = make(files, tmp_path / "alone", settings, max_batch_pixels=1)
    for image_id, maps in found.items():
        assert torch.allclose(maps.maps.float(), alone[image_id].maps.float(), atol=5e-3)


def test_climbing_changes_the_maps(files, tmp_path):
    first, second = make(files, tmp_path / "1", CAM), make(files, tmp_path / "2", ADVCAM)
    assert (first["a"].maps - second["a"].maps).abs().max() > 0.01


def test_maps_that_are_not_finite_name_the_image(files, tmp_path, monkeypatch):
    def broken(model, images, classes, device, *, settings, max_batch_pixels):
        return [torch.full((len(present), 2, 2), torch.inf) for present in classes]

    monkeypatch.setitem(METHODS, "cam", Method("CAM", lambda: broken))
    with pytest.raises(InputError, match=r"maps of the image [abde] are not finite"):
        make(files, tmp_path / "maps", CAM)


def test_a_pyramid_is_what_the_network_reads(files):
    listed = pd.read_csv(files / "images.csv", dtype=str)
    backbone = build_classifier("tf_efficientnet_lite0", CLASSES, 16, None).backbone
    batches = batches_of_one_size(readable_images(listed, 0), 10**6)
    for ids, made in pyramids(batches, [0.5, 1.0], workers=2):
        for number, scale in enumerate((0.5, 1.0)):
            batch = level(made, number, backbone, torch.device("cpu"))
            assert batch.is_contiguous(memory_format=torch.channels_last)
            for image_id, tensor in zip(ids, batch, strict=True):
                image = rescale(Image.open(files / f"{image_id}.png"), scale)
                assert torch.equal(tensor, normalize(image, backbone.mean, backbone.std))
