import tarfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wood.data.lists import write_image_list
from wood.data.masks import save_mask
from wood.runtime.errors import InputError
from wood.segmentation.submission import make_submission

FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"


@pytest.fixture
def test_set(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(4):
        image_id, shape = f"2008_00000{number}", (20 + number, 30)
        path = tmp_path / "images" / f"{image_id}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*shape, 3)).astype(np.uint8)).save(path)
        mask = rng.integers(0, 21, shape).astype(np.uint8)
        save_mask(tmp_path / f"masks{number % 2}" / f"{image_id}.png", mask)
        rows.append((image_id, str(path)))
    # In no order, because the archive has its own.
    rows.reverse()
    write_image_list(tmp_path / "test.csv", pd.DataFrame(rows, columns=["image_id", "path"]))
    return tmp_path


def submit(folder, name="submission.tar.gz", **options):
    masks = [folder / "masks0", folder / "masks1"]
    make_submission(folder / "test.csv", masks, folder / name, **options)
    return folder / name


def test_the_archive_holds_the_masks_where_the_server_looks(test_set):
    save_mask(test_set / "masks0" / "not_in_the_list.png", np.zeros((3, 3), np.uint8))
    with tarfile.open(submit(test_set, expected_images=4)) as archive:
        names = archive.getnames()
        assert names == [f"{FOLDER}/2008_00000{n}.png" for n in range(4)]
        content = archive.extractfile(names[1]).read()
    assert content == (test_set / "masks1" / "2008_000001.png").read_bytes()


def test_equal_masks_give_equal_bytes(test_set):
    assert submit(test_set).read_bytes() == submit(test_set, "again.tar.gz").read_bytes()


def grey(path):
    Image.fromarray(np.zeros((21, 30), np.uint8)).save(path)


def other_colours(path):
    mask = Image.fromarray(np.zeros((21, 30), np.uint8)).convert("P")
    mask.putpalette(list(range(255, -1, -1)) * 3)
    mask.save(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), r"2008_000001\.png: no such mask"),
        (lambda path: save_mask(path, np.zeros((30, 21), np.uint8)), "21x30 pixels"),
        (lambda path: save_mask(path, np.full((21, 30), 255, np.uint8)), "the value 255"),
        (lambda path: save_mask(path, np.full((21, 30), 21, np.uint8)), "the value 21"),
        (grey, "not a palette PNG"),
        (other_colours, "the palette is not VOC's"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "not a readable mask"),
    ],
)
def test_a_bad_mask_stops_before_anything_is_written(test_set, spoil, message):
    spoil(test_set / "masks1" / "2008_000001.png")
    with pytest.raises(InputError, match=message):
        submit(test_set)
    assert not list(test_set.glob("*submission*"))


def test_a_list_of_another_length_and_other_classes_are_refused(test_set):
    with pytest.raises(InputError, match=r"4 images, the test set has 1456"):
        submit(test_set, expected_images=1456)
    with pytest.raises(InputError, match="20 classes"):
        submit(test_set, class_names=["cat", "dog"])
