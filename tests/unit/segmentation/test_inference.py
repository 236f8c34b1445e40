import logging

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from wood.cli import main
from wood.crf import DEEPLAB_CRF, refine
from wood.data.lists import write_image_list
from wood.data.masks import VOC_PALETTE, load_mask
from wood.models.backbones import create_backbone
from wood.models.deeplab import DeepLabV2, save_network
from wood.runtime.errors import InputError
from wood.segmentation import inference
from wood.segmentation.inference import MultiScale, class_probabilities, segment_images
from wood.segmentation.predict import predict
from wood.segmentation.tiles import Tiling, cut_tiles

CPU = torch.device("cpu")
METADATA = {
    "backbone": "test_resnet",
    "output_stride": 8,
    "atrous_rates": [1],
    "class_names": ["cat", "dog"],
}


def small_network():
    torch.manual_seed(0)
    network = DeepLabV2(create_backbone("test_resnet", weights=None, output_stride=8), 3, [1])
    for branch in network.aspp.branches:
        nn.init.normal_(branch.weight, std=1.0)
    return network.eval()


def smooth_image(width, height, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 16 + 1, width // 16 + 1, 3))
    return Image.fromarray(coarse.astype(np.uint8)).resize((width, height))


@pytest.fixture
def photographs(tmp_path):
    """Five images of odd sizes, one of a single pixel; and a network."""
    rows = []
    for number, size in enumerate([(60, 44), (44, 60), (33, 17), (1, 1), (50, 50)]):
        path = tmp_path / f"photo{number}.png"
        smooth_image(*size, seed=number).save(path)
        rows.append((f"photo{number}", str(path)))
    write_image_list(tmp_path / "images.csv", pd.DataFrame(rows, columns=["image_id", "path"]))
    save_network(tmp_path / "network.safetensors", small_network(), METADATA)
    return tmp_path


def segment(folder, output="masks", **changes):
    arguments = {"scales": [1.0, 0.75], "flip": True, "merge": "mean"} | changes
    segment_images(
        folder / "images.csv", folder / "network.safetensors", folder / output, **arguments
    )
    return folder / output


def test_masks_are_palette_pngs_of_the_images_names_and_sizes(photographs):
    masks = segment(photographs)
    assert sorted(path.name for path in masks.iterdir()) == [f"photo{n}.png" for n in range(5)]
    used = set()
    for path in masks.iterdir():
        with Image.open(path) as mask, Image.open(photographs / path.name) as image:
            assert mask.size == image.size
            assert mask.mode == "P"
            assert mask.getpalette()[:9] == VOC_PALETTE[:9]
        used |= set(np.unique(load_mask(path)))
    assert used <= {0, 1, 2}
    assert len(used) > 1


def test_shards_together_are_the_whole(photographs):
    whole = segment(photographs)
    for index in range(2):
        segment(photographs, f"shard{index}", shard_index=index, shard_count=2)
    for path in whole.iterdir():
        places = [photographs / f"shard{index}" / path.name for index in range(2)]
        assert [place.read_bytes() for place in places if place.exists()] == [path.read_bytes()]


class ColourNetwork(nn.Module):
    """Two labels whose logits are the first two colours, at stride 2."""

    alignment = "cells"

    class backbone:
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        stage_strides = (2,)

    def forward(self, images):
        return 4 * images[:, :2, ::2, ::2]


@pytest.mark.parametrize("merge", ["max", "mean"])
def test_scales_and_flips_are_merged_as_computed_by_hand(merge):
    image = smooth_image(20, 16)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255

    def logits(scale, flip):
        size = (int(16 * scale), int(20 * scale))
        x = functional.interpolate(pixels, size=size, mode="bilinear")
        x = x.flip(3) if flip else x
        x = 4 * x[:, :2, ::2, ::2]
        x = x.flip(3) if flip else x
        return functional.interpolate(x, size=(8, 10), mode="bilinear")

    every = torch.stack([logits(s, f) for s in (1.0, 0.5) for f in (False, True)])
    merged = every.amax(0) if merge == "max" else every.mean(0)
    full = functional.interpolate(merged, size=(16, 20), mode="bilinear")
    expected = full.softmax(1)[0]
    method = MultiScale((0.5, 1.0), True, merge)
    assert torch.allclose(
        class_probabilities(ColourNetwork(), image, method, CPU), expected, atol=1e-6
    )


def test_tiles_cover_every_pixel_once_with_their_context():
    for height, width in [(5, 7), (64, 64), (65, 200), (300, 31), (129, 128)]:
        covered = np.zeros((height, width), int)
        for tile in cut_tiles(height, width, Tiling(64, 16)):
            (top, left, bottom, right), (first, start, last, stop) = tile.window, tile.kept
            assert bottom - top <= 64
            assert right - left <= 64
            covered[first:last, start:stop] += 1
            for outer, inner, edge in [(top, first, 0), (left, start, 0)]:
                assert outer == edge or inner - outer >= 16
            for inner, outer, edge in [(last, bottom, height), (stop, right, width)]:
                assert outer == edge or outer - inner >= 16
        assert (covered == 1).all()


def test_an_image_in_tiles_gets_the_mask_of_the_whole_image(monkeypatch):
    network = small_network()
    image = smooth_image(400, 300)
    masks = []
    for tiling in (Tiling(400, 0), Tiling(256, 96), Tiling(64, 0)):
        monkeypatch.setattr("wood.segmentation.predict.TILING", tiling)
        masks.append(predict(network, image, MultiScale((1.0,), False, "max")))
    whole, tiled, narrow = masks
    assert len(np.unique(whole)) > 1
    assert (whole == tiled).mean() > 0.999
    assert (whole == narrow).mean() < (whole == tiled).mean()


def test_the_network_never_sees_more_than_a_tile(monkeypatch, photographs):
    seen = []
    original = inference.class_probabilities

    def watched(network, image, method, device):
        seen.append(image.size)
        return original(network, image, method, device)

    monkeypatch.setattr(inference, "class_probabilities", watched)
    monkeypatch.setattr(inference, "TILING", Tiling(32, 8))
    segment(photographs)
    assert max(max(size) for size in seen) == 32


def test_one_pass_writes_the_masks_without_and_with_crf(photographs):
    plain = segment(photographs)
    both = segment(
        photographs, "both", crf=DEEPLAB_CRF, crf_output=photographs / "refined", workers=2
    )
    assert {p.name: p.read_bytes() for p in plain.iterdir()} == {
        p.name: p.read_bytes() for p in both.iterdir()
    }
    method = MultiScale((1.0, 0.75), True, "mean")
    different = 0
    for path in plain.iterdir():
        image = Image.open(photographs / path.name).convert("RGB")
        scores = class_probabilities(small_network(), image, method, CPU).numpy()
        expected = refine(np.array(image), scores, parameters=DEEPLAB_CRF).argmax(axis=0)
        refined = load_mask(photographs / "refined" / path.name)
        assert (refined == expected).mean() >= 0.99
        different += (refined != load_mask(path)).sum()
    assert different > 0


def test_scores_with_nan_stop_and_name_the_image(photographs, monkeypatch):
    original = inference.class_probabilities

    def broken(network, image, method, device):
        probabilities = original(network, image, method, device)
        return probabilities * float("nan") if image.size == (33, 17) else probabilities

    monkeypatch.setattr(inference, "class_probabilities", broken)
    with pytest.raises(InputError, match="photo2"):
        segment(photographs)
    assert not (photographs / "masks").exists()


def test_unreadable_images_are_left_out_up_to_a_share(photographs, caplog):
    (photographs / "photo1.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(InputError, match=r"photo1\.png"):
        segment(photographs)
    with caplog.at_level(logging.WARNING):
        masks = segment(photographs, max_failed_fraction=0.2)
    assert "photo1.png" in caplog.text
    assert len(list(masks.iterdir())) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_names": ["cat", "cow"]}, "trained for the classes cat, dog"),
        ({"merge": "sum"}, "max or mean"),
        ({"scales": []}, "scales"),
        ({"crf": DEEPLAB_CRF}, "crf_output"),
    ],
)
def test_wrong_settings_are_refused_in_a_sentence(photographs, changes, message):
    with pytest.raises(InputError, match=message):
        segment(photographs, **changes)


def test_a_tile_has_room_for_its_margins():
    with pytest.raises(InputError, match="no room"):
        Tiling(64, 32)


def test_the_command_writes_a_mask_or_says_what_is_wrong(photographs, capsys):
    image, output = photographs / "photo0.png", photographs / "one" / "mask.png"
    command = ["--weights", str(photographs / "network.safetensors"), str(image), "-o", str(output)]
    options = ["--scales", "1", "0.75", "--merge", "mean"]
    assert main(["predict", *command, *options]) == 0
    assert "background" in capsys.readouterr().out
    masks = segment(photographs)
    assert output.read_bytes() == (masks / "photo0.png").read_bytes()
    command[2] = str(photographs / "nowhere.png")
    assert main(["predict", *command]) == 1
    assert "nowhere.png: no such image" in capsys.readouterr().err
