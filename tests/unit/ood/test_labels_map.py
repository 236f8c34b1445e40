"""Which Open Images labels stand for a foreground class."""

from collections import defaultdict

import pytest
import yaml

from tests.unit.openimages import HIERARCHY, OTHER_LABELS
from wood.data.masks import VOC_CLASSES
from wood.ood.labels_map import (
    CLASS_MAP,
    Hierarchy,
    class_entries,
    foreground_labels,
    read_class_map,
    read_hierarchy,
    read_label_names,
)
from wood.runtime.errors import InputError

TREE = Hierarchy(HIERARCHY)


@pytest.fixture
def names(tmp_path):
    known = dict(OTHER_LABELS) | {"/m/02p0tk3": "Human body"}
    for entry in read_class_map().values():
        known |= {label: name for name, label in (entry["labels"] | entry["finer"]).items()}
    known |= {"/m/0747": "Boeing 747", "/m/jag": "Jaguar (Animal)", "/m/xf": "Jaguar xf"}
    path = tmp_path / "classes.csv"
    lines = (f'{label},"{name}"\n' for label, name in known.items())
    path.write_text("".join(lines), encoding="utf-8")
    return read_label_names(path)


def test_the_map_has_every_pascal_class_with_its_own_label():
    entries = yaml.safe_load(CLASS_MAP.read_text(encoding="utf-8"))
    assert sorted(entries) == sorted(VOC_CLASSES)
    expected = {
        "aeroplane": "Airplane",
        "cow": "Cattle",
        "diningtable": "Kitchen & dining room table",
        "motorbike": "Motorcycle",
        "pottedplant": "Houseplant",
        "sofa": "Couch",
    }
    for name, label in expected.items():
        assert label in entries[name]["labels"]
    finer = {"cat": "Kitten", "dog": "Puppy", "horse": "Mare", "cow": "Dairy cow"}
    for name, label in finer.items():
        assert label in entries[name]["finer"]


def test_every_label_of_the_map_has_an_id_of_its_own():
    classes, named = defaultdict(set), defaultdict(set)
    for name, entry in read_class_map().items():
        for label, label_id in (entry["labels"] | entry["finer"]).items():
            assert label_id.startswith(("/m/", "/g/")), (name, label)
            classes[label].add(name)
            named[label_id].add(label)
    assert all(len(labels) == 1 for labels in named.values())
    shared = {label for label, names in classes.items() if len(names) > 1}
    assert shared == {"Jockey", "Sheepdog trial", "Sleeper chair"}


def test_parts_count_for_persons_and_animals_only(names):
    assert foreground_labels(["person"], names, TREE)["/m/0dzct"] == "person"
    assert "/m/083wq" not in foreground_labels(["car"], names, TREE)


def test_a_whole_is_no_reason_to_exclude(names):
    found = foreground_labels(["cat"], names, TREE)
    assert not {"/m/0jbk", "/m/04rky"} & set(found)


def test_prefixes_take_families_of_labels_but_not_other_meanings(names):
    found = foreground_labels(["aeroplane", "car"], names, TREE)
    assert found["/m/0747"] == "aeroplane"
    assert found["/m/xf"] == "car"
    assert "/m/jag" not in found


@pytest.mark.parametrize("spelling", ["Tiger", "tiger", "/m/07dm6"])
def test_a_users_class_is_a_label_with_its_subcategories(names, spelling):
    found = foreground_labels(["beast"], names, TREE, {"beast": spelling})
    assert found == {"/m/07dm6": "beast", "/m/01xqw": "beast"}
    assert foreground_labels(["Tiger"], names, TREE) == {"/m/07dm6": "Tiger", "/m/01xqw": "Tiger"}


def test_a_users_map_file_replaces_one_class(names, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("cat: {labels: [Tiger], finer: [Forest]}\n")
    found = foreground_labels(["cat"], names, TREE, path)
    assert set(found) == {"/m/07dm6", "/m/01xqw", "/m/02zr8"}


def test_an_unknown_label_suggests_the_nearest(names):
    with pytest.raises(InputError, match=r"no Open Images label 'Tigr'; the nearest are 'Tiger'"):
        foreground_labels(["Tigr"], names, TREE)


def test_a_label_with_two_ids_lists_both(names):
    with pytest.raises(InputError, match=r"'Ball' has 2 ids, /m/0156sn and /m/018xm"):
        foreground_labels(["Ball"], names, TREE)
    assert foreground_labels(["/m/018xm"], names, TREE) == {"/m/018xm": "/m/018xm"}


def test_a_description_file_of_another_version_is_named(tmp_path):
    path = tmp_path / "classes.csv"
    path.write_text("/m/1,Old cat\n/m/2,Old dog\n")
    with pytest.raises(InputError, match=r"'Cat' \(/m/01yrx\) of the class 'cat' is not in"):
        foreground_labels(["cat"], read_label_names(path), TREE)


@pytest.mark.parametrize("header", ["", "LabelName,DisplayName\n"])
def test_a_header_row_is_optional(tmp_path, header):
    path = tmp_path / "classes.csv"
    path.write_text(header + '/m/1,"Ham, smoked"\n/m/2,Egg\n')
    assert read_label_names(path).names == {"/m/1": "Ham, smoked", "/m/2": "Egg"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"/m/1,Egg\n/m/2,Caf\xe9\n", "line 2: not text in UTF-8"),
        (b"/m/1,Egg\n/m/2\n", "row 2 has 1 columns"),
        (b"ImageID,Source\nabc,verification\n", "row 2: 'abc' is not a label id"),
        (b"", "no label in the class description file"),
    ],
)
def test_bad_description_files_are_named(tmp_path, content, message):
    path = tmp_path / "classes.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_label_names(path)


@pytest.mark.parametrize("text", ["[1, 2]", '{"Subcategory": [{}]}', "{"])
def test_a_bad_hierarchy_is_named(tmp_path, text):
    path = tmp_path / "hierarchy.json"
    path.write_text(text)
    with pytest.raises(InputError, match="hierarchy"):
        read_hierarchy(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat: {labels: [Cat], part: true}", "unknown key 'part'"),
        ("cat: {finer: [Cat]}", "'cat' names no Open Images label"),
        ("- cat", "not a map"),
        ("cat: [", "line 1: not YAML"),
    ],
)
def test_a_bad_class_map_is_named(tmp_path, text, message):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_class_map(path)


@pytest.mark.parametrize("as_file", [False, True])
def test_a_misspelt_class_of_the_map_is_named(tmp_path, as_file):
    """The class itself would be taken for a label, and pictures of the others for OoD images."""
    given = {"houses": ["House", "Building"]}
    if as_file:
        path = tmp_path / "map.yaml"
        path.write_text("houses: [House, Building]\n")
        given = path
    with pytest.raises(InputError, match=r"names 'houses', .* no labels of the class 'house'"):
        class_entries(["house"], given)
    assert class_entries(["cat"], given)["houses"] == {"labels": ["House", "Building"]}
