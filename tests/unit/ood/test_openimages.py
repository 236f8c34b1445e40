"""A CSV of image-level labels made from those of Open Images."""

import pandas as pd
import pytest
from PIL import Image

from tests.server import good
from tests.unit.openimages import Mirror, write_image
from wood.cli import main
from wood.data.prepare import prepare_csv
from wood.ood.openimages import positive_labels


@pytest.fixture
def mirror(tmp_path):
    return Mirror(tmp_path / "mirror")


def test_what_a_person_verified_becomes_a_label_and_nothing_else(mirror, tmp_path):
    both = mirror.add([("Cat", 1), ("Dog", 1)])
    finer = mirror.add([("Kitten", 1), ("Dog", 0)])
    mirror.add([("Room", 1)], [("Dog", 0.9)])
    mirror.add([("Room", 1), ("Cat", 0)])
    labels = positive_labels(
        tmp_path / "out", {"cat": ["Cat", "Kitten"], "dog": ["Dog"]}, base=mirror.write()
    )
    assert labels.columns.tolist() == ["cat", "dog"]
    assert {name: tuple(row) for name, row in labels.iterrows()} == {
        both: (True, True),
        finer: (True, False),
    }


def test_labels_below_a_class_count_for_it(mirror, tmp_path):
    """So that no image is both an image of the class and a candidate without it."""
    mirror.add([("Room", 1)])
    cub = mirror.add([("Tiger cub", 1)])
    labels = positive_labels(tmp_path / "out", {"tiger": ["Tiger"]}, base=mirror.write())
    assert labels["tiger"].to_dict() == {cub: True}


def test_the_command_writes_the_first_images_of_each_class(mirror, tmp_path, capsys):
    cats = sorted(mirror.add([("Cat", 1)]) for _ in range(5))
    dogs = sorted(mirror.add([("Dog", 1)]) for _ in range(2))
    mirror.add([("Room", 1)])
    output = tmp_path / "out" / "labels.csv"
    command = ["--base", str(mirror.write()), "--labels", "cat=Cat", "dog=Dog", "--per-class", "3"]
    assert main(["openimages", *command, "-o", str(output)]) == 0
    assert "5 images (cat 3, dog 2)" in capsys.readouterr().out
    table = pd.read_csv(output, dtype=str)
    assert table.columns.tolist() == ["image_id", "cat", "dog"]
    assert sorted(table["image_id"]) == sorted(cats[:3] + dogs)
    assert set(table["cat"] + table["dog"]) == {"10", "01"}


def test_the_command_fetches_the_photographs_upright_and_nothing_twice(
    mirror, server, tmp_path, capsys
):
    """From a server that stands for the two public buckets; one photograph is gone."""
    cat = mirror.add([("Cat", 1)])
    turned = mirror.add([("Cat", 1)], Rotation="90.0")
    gone = mirror.add([("Cat", 1)])
    unused = mirror.add([("Dog", 1)])
    for path in (root := mirror.write()).rglob("*.*"):
        server.answers[f"/{path.relative_to(root)}"] = good(path.read_bytes())
    write_image(tmp_path / "photograph.jpg", size=(32, 24))
    for name in (cat, turned, unused):
        server.serve(name, good((tmp_path / "photograph.jpg").read_bytes()))
    folder, output = tmp_path / "images", tmp_path / "labels.csv"
    command = [
        *["openimages", "--base", server.base, "--image-base", f"{server.base}/images"],
        *["--labels", "cat=Cat", "--images", str(folder), "-o", str(output)],
    ]
    assert main(command) == 0
    assert "2 images (cat 2)" in capsys.readouterr().out
    assert sorted(pd.read_csv(output)["image_id"]) == sorted([cat, turned])
    sizes = {path.stem: Image.open(path).size for path in folder.glob("validation/*.jpg")}
    assert sizes == {cat: (32, 24), turned: (24, 32)}
    assert server.count(gone) == 1
    assert main(command) == 0
    assert server.count(cat) == 1
    write_image(folder / "validation" / "room.jpg", size=(32, 24))
    output.write_text(f"{output.read_text()}room,0\n")
    prepare_csv(output, folder / "validation", classes=["cat"], output_list=tmp_path / "train.csv")
    assert len(pd.read_csv(tmp_path / "train.csv")) == 3


def test_photographs_of_a_folder_stay_there(mirror, tmp_path, capsys):
    mirror.add([("Cat", 1)])
    mirror.add([("Room", 1)])
    output = tmp_path / "labels.csv"
    command = ["openimages", "--base", str(mirror.write()), "--image-base", str(tmp_path)]
    images = ["--images", str(tmp_path / "images")]
    assert main([*command, "--labels", "cat=Cat", *images, "-o", str(output)]) == 1
    assert "is a folder: its photographs are there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ("cat=Catt", "there is no Open Images label 'Catt'"),
        ("tiger=Tiger", "no image of validation is verified to show 'tiger'"),
    ],
)
def test_bad_input_is_one_sentence(mirror, tmp_path, capsys, labels, sentence):
    mirror.add([("Cat", 1)])
    mirror.add([("Room", 1)])
    output = tmp_path / "labels.csv"
    assert (
        main(["openimages", "--base", str(mirror.write()), "--labels", labels, "-o", str(output)])
        == 1
    )
    assert sentence in capsys.readouterr().err
    assert not output.exists()
