import pandas as pd
import pytest
from PIL import Image

from tests.devkit import annotation_xml, make_devkit, object_xml
from wood.data.labels import read_labels
from wood.data.lists import read_image_list
from wood.data.prepare import prepare_csv, prepare_list, prepare_voc
from wood.runtime.errors import InputError

IMAGES = {
    "2007_000001": ["cat", "person"],
    "2007_000002": ["dog"],
    "2007_000003": ["train"],
    "2008_000004": ["person"],
    "2008_000005": ["cat"],
    "2008_000006": ["bird", "dog"],
}
SETS = {"train": list(IMAGES)[:4], "val": list(IMAGES)[4:], "train_aug": list(IMAGES)[:4]}
CLASSES = ["cat", "dog", "person"]


@pytest.fixture
def voc(tmp_path):
    return make_devkit(tmp_path, IMAGES, SETS)


@pytest.fixture
def prepare(tmp_path, voc):
    """prepare_voc into tmp_path/out, returning the image list and the labels."""

    def run(**settings):
        out = tmp_path / "out"
        settings = {"classes": CLASSES, "image_set": "train", **settings}
        prepare_voc(
            voc,
            output_list=out / "list.csv",
            output_labels=out / "labels.parquet",
            skipped=out / "skipped.csv",
            **settings,
        )
        return read_image_list(out / "list.csv"), read_labels(out / "labels.parquet")

    return run


def test_labels_come_from_objects_and_not_from_parts_or_masks(prepare, voc):
    assert "<part><name>head" in (voc / "Annotations" / "2007_000001.xml").read_text()
    (voc / "SegmentationClass").rmdir()
    images, labels = prepare()
    assert images["image_id"].tolist() == ["2007_000001", "2007_000002", "2008_000004"]
    assert labels.index.tolist() == images["image_id"].tolist()
    assert labels.columns.tolist() == CLASSES
    assert labels.to_numpy().tolist() == [
        [True, False, True], [False, True, False], [False, False, True]
    ]  # fmt: skip
    for path in images["path"]:
        Image.open(path).verify()


def test_class_order_is_the_configured_one(prepare):
    _, labels = prepare(classes=["person", "cat", "dog"])
    assert labels.columns.tolist() == ["person", "cat", "dog"]
    assert labels.loc["2007_000001"].tolist() == [True, True, False]


def test_images_of_other_classes_can_be_kept(prepare):
    images, labels = prepare(keep_unlabelled=True)
    assert len(images) == 4
    assert not labels.loc["2007_000003"].any()


def test_set_without_annotations_can_be_listed(voc, tmp_path):
    for path in (voc / "Annotations").iterdir():
        path.unlink()
    output = tmp_path / "test.csv"
    prepare_voc(voc, classes=CLASSES, image_set="val", output_list=output, keep_unlabelled=True)
    assert read_image_list(output)["image_id"].tolist() == SETS["val"]


def test_train_aug_is_derived_where_the_devkit_has_no_list(prepare, voc, tmp_path):
    (voc / "ImageSets" / "Segmentation" / "train_aug.txt").unlink()
    with pytest.raises(InputError, match=r"train_aug\.txt.*SBD"):
        prepare(image_set="train_aug")
    sbd = tmp_path / "sbd"
    sbd.mkdir()
    (sbd / "train.txt").write_text("2007_000001\n2008_000005\n")
    (sbd / "val.txt").write_text("2008_000006\n")
    (voc / "ImageSets" / "Segmentation" / "train.txt").write_text("2007_000002\n")
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("2008_000005\n")
    images, _ = prepare(image_set="train_aug", sbd_root=sbd)
    assert images["image_id"].tolist() == ["2007_000001", "2007_000002", "2008_000006"]


def test_list_naming_a_missing_image_stops(prepare, voc, tmp_path):
    (voc / "JPEGImages" / "2007_000003.jpg").unlink()
    with pytest.raises(InputError, match=r"JPEGImages.*'2007_000003'.*'train'"):
        prepare()
    assert not (tmp_path / "out").exists()


