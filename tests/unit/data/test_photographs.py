"""Augmentation, decoding ahead, and batches of one size."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torchvision.transforms import ColorJitter

from wood.data.photographs import (
    Photographs,
    batches_of_one_size,
    readable_images,
    readable_rows,
)
from wood.data.transforms import (
    Augmentation,
    Normalization,
    jitter_colors,
    normalize,
    place_crop,
    rescale,
    resize_long_side,
)
from wood.runtime.errors import InputError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.5)
NORMALIZATION = Normalization(MEAN, STD)


def photograph(width=40, height=20, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def listed(tmp_path):
    rows = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        photograph(width=40 if number % 2 else 30, seed=number).save(path)
        rows.append((str(number), str(path)))
    return pd.DataFrame(rows, columns=["image_id", "path"])


def test_normalize_is_channelwise():
    image = Image.new("RGB", (3, 2), (255, 0, 51))
    tensor = normalize(image, MEAN, STD)
    assert tensor.shape == (3, 2, 3)
    torch.testing.assert_close(tensor[:, 0, 0], torch.tensor([2.5, -1.6, -0.2]))


def test_sizes():
    assert resize_long_side(photograph(), 80).size == (80, 40)
    assert rescale(photograph(), 0.5).size == (20, 10)
    assert rescale(Image.new("RGB", (300, 1)), 0.1).size == (30, 1)


def test_a_crop_stays_inside_and_padding_is_placed_anywhere():
    rng = np.random.default_rng(0)
    starts = {place_crop(10, 8, rng) for _ in range(100)}
    assert starts == {(0, 0, 8), (1, 0, 8), (2, 0, 8)}
    starts = {place_crop(6, 8, rng) for _ in range(100)}
    assert starts == {(0, 0, 6), (0, 1, 6), (0, 2, 6)}


def augmented(augmentation, image, seed):
    """What a backbone reads of an augmented image."""
    example = augmentation(image, np.random.default_rng(seed))
    assert example["image"].dtype == torch.uint8
    return NORMALIZATION(example["image"][None], example["inside"][None])[0]


def test_padding_is_zero_after_normalisation_and_the_rest_is_the_image():
    augmentation = Augmentation((40, 40), 64)
    tensor = augmented(augmentation, photograph(), 0)
    inside = (tensor != 0).any(dim=0)
    assert inside.sum() == 40 * 20
    rows, columns = inside.any(dim=1).nonzero()[:, 0], inside.any(dim=0).nonzero()[:, 0]
    cut = tensor[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    plain = normalize(photograph(), MEAN, STD)
    assert torch.equal(cut, plain) or torch.equal(cut, plain.flip(2))


def test_both_directions_occur():
    augmentation = Augmentation((40, 40), 20)
    image = Image.fromarray(np.tile(np.arange(40, dtype=np.uint8)[None, :, None], (20, 1, 3)))
    signs = set()
    for seed in range(20):
        tensor = augmented(augmentation, image, seed)
        signs.add(bool(tensor[0, 0, -1] > tensor[0, 0, 0]))
    assert signs == {True, False}


def test_resolution_removes_detail_that_resizing_back_does_not_restore():
    checkers = np.indices((64, 64)).sum(axis=0) % 2 * 255
    image = Image.fromarray(np.repeat(checkers[:, :, None], 3, axis=2).astype(np.uint8))
    sharp = augmented(Augmentation((64, 64), 64), image, 0)
    blurred = augmented(Augmentation((64, 64), 64, resolution=(16, 16)), image, 1)
    assert blurred[0].std() < sharp[0].std() / 4


def test_color_jitter_is_torchvisions_with_our_random_numbers():
    image = Image.new("RGB", (8, 4), (200, 100, 50))
    jitter = ColorJitter(0.3, 0.3, 0.3, 0.1)
    torch.manual_seed(0)
    theirs = np.array([np.array(jitter(image))[0, 0] for _ in range(300)], float)
    rng = np.random.default_rng(0)
    ours = np.array(
        [np.array(jitter_colors(image, rng, (0.3, 0.3, 0.3, 0.1)))[0, 0] for _ in range(300)], float
    )
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=8)
    np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.25)
    assert jitter_colors(image, rng, (0, 0, 0, 0)).getpixel((0, 0)) == (200, 100, 50)


def test_an_example_depends_on_its_random_numbers_alone(listed):
    data = Photographs(
        list(listed["path"]), torch.eye(6), Augmentation((30, 60), 24), NORMALIZATION
    )
    first, again = (data.example(2, np.random.default_rng(5)) for _ in range(2))
    other = data.example(2, np.random.default_rng(6))
    assert torch.equal(first["image"], again["image"])
    assert not torch.equal(first["image"], other["image"])
    assert first["labels"].tolist() == [0, 0, 1, 0, 0, 0]


def test_images_come_in_order_and_unreadable_ones_are_skipped(listed, tmp_path, caplog):
    (tmp_path / "3.png").write_bytes(b"no image")
    found = [image_id for image_id, _ in readable_images(listed, 0.2)]
    assert found == ["0", "1", "2", "4", "5"]
    assert "3.png" in caplog.text


def test_too_many_unreadable_images_fail(listed, tmp_path):
    for number in (1, 3):
        (tmp_path / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"2 unreadable images .*3\.png"):
        list(readable_images(listed, 0.2))


def test_rows_of_readable_images_keep_their_order(listed, tmp_path, caplog):
    assert readable_rows(listed, 0).equals(listed)
    Image.effect_noise((400, 300), 60).save(tmp_path / "2.png", "JPEG")
    assert readable_rows(listed, 0).equals(listed)
    whole = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) * 2 // 3])
    rows = readable_rows(listed, 0.2)
    assert list(rows["image_id"]) == list("01345")
    assert list(rows.index) == list(range(5))
    assert "2.png: not a readable image" in caplog.text
    with pytest.raises(InputError, match=r"1 unreadable images .*2\.png"):
        readable_rows(listed, 0.1)
    for number in range(6):
        (tmp_path / f"{number}.png").unlink()
    with pytest.raises(InputError, match=r"0\.png: neither this image nor one of 5 others"):
        readable_rows(listed, 1.0)


def test_batches_hold_one_size_and_are_bounded(listed):
    batches = list(batches_of_one_size(readable_images(listed, 0), max_pixels=2 * 40 * 20))
    assert sorted(image_id for ids, _ in batches for image_id in ids) == list("012345")
    for _, images in batches:
        assert len({image.size for image in images}) == 1
        assert len(images) <= 2
