import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wood.data.lists import write_image_list
from wood.data.masks import (
    VOC_CLASSES,
    VOC_PALETTE,
    label_to_index,
    load_mask,
    load_target,
    remap,
    save_mask,
    write_targets,
)
from wood.runtime.errors import InputError


def test_palette_has_the_published_colours():
    colours = np.array(VOC_PALETTE).reshape(256, 3).tolist()
    assert colours[0] == [0, 0, 0]
    assert colours[1] == [128, 0, 0]  # aeroplane
    assert colours[8] == [64, 0, 0]  # cat
    assert colours[15] == [192, 128, 128]  # person
    assert colours[20] == [0, 64, 128]  # tvmonitor
    assert colours[255] == [224, 224, 192]  # the devkit's cream border
    assert len({tuple(colour) for colour in colours}) == 256


def test_mask_survives_a_round_trip_with_its_palette(tmp_path):
    mask = np.arange(256, dtype=np.int64).reshape(8, 32)
    save_mask(tmp_path / "new" / "m.png", mask)
    read = load_mask(tmp_path / "new" / "m.png", size=(8, 32))
    assert read.dtype == np.uint8
    assert (read == mask).all()
    with Image.open(tmp_path / "new" / "m.png") as image:
        assert image.mode == "P"
        assert image.getpalette() == VOC_PALETTE


def test_one_pixel_and_few_valued_masks(tmp_path):
    for mask in (np.full((1, 1), 255), np.zeros((3, 5), dtype=bool).astype(int)):
        save_mask(tmp_path / "m.png", mask)
        assert (load_mask(tmp_path / "m.png") == mask).all()


def test_equal_masks_are_equal_bytes(tmp_path):
    mask = np.random.default_rng(0).integers(0, 21, (9, 7))
    save_mask(tmp_path / "a.png", mask)
    save_mask(tmp_path / "b.png", np.asfortranarray(mask.astype(np.uint8)))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_mask_of_another_size_is_named(tmp_path):
    save_mask(tmp_path / "m.png", np.zeros((4, 6), dtype=np.uint8))
    with pytest.raises(InputError, match=r"m\.png.*6x4.*4x6"):
        load_mask(tmp_path / "m.png", size=(6, 4))


def test_colour_truncated_and_missing_masks_are_named(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "rgb.png")
    save_mask(tmp_path / "cut.png", np.random.default_rng(0).integers(0, 21, (64, 64)))
    whole = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) * 3 // 4])
    for name in ("rgb.png", "cut.png", "none.png"):
        with pytest.raises(InputError, match=name):
            load_mask(tmp_path / name)


@pytest.mark.parametrize(
    "mask",
    [np.zeros((2, 2, 3), int), np.zeros((2, 2)), np.full((2, 2), 256), np.full((2, 2), -1)],
)
def test_what_is_no_mask_is_not_written(tmp_path, mask):
    with pytest.raises(ValueError, match="mask"):
        save_mask(tmp_path / "m.png", mask)
    assert not list(tmp_path.iterdir())


def test_subset_keeps_its_classes_and_ignore_and_drops_the_rest():
    table = label_to_index(["cat", "person"])
    cat, person, dog = (VOC_CLASSES.index(name) + 1 for name in ("cat", "person", "dog"))
    mask = np.array([[0, cat, person], [dog, 255, cat]], dtype=np.uint8)
    assert remap(mask, table).tolist() == [[0, 1, 2], [0, 255, 1]]


def test_full_list_in_order_changes_nothing():
    values = np.array([[*range(21), 255]], dtype=np.uint8)
    assert (remap(values, label_to_index(VOC_CLASSES)) == values).all()


def test_order_of_the_subset_counts():
    table = label_to_index(["b", "a"], all_classes=["a", "b", "c"])
    assert table[:5].tolist() == [0, 2, 1, 0, 0]


def test_unknown_class_is_named():
    with pytest.raises(InputError, match="unicorn"):
        label_to_index(["unicorn"])


def test_target_with_a_value_beyond_the_classes_is_named(tmp_path):
    save_mask(tmp_path / "m.png", np.array([[0, 3, 255]]))
    assert load_target(tmp_path / "m.png", ["c"], all_classes=["a", "b", "c"]).tolist() == [
        [0, 1, 255]
    ]
    with pytest.raises(InputError, match=r"m\.png.*value 3"):
        load_target(tmp_path / "m.png", ["a"], all_classes=["a", "b"])


def test_true_masks_get_the_values_of_the_configured_classes(tmp_path):
    for name, values in (("a", [[0, 12, 255]]), ("other", [[1, 1, 1]])):
        save_mask(tmp_path / "true" / f"{name}.png", np.array(values))
    listed = pd.DataFrame({"image_id": ["a", "without"], "path": ["a.jpg", "without.jpg"]})
    write_image_list(tmp_path / "images.csv", listed)
    write_targets(
        tmp_path / "true", tmp_path / "images.csv", tmp_path / "out", class_names=["cat", "dog"]
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    assert load_mask(tmp_path / "out" / "a.png").tolist() == [[0, 2, 255]]