def test_class_outside_the_full_list_stops_with_its_file(prepare, voc):
    text = annotation_xml("2007_000002", [object_xml("unicorn")])
    (voc / "Annotations" / "2007_000002.xml").write_text(text)
    with pytest.raises(InputError, match=r"2007_000002\.xml.*'unicorn'"):
        prepare(max_failed_fraction=1)


def test_one_bad_annotation_is_listed_and_skipped(prepare, voc, tmp_path):
    (voc / "Annotations" / "2007_000002.xml").write_text("<annotation>")
    images, labels = prepare(
        classes=["cat", "person"], max_failed_fraction=0.25, keep_unlabelled=True
    )
    assert "2007_000002" not in labels.index
    assert len(images) == 3
    skipped = pd.read_csv(tmp_path / "out" / "skipped.csv")
    assert skipped["image_id"].tolist() == ["2007_000002"]
    assert "2007_000002.xml" in skipped["reason"][0]


def test_too_many_bad_annotations_stop(prepare, voc, tmp_path):
    (voc / "Annotations" / "2007_000001.xml").unlink()
    (voc / "Annotations" / "2007_000002.xml").write_text("no xml")
    with pytest.raises(InputError, match=r"2 of 4 .*0\.25.*2007_000001\.xml"):
        prepare(max_failed_fraction=0.25)
    assert not (tmp_path / "out" / "labels.parquet").exists()


def test_nothing_skipped_is_an_empty_list(prepare, tmp_path):
    prepare()
    assert (tmp_path / "out" / "skipped.csv").read_text() == "image_id,reason\n"


def test_class_without_images_is_named(prepare):
    with pytest.raises(InputError, match="'sheep'"):
        prepare(classes=["cat", "sheep"])
    with pytest.raises(InputError, match="cow, sheep"):
        prepare(classes=["cow", "sheep"])


@pytest.mark.parametrize(
    ("classes", "message"),
    [([], "empty"), (["cat", "dog", "cat"], "'cat' twice"), (["cat", "unicorn"], "'unicorn'")],
)
def test_bad_class_lists(prepare, classes, message):
    with pytest.raises(InputError, match=message):
        prepare(classes=classes)


def test_another_data_set_has_another_class_list(tmp_path):
    voc = make_devkit(tmp_path / "own", {"a": ["otter"], "b": ["heron"]}, {"train": ["a", "b"]})
    prepare_voc(
        voc,
        classes=["otter"],
        all_classes=["heron", "otter"],
        image_set="train",
        output_list=tmp_path / "list.csv",
    )
    assert read_image_list(tmp_path / "list.csv")["image_id"].tolist() == ["a"]


def test_a_list_of_own_images_is_found_in_their_folder(own, tmp_path):
    (tmp_path / "val.txt").write_text("b\n007\n")
    prepare_list(tmp_path / "val.txt", tmp_path / "images", output_list=tmp_path / "val.csv")
    found = read_image_list(tmp_path / "val.csv")
    assert found["image_id"].tolist() == ["b", "007"]
    assert found["path"].tolist()[0].endswith("b.jpeg")
    (tmp_path / "val.txt").write_text("b\nz\n")
    with pytest.raises(InputError, match=r"no image 'z', which .*val\.txt names"):
        prepare_list(tmp_path / "val.txt", tmp_path / "images", output_list=tmp_path / "val.csv")


CSV = "image_id,cat,note,dog\n007,1,x,0\nb,0,,1\nc,0,y,0\nd, 1 ,,1\n"


