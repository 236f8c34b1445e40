import json
import logging

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import default_collate

from wood.data.lists import write_image_list
from wood.data.masked import MaskedPhotographs, find_masks
from wood.data.masks import save_mask
from wood.data.transforms import Normalization, rescale_plainly
from wood.models.deeplab import load_network
from wood.runtime.errors import InputError
from wood.segmentation.inference import MultiScale
from wood.segmentation.predict import predict
from wood.segmentation.train import DeepLabLoss, train_segmentation

SETTINGS = {
    "iterations": 40,
    "batch_size": 4,
    "lr": 0.02,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "power": 0.9,
    "update_lr_every": 10,
    "workers": 0,
}


def draw(rng, width=72, height=56):
    """Noise with a red or a green rectangle: classes 1 and 2."""
    pixels = rng.integers(60, 120, (height, width, 3)).astype(np.uint8)
    mask = np.zeros((height, width), np.uint8)
    label = int(rng.integers(1, 3))
    top, left = int(rng.integers(0, 16)), int(rng.integers(0, 24))
    pixels[top : top + 36, left : left + 40, label - 1] = 250
    mask[top : top + 36, left : left + 40] = label
    mask[:, -2:] = 255
    return pixels, mask


@pytest.fixture
def scenes(tmp_path):
    """Eight images, their masks in two folders, and the list."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(8):
        pixels, mask = draw(rng)
        path = tmp_path / "images" / f"scene{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        save_mask(tmp_path / f"masks{number % 2}" / f"scene{number}.png", mask)
        rows.append((f"scene{number}", str(path)))
    write_image_list(tmp_path / "images.csv", pd.DataFrame(rows, columns=["image_id", "path"]))
    return tmp_path


NETWORK = {
    "backbone": "test_resnet",
    "weights": None,
    "output_stride": 8,
    "atrous_rates": [1, 2],
    "alignment": "cells",
    "crop": 48,
    "scale": [0.75, 1.25],
    "scale_step": None,
    "loader": "irn",
    "loss": "cross-entropy",
    "multi_scale_training": True,
    "training": SETTINGS,
    "ood": {"batch_size": 4},
}


def train(folder, name="network", **changes):
    arguments = {
        "class_names": ["red", "green"],
        "settings": NETWORK | {key: changes.pop(key) for key in NETWORK if key in changes},
        "seed": 0,
        "checkpoint": folder / f"{name}.checkpoint",
    } | changes
    train_segmentation(
        folder / "images.csv",
        [folder / "masks0", folder / "masks1"],
        folder / f"{name}.safetensors",
        folder / f"{name}.jsonl",
        **arguments,
    )
    return folder / f"{name}.safetensors"


def test_a_few_steps_of_the_smallest_network_learn_the_colours(scenes):
    (scenes / "masks0" / "of-another-run.png").write_bytes(b"not a picture")
    path = train(scenes)
    losses = [json.loads(line)["loss"] for line in (scenes / "network.jsonl").open()]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])
    network, metadata = load_network(path)
    assert metadata["class_names"] == ["red", "green"]
    pixels, mask = draw(np.random.default_rng(1))
    found = predict(network, Image.fromarray(pixels), MultiScale((1.0,)))
    valid = mask != 255
    assert (found == mask)[valid].mean() > max(0.75, (mask == 0)[valid].mean() + 0.1)


def test_the_same_seed_gives_the_same_bytes(scenes):
    settings = SETTINGS | {"iterations": 2}
    first = train(scenes, "first", training=settings).read_bytes()
    assert first == train(scenes, "second", training=settings).read_bytes()
    assert first != train(scenes, "third", training=settings, seed=1).read_bytes()


def test_a_training_whose_file_cannot_be_written_is_not_lost(scenes, monkeypatch):
    settings = SETTINGS | {"iterations": 2, "ema": 0.9}
    whole = train(scenes, "whole", training=settings).read_bytes()
    (scenes / "network.safetensors").mkdir()  # in the file's place
    with pytest.raises(OSError, match=r"network\.safetensors"):
        train(scenes, training=settings)
    (scenes / "network.safetensors").rmdir()
    monkeypatch.delattr(MaskedPhotographs, "example")  # nothing is trained again
    assert train(scenes, training=settings).read_bytes() == whole
    assert not list(scenes.glob("*.checkpoint"))


def as_columns(tmp_path, **options):
    """A white image of 20 x 10 pixels with label 1, as examples of 32 x 32."""
    Image.new("RGB", (20, 10), "white").save(tmp_path / "image.png")
    save_mask(tmp_path / "mask.png", np.ones((10, 20), np.uint8))
    window = (32, (0.5, 2.0), Normalization((0, 0, 0), (1, 1, 1)))
    return MaskedPhotographs(
        [str(tmp_path / "image.png")], [tmp_path / "mask.png"], *window, **options
    )


def test_the_published_loader_has_few_scales_and_pads_below_and_on_one_side(tmp_path):
    data = as_columns(tmp_path, scale_step=0.5, loader="deeplab")
    rng = np.random.default_rng(0)
    widths, sides = set(), set()
    for _ in range(60):
        example = data.example(0, rng)
        top, bottom, left, right = example["inside"].tolist()
        inside = example["target"] == 1
        assert top == 0
        assert 0 in (left, 32 - right)
        assert (inside.any(1).sum(), inside.any(0).sum()) == (bottom, right - left)
        assert (example["image"][0][inside] == 255).all()
        widths.add(right - left)
        sides.add(left == 0)
    assert widths == {10, 20, 30, 32}
    assert sides == {True, False}
    with pytest.raises(InputError, match=r"loader is irn or deeplab, not 'cv2'"):
        as_columns(tmp_path, loader="cv2")


def test_the_published_loader_samples_where_it_makes_smaller():
    """As OpenCV's INTER_LINEAR: a quarter of the size reads two of four pixels."""
    columns = np.zeros((4, 8, 3), np.uint8)
    columns[:, 0::4] = columns[:, 3::4] = 250
    small = np.asarray(rescale_plainly(Image.fromarray(columns), 0.25))
    assert small.shape == (1, 2, 3)
    assert (small == 0).all()
    assert np.asarray(rescale_plainly(Image.fromarray(columns), 0.7)).shape == (2, 5, 3)


