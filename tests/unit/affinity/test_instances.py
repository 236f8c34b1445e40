"""Instances from displacement fields, and their COCO file."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from wood.affinity.inputs import Seed
from wood.affinity.instances import centroid_groups, find_instances, make_instances, path_ends
from wood.data.coco import coco_image, encode_mask, merge_documents
from wood.data.lists import write_image_list
from wood.maps import LocalizationMaps, write_maps
from wood.models.backbones import create_backbone
from wood.models.irnet import IRNet, save_irnet
from wood.runtime.errors import InputError

WALK = {"radius": 5, "beta": 10.0, "exp_times": 4}


def pointing_to(*centroids, size=(20, 30)):
    """A field in which every cell points to the nearest of the centroids (y, x)."""
    cells = np.indices(size).astype(np.float32)
    ways = np.array(centroids, np.float32)[:, :, None, None] - cells
    nearest = np.hypot(ways[:, 0], ways[:, 1]).argmin(axis=0)
    return np.take_along_axis(ways, nearest[None, None], axis=0)[0], nearest


def test_paths_end_at_the_centroids():
    field, nearest = pointing_to((10, 6), (10, 24))
    ends = path_ends(0.2 * field)
    # Where two ways meet, interpolation between opposite directions may lead anywhere.
    sure = np.abs(np.arange(30) - 15) > 2
    assert (ends[0] == 10)[:, sure].all()
    assert (ends[1] == np.where(nearest, 24, 6))[:, sure].all()


def test_paths_stop_at_the_edges_and_groups_are_numbered_from_0():
    ends = path_ends(np.full((2, 4, 5), 9.0))
    assert (ends[0] == 3).all()
    assert (ends[1] == 4).all()
    assert (centroid_groups(np.full((2, 4, 5), 9.0)) == 0).all()


def seed(*maps, classes=(2,)):
    stacked = torch.tensor(np.stack(maps), dtype=torch.float16)
    return Seed(LocalizationMaps("a", (80, 120), torch.tensor(classes), stacked), "a.jpg")


def two_objects():
    """Two blobs of one class, a boundary around each, and the field that parts them."""
    rows, columns = np.indices((20, 30))
    left, right = (np.hypot(rows - 10, columns - middle) for middle in (6, 22))
    scores = np.maximum((left < 4) * 1.0, (right < 4) * 0.8)
    boundary = ((np.abs(left - 6) < 0.8) | (np.abs(right - 6) < 0.8)).astype(np.float32)
    return seed(scores), torch.from_numpy(boundary), pointing_to((10, 6), (10, 22))[0]


def test_two_objects_of_a_class_are_two_instances():
    maps, boundary, field = two_objects()
    found = find_instances(
        maps, boundary, torch.from_numpy(field), walk=WALK, threshold=0.25, power=1.0
    )
    assert [one.value for one in found] == [3, 3]
    first, second = found
    assert first.score == 1
    assert 0.6 < second.score < 1
    assert not (first.mask & second.mask).any()
    assert first.mask[40, 24]
    assert not first.mask[40, 88]
    assert second.mask[40, 88]
    assert not second.mask[40, 24]


def test_one_centroid_makes_one_instance_of_each_fragment():
    """Without boundaries between them the parts of one object are joined by the walk."""
    maps, boundary, _ = two_objects()
    field = torch.from_numpy(pointing_to((10, 14))[0])
    fragments = find_instances(maps, boundary, field, walk=WALK, threshold=0.25, power=1.0)
    assert len(fragments) == 2
    joined = find_instances(maps, torch.zeros(20, 30), field, walk=WALK, threshold=0.25, power=1.0)
    assert len(joined) == 1


def test_no_seed_no_instance():
    _, boundary, field = two_objects()
    field = torch.from_numpy(field)
    options = {"walk": WALK, "threshold": 0.25, "power": 1.0}
    assert find_instances(seed(np.zeros((20, 30))), boundary, field, **options) == []
    unlabelled = LocalizationMaps("a", (80, 120), torch.tensor([]).long(), torch.zeros(0, 20, 30))
    assert find_instances(Seed(unlabelled, "a.jpg"), boundary, field, **options) == []


def decode(encoded):
    """Five bits to a character; from the fourth on, differences from the second last."""
    runs, number, shift = [], 0, 0
    for character in encoded["counts"]:
        bits = ord(character) - 48
        number += (bits % 32) << shift
        shift += 5
        if bits < 32:
            if bits & 16:
                number -= 1 << shift
            runs.append(number + (runs[-2] if len(runs) > 2 else 0))
            number = shift = 0
    flat = np.concatenate([np.full(run, i % 2) for i, run in enumerate(runs)])
    return flat.reshape(encoded["size"], order="F").astype(bool)


def test_masks_are_encoded_as_coco_has_them():
    # The first is worked out by hand: runs 6, 1, 40, 4, 13, of which the last two are kept as
    # differences from the second last, 3 and -27.
    flat = np.zeros(64, bool)
    flat[6] = flat[47:51] = True
    mask = flat.reshape((8, 8), order="F")
    assert encode_mask(mask)["counts"] == "61X13UO"
    rng = np.random.default_rng(0)
    for size in ((1, 1), (1, 90), (70, 3), (60, 80)):
        for mask in (np.zeros(size, bool), np.ones(size, bool), rng.random(size) > 0.5):
            assert (decode(encode_mask(mask)) == mask).all()


def test_shards_become_one_coco_file(tmp_path):
    mask = np.zeros((6, 9), bool)
    mask[1:3, 4:8] = True
    parts = []
    for number, count in enumerate((2, 0, 1)):
        entry = coco_image(f"{number}.jpg", (6, 9), [(2, 0.51239, mask)] * count)
        parts.append(tmp_path / f"{number}.json")
        parts[-1].write_text(json.dumps([entry]))
    merge_documents(parts, tmp_path / "all.json", class_names=("cat", "dog"))
    merged = json.loads((tmp_path / "all.json").read_text())
    assert [(image["id"], image["file_name"]) for image in merged["images"]] == [
        (1, "0.jpg"), (2, "1.jpg"), (3, "2.jpg"),
    ]  # fmt: skip
    assert [(one["id"], one["image_id"]) for one in merged["annotations"]] == [
        (1, 1), (2, 1), (3, 3),
    ]  # fmt: skip
    one = merged["annotations"][0]
    assert (one["bbox"], one["area"], one["score"]) == ([4, 1, 4, 2], 8, 0.5124)
    assert one["category_id"] == 2
    assert merged["categories"][1] == {"id": 2, "name": "dog"}
    with pytest.raises(InputError, match="no such file"):
        merge_documents([tmp_path / "no.json"], tmp_path / "x.json", class_names=("cat",))


def test_a_shard_of_instances(tmp_path):
    """Through the rule's entry point, with a network: an image of each kind, and a NaN weight."""
    rng = np.random.default_rng(0)
    rows, maps = [], []
    for image_id, classes in (("two", (0, 1)), ("none", ())):
        path = tmp_path / f"{image_id}.png"
        Image.fromarray(rng.integers(0, 256, (33, 50, 3)).astype(np.uint8)).save(path)
        rows.append((image_id, str(path)))
        grid = torch.rand(len(classes), 9, 13).half()
        maps.append(LocalizationMaps(image_id, (33, 50), torch.tensor(classes).long(), grid))
    write_image_list(tmp_path / "train.csv", pd.DataFrame(rows, columns=["image_id", "path"]))
    write_maps(tmp_path / "maps", maps, class_names=("cat", "dog"), source="a.safetensors: CAM")
    torch.manual_seed(0)
    model = IRNet(create_backbone("tf_efficientnet_lite0", weights=None))
    save_irnet(tmp_path / "irnet", model, {"backbone": "tf_efficientnet_lite0", "crop": 64})

    def make(**changes):
        make_instances(
            *(tmp_path / name for name in ("maps", "train.csv", "irnet", "out.json")),
            class_names=("cat", "dog"), **changes,
        )  # fmt: skip
        return json.loads((tmp_path / "out.json").read_text())

    found = make(classifier="a.safetensors")
    assert [entry["file_name"] for entry in found] == ["two.png", "none.png"]
    assert found[0]["objects"]
    for one in found[0]["objects"]:
        assert one["area"] == decode(one["segmentation"]).sum() >= 0.01 * 33 * 50
        assert one["category_id"] in (1, 2)
    assert found[1]["objects"] == []
    with pytest.raises(InputError, match=r"maps: these maps are of a\.safetensors: CAM, not of b"):
        make(classifier="b")
    model.displacement_head[1].weight.data[0] = 1e38
    save_irnet(tmp_path / "irnet", model, {"backbone": "tf_efficientnet_lite0", "crop": 64})
    with pytest.raises(InputError, match=r"irnet: the displacement field of the image 'two'"):
        make()