@pytest.fixture
def own(tmp_path):
    """prepare_csv of the given text, returning the image list and the labels."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("007.jpg", "b.jpeg", "c.PNG", "d.png"):
        Image.new("RGB", (3, 2)).save(folder / name)

    def run(text=CSV, **settings):
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        prepare_csv(
            tmp_path / "labels.csv",
            folder,
            output_list=tmp_path / "out" / "list.csv",
            output_labels=tmp_path / "out" / "labels.parquet",
            **{"classes": ["dog", "cat"], **settings},
        )
        images = read_image_list(tmp_path / "out" / "list.csv")
        return images, read_labels(tmp_path / "out" / "labels.parquet")

    return run


def test_own_images_with_labels_in_a_csv(own):
    images, labels = own()
    assert images["image_id"].tolist() == ["007", "b", "c", "d"]
    names = [path.rsplit("/", 1)[1] for path in images["path"]]
    assert names == ["007.jpg", "b.jpeg", "c.PNG", "d.png"]
    assert labels.columns.tolist() == ["dog", "cat"]
    expected = [[False, True], [True, False], [False, False], [True, True]]
    assert labels.to_numpy().tolist() == expected


@pytest.mark.parametrize(
    ("classes", "rows", "words"),
    [
        (["cat"], "007,1,0\nb,1,0\nc,1,1\n", "every image shows the class 'cat'"),
        (["cat", "dog"], "007,1,0\nb,1,1\n", "every image shows the class 'cat'"),
        (["dog", "cat"], "007,1,1\nb,1,0\nc,1,0\n", "every image shows the class 'cat'"),
        (["cat"], "007,1,0\n", "every image shows the class 'cat'"),
        (["dog"], "007,1,0\nb,1,0\n", "no image of the classes dog"),
    ],
)
def test_a_class_that_every_image_shows_is_an_error_before_training(own, classes, rows, words):
    with pytest.raises(InputError, match=words):
        own("image_id,cat,dog\n" + rows, classes=classes)


def test_one_class_is_learned_from_the_images_without_it(own):
    _, labels = own(classes=["cat"])
    assert labels["cat"].tolist() == [True, False, False, True]


def test_csv_as_a_spreadsheet_saves_it(own):
    images, _ = own("\ufeff" + CSV.replace("\n", "\r\n"))
    assert len(images) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a CSV"),
        ("image_id,cat,dog\n", "no image"),
        ("id,cat,dog\nb,1,0\n", "'image_id' is missing"),
        ("image_id,cat\nb,1\n", "'dog' is missing"),
        ("image_id,cat,dog\n007,1,0\nb,0,yes\n", "row 3, column 'dog'.*'yes'"),
        ("image_id,cat,dog\n007,1,0\nb,0.5,1\n", r"row 3, column 'cat'.*'0\.5'"),
        ("image_id,cat,dog\n007,1,0,1\nb,0,1,1\n", "row 2 has 4 values, the header 3"),
        ("image_id,cat,dog\n007,1,0\nb,0,1,1\n", "row 3 has 4 values, the header 3 columns"),
        ("image_id,cat,dog\n007,1\nb,0,1\n", "row 2 has 2 values, the header 3 columns"),
        ("image_id,cat,dog\nb,1,0\n007,0,1\nb,1,0\n", "row 4.*'b' is listed twice, it is in row 2"),
        ("image_id,cat,dog\n../b,1,1\n", r"row 2.*'\.\./b'"),
        ("image_id,cat,dog\nx/b,1,1\n", "row 2.*'x/b'"),
        ("image_id,cat,dog\n..,1,1\n", "row 2.*begins with a point"),
        ("image_id,cat,dog\n,1,1\n", "row 2.*is empty"),
        ("image_id,cat,dog\nb,1,1\nnowhere,1,0\n", "images: .*'nowhere'"),
        ("image_id,cat,dog\nb,1,0\n", "no image of the class 'dog'"),
        ("image_id,cat,dog\nb,0,0\n", "no image of the classes"),
    ],
)
def test_bad_csv_is_named_with_row_and_column(own, text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        own(text)
    assert not (tmp_path / "out").exists()


def test_missing_csv_folder_and_doubled_image(own, tmp_path):
    Image.new("RGB", (3, 2)).save(tmp_path / "images" / "b.png")
    with pytest.raises(InputError, match=r"'b' is there twice, as b\.jpeg and b\.png"):
        own()
    output = tmp_path / "out" / "list.csv"
    with pytest.raises(InputError, match=r"none\.csv"):
        prepare_csv(tmp_path / "none.csv", tmp_path, classes=["cat"], output_list=output)
    with pytest.raises(InputError, match="nowhere"):
        prepare_csv(
            tmp_path / "labels.csv", tmp_path / "nowhere", classes=["cat"], output_list=output
        )
