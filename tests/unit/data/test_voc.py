import pytest

from tests.devkit import annotation_xml, make_devkit, object_xml
from wood.data.voc import (
    annotated_classes,
    check_classes,
    check_devkit,
    derive_train_aug,
    index_images,
    read_ids,
    read_image_set,
)
from wood.runtime.errors import InputError


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def annotation(tmp_path, *objects):
    return write(tmp_path / "a.xml", annotation_xml("a", objects))


def test_parts_are_no_classes(tmp_path):
    path = annotation(tmp_path, object_xml("person", parts=True), object_xml("dog"))
    assert "<part><name>head</name>" in path.read_text()
    assert annotated_classes(path) == {"person", "dog"}


def test_difficult_boxless_and_repeated_objects_count(tmp_path):
    path = annotation(
        tmp_path,
        object_xml("cat", difficult=True),
        object_xml("sheep", box=False),
        object_xml("cat"),
    )
    assert annotated_classes(path) == {"cat", "sheep"}


def test_annotation_without_objects_has_no_class(tmp_path):
    assert annotated_classes(annotation(tmp_path)) == set()


ENTITIES = (
    '<!DOCTYPE a [<!ENTITY b "cat"><!ENTITY c "&b;&b;&b;">]>'
    "<annotation><object><name>&c;</name></object></annotation>"
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not xml",
        "<annotation><object>",
        "<html><object><name>cat</name></object></html>",
        "<annotation><object><pose>Left</pose></object></annotation>",
        "<annotation><object><name> </name></object></annotation>",
        '<?xml version="1.0" encoding="no-such-code"?><annotation/>',
        ENTITIES,
        '<!DOCTYPE annotation SYSTEM "http://127.0.0.1:9/x.dtd"><annotation/>',
    ],
)
def test_bad_annotation_is_named(tmp_path, text):
    write(tmp_path / "bad.xml", text)
    with pytest.raises(InputError, match=r"bad\.xml"):
        annotated_classes(tmp_path / "bad.xml")


def test_missing_annotation_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.xml: no such annotation"):
        annotated_classes(tmp_path / "none.xml")


def test_class_outside_the_list_is_named_with_its_file(tmp_path):
    check_classes(tmp_path / "a.xml", {"cat"}, ["cat", "dog"])
    with pytest.raises(InputError, match=r"a\.xml.*'unicorn'"):
        check_classes(tmp_path / "a.xml", {"cat", "unicorn"}, ["cat", "dog"])


def test_devkit_folders_missing_or_empty(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: there is no such devkit"):
        check_devkit(tmp_path / "nowhere")
    voc = make_devkit(tmp_path, {"a": ["cat"]}, {"train": ["a"]})
    check_devkit(voc)
    with pytest.raises(InputError, match="JPEGImages is missing"):
        check_devkit(tmp_path)
    (voc / "Annotations" / "a.xml").unlink()
    with pytest.raises(InputError, match=r"Annotations: .*empty"):
        check_devkit(voc)


@pytest.mark.parametrize(
    "text",
    [
        "b\na\n2007_000032\n",
        "\ufeffb\r\n\r\na\r\n  2007_000032  ",
        "/JPEGImages/b.jpg /SegmentationClassAug/b.png\n"
        "/JPEGImages/a.jpg /SegmentationClassAug/a.png\n"
        "JPEGImages/2007_000032.JPG SegmentationClassAug/2007_000032.png\n",
    ],
)
def test_image_sets_in_every_common_form(tmp_path, text):
    path = write(tmp_path / "ImageSets" / "Segmentation" / "train_aug.txt", text)
    assert read_image_set(tmp_path, "train_aug") == ["b", "a", "2007_000032"]
    assert read_ids(path) == ["b", "a", "2007_000032"]


def test_id_with_a_dot_is_whole(tmp_path):
    assert read_ids(write(tmp_path / "list.txt", "photo.v2\n")) == ["photo.v2"]


def test_bad_image_sets_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.txt"):
        read_ids(tmp_path / "none.txt")
    with pytest.raises(InputError, match=r"empty\.txt.*empty"):
        read_ids(write(tmp_path / "empty.txt", "\n \n"))
    with pytest.raises(InputError, match=r"twice\.txt: line 4 names the image 'a' again.*line 1"):
        read_ids(write(tmp_path / "twice.txt", "a\nb\n\n/JPEGImages/a.jpg /x/a.png\n"))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.txt"):
        read_ids(tmp_path / "binary.txt")


def voc_lists(tmp_path, train, val):
    for name, ids in (("train", train), ("val", val)):
        write(tmp_path / "voc/ImageSets/Segmentation" / f"{name}.txt", "\n".join(ids))
    return tmp_path / "voc"


@pytest.mark.parametrize("folder", [".", "dataset", "benchmark_RELEASE/dataset"])
def test_train_aug_is_sbd_and_voc_train_without_voc_val(tmp_path, folder):
    voc = voc_lists(tmp_path, ["t1", "t2", "t3"], ["v1", "v2"])
    write(tmp_path / "sbd" / folder / "train.txt", "s2\nt1\nv1\n")
    write(tmp_path / "sbd" / folder / "val.txt", "s1\nt2\nv2\n")
    assert derive_train_aug(voc, tmp_path / "sbd") == ["s1", "s2", "t1", "t2", "t3"]


def test_train_aug_of_lists_with_the_real_sizes(tmp_path):
    """VOC 2012: 1,464 train, 1,449 val; SBD: 8,498 train, 2,857 val; 10,582 together."""
    images = [f"{number:05d}" for number in range(12_031)]
    val, train, rest = images[:1449], images[1449:2913], images[2913:]
    only_voc = 587  # of train, so that SBD's 11,355 hold the other 877, all the rest, and some val
    sbd = train[only_voc:] + rest + val[: 11_355 - 877 - len(rest)]
    voc = voc_lists(tmp_path, train, val)
    write(tmp_path / "sbd" / "train.txt", "\n".join(sbd[:8498]))
    write(tmp_path / "sbd" / "val.txt", "\n".join(sbd[8498:]))
    assert len(sbd) == len(set(sbd)) == 11_355
    derived = derive_train_aug(voc, tmp_path / "sbd")
    assert len(derived) == 10_582
    assert not set(derived) & set(val)


def test_missing_sbd_lists_are_named(tmp_path):
    voc = voc_lists(tmp_path, ["a"], ["b"])
    write(tmp_path / "sbd" / "train.txt", "s\n")
    with pytest.raises(InputError, match=r"sbd: .*val\.txt"):
        derive_train_aug(voc, tmp_path / "sbd")


def test_images_are_found_by_id_whatever_their_suffix(tmp_path):
    for name in ("a.jpg", "b.JPG", "c.png", "c.jpeg", "d.v2.jpg", "notes.txt"):
        write(tmp_path / name, "")
    found = index_images(tmp_path)
    assert {key: [path.name for path in paths] for key, paths in found.items()} == {
        "a": ["a.jpg"], "b": ["b.JPG"], "c": ["c.jpeg", "c.png"], "d.v2": ["d.v2.jpg"]
    }  # fmt: skip
    with pytest.raises(InputError, match="nowhere"):
        index_images(tmp_path / "nowhere")