def test_image_and_mask_are_moved_together_and_padding_is_ignored(tmp_path):
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 3, (4, 6)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    pixels = np.zeros((*mask.shape, 3), np.uint8)
    pixels[:] = mask[..., None] * 100
    Image.fromarray(pixels).save(tmp_path / "image.png")
    save_mask(tmp_path / "mask.png", mask)
    data = MaskedPhotographs(
        [tmp_path / "image.png"],
        [tmp_path / "mask.png"],
        40,
        (1, 1),
        Normalization((0, 0, 0), (1, 1, 1)),
    )
    seen = set()
    for seed in range(8):
        example = data.example(0, np.random.default_rng(seed))
        target = example["target"]
        inside = target != 255
        assert inside.sum() == 32 * 40
        image = data.on_device(default_collate([example]))["image"][0]
        expected = target.float() * 100 / 255
        assert torch.equal(image[:, inside], expected[inside].expand(3, -1))
        assert (image[:, ~inside] == 0).all()
        seen.add(target.numpy().tobytes())
    assert len(seen) > 4
    again = data.example(0, np.random.default_rng(7))
    assert torch.equal(again["image"], example["image"])


def test_the_resize_factor_stays_in_its_range(scenes):
    images, masks = find_masks(scenes / "images.csv", [scenes / "masks0", scenes / "masks1"], 2)
    data = MaskedPhotographs(images, masks, 200, (0.5, 2), Normalization((0, 0, 0), (1, 1, 1)))
    widths = []
    for seed in range(40):
        inside = data.example(0, np.random.default_rng(seed))["image"].any(dim=0)
        widths.append(int(inside.any(dim=0).sum()))
    assert 36 <= min(widths) < 50
    assert 110 < max(widths) <= 144


def test_missing_masks_stop_the_work_unless_a_share_is_allowed(scenes, caplog):
    (scenes / "masks1" / "scene3.png").unlink()
    with pytest.raises(InputError, match=r"masks0.*1 of 8 images have no mask.*'scene3'"):
        train(scenes)
    with caplog.at_level(logging.WARNING):
        images, masks = find_masks(
            scenes / "images.csv", [scenes / "masks0", scenes / "masks1"], 2, 0.2
        )
    assert "scene3" in caplog.text
    assert len(images) == len(masks) == 7
    with pytest.raises(InputError, match="no such folder"):
        find_masks(scenes / "images.csv", [scenes / "nowhere"], 2)


def test_masks_of_another_size_or_with_other_classes_stop_the_work(scenes):
    path = scenes / "masks1" / "scene3.png"
    save_mask(path, np.full((56, 72), 3, np.uint8))
    with pytest.raises(InputError, match=r"scene3\.png: the mask has value 3"):
        train(scenes)
    save_mask(path, np.zeros((56, 71), np.uint8))
    with pytest.raises(InputError, match=r"scene3\.png: the mask has 71x56 pixels"):
        train(scenes)


def test_an_unreadable_image_is_left_out_up_to_a_share(scenes):
    (scenes / "images" / "scene5.png").write_bytes(b"\x89PNG broken")
    folders = [scenes / "masks0", scenes / "masks1"]
    with pytest.raises(InputError, match=r"scene5\.png"):
        find_masks(scenes / "images.csv", folders, 2)
    images, _ = find_masks(scenes / "images.csv", folders, 2, 0.2)
    assert len(images) == 7
    assert not any("scene5" in path for path in images)


def red_everywhere(folder, count=8):
    """OoD images that look like class 1 from edge to edge."""
    rng = np.random.default_rng(3)
    rows = []
    for number in range(count):
        pixels = rng.integers(60, 120, (56, 72, 3)).astype(np.uint8)
        pixels[..., 0] = 250
        path = folder / f"ood{number}.png"
        Image.fromarray(pixels).save(path)
        rows.append((f"ood{number}", str(path)))
    write_image_list(folder / "ood.csv", pd.DataFrame(rows, columns=["image_id", "path"]))
    return folder / "ood.csv"


def test_ood_images_are_background_to_the_network(scenes):
    listing = red_everywhere(scenes)
    settings = SETTINGS | {"iterations": 60}
    seen = train(scenes, "seen", training=settings, ood_list=listing)
    unseen = train(scenes, "unseen", training=settings)
    image = Image.open(scenes / "ood0.png").convert("RGB")
    foreground = [
        (predict(load_network(path)[0], image, MultiScale((1.0,))) > 0).mean()
        for path in (seen, unseen)
    ]
    assert foreground[0] < 0.2 < foreground[1]


def test_an_unreadable_ood_image_is_left_out_up_to_a_share(scenes):
    listing = red_everywhere(scenes)
    settings = SETTINGS | {"iterations": 2}
    (scenes / "ood2.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(InputError, match=r"1 unreadable images .*ood2\.png"):
        train(scenes, "stopped", training=settings, ood_list=listing)
    some = train(scenes, "some", training=settings, ood_list=listing, max_failed_fraction=0.2)
    rows = pd.read_csv(listing, dtype=str)
    write_image_list(listing, rows[rows["image_id"] != "ood2"])
    fewer = train(scenes, "fewer", training=settings, ood_list=listing)
    assert some.read_bytes() == fewer.read_bytes()


def test_without_an_ood_list_the_number_of_ood_images_changes_nothing(scenes):
    """The fully supervised upper bound has the same settings, and no list."""
    settings = SETTINGS | {"iterations": 2}
    first = train(scenes, "first", training=settings).read_bytes()
    none = {"batch_size": 0}
    assert first == train(scenes, "second", training=settings, ood=none).read_bytes()


@pytest.mark.parametrize("multi_scale", [False, True])
def test_ood_images_count_like_the_others_of_the_batch(multi_scale):
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5, 3, 32, 32, generator=generator)
    target = torch.randint(0, 3, (5, 32, 32), generator=generator)
    network = torch.nn.Conv2d(3, 3, 1)
    together, _ = DeepLabLoss(multi_scale)(network, {"image": images, "target": target}, 0)
    apart = {"image": images[:3], "target": target[:3]}
    apart["ood"] = {"image": images[3:], "target": target[3:]}
    assert DeepLabLoss(multi_scale)(network, apart, 0)[0].item() == together.item()
