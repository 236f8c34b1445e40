"""Small inputs that once gave a wrong result without a word, and others of their kinds."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.places import CASES
from tests.unit.openimages import Mirror
from wood.data.labels import read_labels
from wood.data.masks import VOC_CLASSES, VOC_PALETTE, load_mask, load_target, save_mask
from wood.data.prepare import prepare_csv
from wood.maps import KIND, read_maps
from wood.ood.candidates import filter_candidates
from wood.ood.decisions import Decision, append_decisions, read_decisions
from wood.ood.hard_ood import select_hard_ood
from wood.ood.labels_map import Hierarchy, LabelNames, foreground_labels, read_class_map
from wood.ood.metadata import fetch_metadata
from wood.ood.parquet import read_shard, row_groups
from wood.ood.ranking import rank
from wood.runtime.errors import InputError
from wood.runtime.store import collect_folders, read_table, save_tensors

CLASS_MAP = {"boat": ["Boat"], "horse": ["Horse"], "train": ["Train"]}
LABELS = "v5/validation-annotations-human-imagelabels.csv"
MACHINE = "v5/validation-annotations-machine-imagelabels.csv"
IMAGES = "2018_04/validation/validation-images-with-rotation.csv"


def collect(base, folder, class_map=CLASS_MAP, **settings):
    fetch_metadata(folder, base=base, splits=["validation"])
    filter_candidates(
        folder,
        folder / "c.parquet",
        folder / "why.parquet",
        classes=list(class_map),
        class_map=class_map,
        **settings,
    )
    return read_table(folder / "c.parquet")


@pytest.mark.parametrize("case", ["openimages-labels-quoted", "openimages-bom", "openimages-cr"])
def test_open_images_files_that_were_saved_again(tmp_path, case):
    assert len(collect(CASES / case / "oi", tmp_path)) == 40


SAVED_AGAIN = {
    "mark": lambda content: b"\xef\xbb\xbf" + content,
    "CR": lambda content: content.replace(b"\n", b"\r"),
    "CRLF": lambda content: content.replace(b"\n", b"\r\n"),
    "mark and CR": lambda content: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r"),
    "quotes": lambda content: b"\n".join(
        b'"' + line.replace(b",", b'","') + b'"' if line else b"" for line in content.split(b"\n")
    ),
    "spaces": lambda content: content.replace(b",", b" , "),
    "no last line end": lambda content: content.rstrip(b"\n"),
    "blank lines at the end": lambda content: content + b"\n\n",
    "blank line first": lambda content: b"\n" + content,
}


@pytest.fixture
def mirror(tmp_path):
    made = Mirror(tmp_path / "mirror")
    made.add([("Cat", 1)])
    made.add([("Room", 1), ("Cat", 0)], [("Forest", 0.8)], Rotation="90.0")
    made.add([("Room", 1)], [("Cat", 0.9)])
    made.add([("Room", 1)], [("Cat", 0.1)])
    return made


@pytest.mark.parametrize("change", SAVED_AGAIN)
@pytest.mark.parametrize("file", [LABELS, MACHINE, IMAGES])
def test_any_file_of_open_images_may_be_saved_again(tmp_path, mirror, file, change):
    root = mirror.write()
    expected = collect(root, tmp_path / "as-published", {"cat": ["Cat"]})
    path = root / file
    path.write_bytes(SAVED_AGAIN[change](path.read_bytes()))
    found = collect(root, tmp_path / "saved-again", {"cat": ["Cat"]})
    pd.testing.assert_frame_equal(found, expected)
    assert len(found) == 2


@pytest.mark.parametrize("name", ["[v6]", "{a}", "a b", "*", "?", "a'b", "猫"])
def test_a_folder_may_have_any_name(tmp_path, mirror, name):
    (tmp_path / name).mkdir()
    shutil.move(mirror.write(), tmp_path / name / "mirror")
    found = collect(tmp_path / name / "mirror", tmp_path / name / "out", {"cat": ["Cat"]})
    assert len(found) == 2


@pytest.mark.parametrize("confidence", ["nan", "NaN", "inf", "-inf", "7", "1.01", "-0.1", "", "x"])
@pytest.mark.parametrize("file", [LABELS, MACHINE])
def test_a_confidence_is_from_0_to_1(tmp_path, mirror, file, confidence):
    root = mirror.write()
    with (root / file).open("a") as handle:
        handle.write(f"{mirror.images[1][0]},verification,/m/01yrx,{confidence}\n")
    row = (root / file).read_text().count("\n")
    with pytest.raises(InputError, match=rf"{file}: row {row} has the confidence '{confidence}'"):
        collect(root, tmp_path / "out", {"cat": ["Cat"]})


@pytest.mark.parametrize("rotation", ["90.5", "100000", "-90", "360", "inf", "upright", "1e9"])
def test_a_rotation_is_a_quarter_of_a_turn(tmp_path, mirror, rotation):
    mirror.add([("Room", 1)], Rotation=rotation)
    root = mirror.write()
    with pytest.raises(InputError, match=rf"{IMAGES}: row 6 has the rotation '{rotation}'"):
        collect(root, tmp_path / "out", {"cat": ["Cat"]})


@pytest.mark.parametrize("rotation", ["", "0", "90", "90.0", "270.0", " 180 ", "nan"])
def test_an_unknown_rotation_is_empty(tmp_path, mirror, rotation):
    mirror.add([("Room", 1)], Rotation=rotation)
    found = collect(mirror.write(), tmp_path / "out", {"cat": ["Cat"]})
    value = found.set_index("image_id").loc[mirror.images[-1][0], "rotation"]
    known = rotation.strip() not in ("", "nan")
    assert value == float(rotation) if known else pd.isna(value)


def test_labels_of_other_images(tmp_path):
    with pytest.raises(InputError) as raised:
        collect(CASES / "openimages-ids-match-nothing" / "oi", tmp_path)
    said = str(raised.value)
    assert "the files do not belong together" in said
    assert IMAGES in said
    assert LABELS in said


OTHER_IDS = {
    "upper case": lambda name: name.upper().replace("0", "O"),
    "decimal": lambda name: str(int(name, 16)),
    "an ending": lambda name: f"{name}.jpg",
    "cut": lambda name: name[:10],
    "another split": lambda name: name[::-1],
}


@pytest.mark.parametrize("other", OTHER_IDS)
def test_ids_that_match_nothing_are_an_error(tmp_path, mirror, other):
    for row in mirror.images:
        row[0] = OTHER_IDS[other](row[0])
    with pytest.raises(InputError) as raised:
        collect(mirror.write(), tmp_path / "out", {"cat": ["Cat"]})
    said = str(raised.value)
    assert "none of the 4 images" in said
    assert any(row[0] in said for row in mirror.images)
    assert any(row[0] in said for row in mirror.human)


def test_the_unmatched_share_is_bounded(tmp_path, mirror):
    mirror.add(ImageID="stranger")
    root = mirror.write()
    with pytest.raises(InputError, match=r"1 of 5 images, such as 'stranger', .* share of 0\.1"):
        collect(root, tmp_path / "out", {"cat": ["Cat"]})
    found = collect(root, tmp_path / "out", {"cat": ["Cat"]}, max_unlabelled_fraction=0.2)
    assert "stranger" in set(found["image_id"])


@pytest.mark.parametrize("column", ["ImageID", "LabelName", "Confidence"])
def test_a_column_that_stands_twice_is_refused(tmp_path, mirror, column):
    root = mirror.write()
    path = root / LABELS
    path.write_text(path.read_text().replace("Source", column, 1))
    with pytest.raises(InputError, match=f"the column '{column}' is there twice; columns found"):
        collect(root, tmp_path / "out", {"cat": ["Cat"]})


# --- rankings and reviews


def ranking(folder, **columns):
    table = pd.DataFrame({"image_id": ["a", "b", "c", "d"], "split": "validation", "class": "cat"})
    table = table.assign(rank=range(1, 5), score=0.9, path="p", license="", author="", url="")
    table.assign(labels="", **columns).to_parquet(folder / "ranking.parquet")
    return folder / "ranking.parquet"


@pytest.mark.parametrize("policy", ["decisions", "truth"])
@pytest.mark.parametrize("names", [["A", "B"], ["a.jpg"], ["1", "2", "3"], ["é"], ["a_", "b_"]])
def test_answers_for_other_images_are_an_error(tmp_path, policy, names):
    ranked = ranking(tmp_path)
    path = tmp_path / "answers.csv"
    if policy == "truth":
        path.write_text("image_id,class\n" + "".join(f"{name},\n" for name in names))
    else:
        for name in names:
            append_decisions(path, [Decision(name, "accept", "cat", "ann", "2024-05-01T10:00:00Z")])
    with pytest.raises(InputError, match="the files do not belong together") as raised:
        select_hard_ood(
            ranked, tmp_path / "h.csv", tmp_path / "s.json", policy=policy, answers=path
        )
    said = str(raised.value)
    assert str(ranked) in said
    assert str(path) in said
    assert "'a'" in said
    assert any(f"'{name}'" in said for name in names)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.5, None])
def test_a_score_is_from_0_to_1(tmp_path, score):
    columns = {"image_id": ["a", "b"], "split": "v", "class": "cat", "path": "p"}
    pd.DataFrame(columns | {"score": [0.9, score]}).to_parquet(tmp_path / "s.parquet")
    with pytest.raises(InputError, match=r"s\.parquet: the image 'b' has the score"):
        rank(
            [tmp_path / "s.parquet"],
            tmp_path / "none.parquet",
            tmp_path / "r.parquet",
            tmp_path / "r.csv",
        )


def test_decisions_with_cr_line_ends():
    assert len(read_decisions(CASES / "decisions-cr-line-ends/decisions.csv")) == 5


def test_a_last_answer_written_by_hand_counts_and_stays(tmp_path):
    path = tmp_path / "decisions.csv"
    shutil.copy(CASES / "decisions-last-line/decisions.csv", path)
    before = path.read_bytes()
    count = before.strip().count(b"\n")
    assert len(read_decisions(path)) == count
    append_decisions(path, [Decision("new", "accept", "cat", "r", "2026-01-02T00:00:00+00:00")])
    assert path.read_bytes().startswith(before)
    assert len(read_decisions(path)) == count + 1


# --- class maps

NAMES = LabelNames({"/m/01yrx": "Cat", "/m/x": "T rex", "/m/y": "I beam"}, Path("x"))


def test_text_where_a_list_is_meant():
    with pytest.raises(InputError, match=r"map\.yaml: the class 'cat': `prefixes` is not a list"):
        foreground_labels(["cat"], NAMES, Hierarchy({"LabelName": "a"}), CASES / MAP)


MAP = "class-map-prefixes-text/map.yaml"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cat: {labels: [Cat], finer: 3}", "`finer` is not a list of names, it is '3'"),
        ("cat: {labels: [Cat], except: Tiger}", "`except` is not a list of names"),
        ("cat: {labels: [Cat], prefixes: {a: b}}", "`prefixes` is not a list of names"),
        ("cat: {labels: [Cat, 3]}", "`labels` holds '3', which is no name"),
        ("cat: {labels: [Cat, [Dog]]}", "`labels` holds"),
        ("cat: {labels: {Cat: 3}}", "`labels` holds '3'"),
        ("cat: {labels: [Cat, Cat]}", "`labels` names 'Cat' twice"),
        ("cat: {labels: [Cat], parts: 'no'}", "`parts` is true or false"),
        ("cat: [Cat]\ncat: [Dog]", "line 2: the key 'cat' is in line 1 too"),
        ("cat: {labels: [Cat], labels: [Dog]}", "the key 'labels' is in line 1 too"),
        ("yes: [Cat]", "the class 'True' is not text"),
    ],
)
def test_kinds_of_a_class_map_are_checked(tmp_path, text, words):
    path = tmp_path / "map.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as raised:
        read_class_map(path)
    assert words in str(raised.value)
    assert str(path) in str(raised.value)


# --- labels


def photographs(folder, names):
    folder.mkdir()
    for name in names:
        Image.new("RGB", (3, 2)).save(folder / f"{name}.jpg")
    return folder


def test_one_class_keeps_the_images_without_it(tmp_path):
    labels = CASES / "one-class/labels.csv"
    names = [line.split(",")[0] for line in labels.read_text().splitlines()[1:]]
    prepare_csv(
        labels, photographs(tmp_path / "p", names), classes=["boat"],
        output_list=tmp_path / "o.csv", output_labels=tmp_path / "o.parquet",
    )  # fmt: skip
    assert read_labels(tmp_path / "o.parquet")["boat"].value_counts().to_dict() == {
        True: 6,
        False: 6,
    }


def test_the_row_is_the_one_in_the_file(tmp_path):
    folder = CASES / "csv-row-number-after-blank-lines"
    with pytest.raises(InputError, match="row 5, column 'dog'"):
        prepare_csv(
            folder / "labels.csv", folder / "images", classes=["cat", "dog"],
            output_list=tmp_path / "o.csv",
        )  # fmt: skip


def test_labels_of_another_kind():
    with pytest.raises(InputError, match="not true or false for every image"):
        read_labels(CASES / "labels-parquet-kinds/l.parquet")


@pytest.mark.parametrize("value", ["0", float("nan"), 2, 1, None, 0.5, [True]])
def test_labels_are_true_or_false(tmp_path, value):
    table = pd.DataFrame({"image_id": ["a"], "cat": [value]})
    table.to_parquet(tmp_path / "l.parquet")
    with pytest.raises(InputError, match=r"l\.parquet: the column 'cat' is"):
        read_labels(tmp_path / "l.parquet")


@pytest.mark.parametrize("ids", [["a", "a"], [1, 2], [None, "a"]])
def test_ids_of_labels_are_text_and_stand_once(tmp_path, ids):
    pd.DataFrame({"image_id": ids, "cat": [True, False]}).to_parquet(tmp_path / "l.parquet")
    with pytest.raises(InputError, match=r"l\.parquet: "):
        read_labels(tmp_path / "l.parquet")


def test_damaged_pages_of_a_table_are_named():
    path = CASES / "parquet-pages/damaged.parquet"
    with pytest.raises(InputError, match=r"damaged\.parquet: not a readable Parquet file"):
        read_shard(path, 0, 1)
    with pytest.raises(InputError, match=r"damaged\.parquet: not a readable Parquet file"):
        list(row_groups(path))


# --- masks


def test_a_mask_saved_again_has_the_same_classes():
    folder = CASES / "mask-with-another-palette"
    original, again = (
        load_target(folder / f"{name}.png", VOC_CLASSES) for name in ("original", "saved-again")
    )
    assert (original == again).all()


def palette_png(path, values, palette):
    image = Image.fromarray(np.array(values, dtype=np.uint8)).convert("L")
    image.putpalette(palette)
    image.save(path)


VALUES = np.array([[0, 1, 15], [20, 255, 7]])


@pytest.mark.parametrize(
    "order", [[0, 1, 7, 15, 20, 255], [255, 20, 15, 7, 1, 0], [7, 0, 255, 1, 20, 15]]
)
def test_a_mask_is_read_by_its_colours(tmp_path, order):
    places = np.array([[order.index(value) for value in row] for row in VALUES])
    colours = [c for value in order for c in VOC_PALETTE[3 * value : 3 * value + 3]]
    palette_png(tmp_path / "m.png", places, colours)
    assert (load_mask(tmp_path / "m.png") == VALUES).all()


def test_a_mask_of_another_palette_is_refused(tmp_path):
    palette_png(tmp_path / "m.png", VALUES, [1, 2, 3] * 256)
    with pytest.raises(InputError, match=r"m\.png: the palette is not VOC's: value 0 has"):
        load_mask(tmp_path / "m.png")


def grey_png(path, values, bits):
    """Grey of few bits, which Pillow does not write."""
    import struct
    import zlib

    rows = b""
    for row in values:
        text = "".join(f"{value:0{bits}b}" for value in row)
        text += "0" * (-len(text) % 8)
        rows += b"\0" + bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", len(values[0]), len(values), bits, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize(
    ("bits", "values"),
    [(4, [[0, 1, 15]]), (4, [[9, 3]]), (2, [[0, 1, 2, 3]]), (8, [[0, 17, 255]]), (8, [[1, 2]])],
)
def test_grey_of_any_depth_is_the_value_that_stands_there(tmp_path, bits, values):
    grey_png(tmp_path / "m.png", values, bits)
    assert load_mask(tmp_path / "m.png").tolist() == values


def test_masks_of_the_pipeline_are_as_they_were(tmp_path):
    save_mask(tmp_path / "m.png", np.arange(256).reshape(16, 16))
    assert load_mask(tmp_path / "m.png").ravel().tolist() == list(range(256))


# --- maps


@pytest.mark.parametrize("name", ["no-source", "class-99"])
def test_maps_that_are_not_what_they_say(name):
    with pytest.raises(InputError, match=rf"{name}\.safetensors: "):
        read_maps(CASES / f"maps-metadata/{name}.safetensors", ["cat"], "s")


MAPS = {"kind": KIND, "classes": ["cat", "dog"], "source": "s: cam", "images": [["a", [8, 8], [0]]]}


@pytest.mark.parametrize(
    "change",
    [
        {"source": 3}, {"classes": None}, {"images": 3}, {"images": [3]}, {"images": [["a"]]},
        {"images": [["b", [8, 8], [0]]]}, {"images": [["a", 8, [0]]]},
        {"images": [["a", [8, "8"], [0]]]}, {"images": [["a", [8, 8], [2]]]},
        {"images": [["a", [8, 8], [-1]]]}, {"images": [["a", [8, 8], 0]]},
        {"images": [["a", [9, 8], [0]]]}, {"images": [["a", [8, 8], [0, 1]]]},
        {"images": [["a", [8, 8], [True]]]}, {"images": [[["a"], [8, 8], [0]]]},
    ],
)  # fmt: skip
def test_metadata_of_maps_of_another_shape(tmp_path, change):
    path = tmp_path / "m.safetensors"
    save_tensors(path, {"a": torch.ones(1, 2, 2)}, MAPS)
    assert read_maps(path, ["cat", "dog"], "s")[0].image_id == "a"
    save_tensors(path, {"a": torch.ones(1, 2, 2)}, MAPS | change)
    with pytest.raises(InputError, match=r"m\.safetensors: "):
        read_maps(path, ["cat", "dog"], "s")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_maps_are_finite(tmp_path, value):
    save_tensors(tmp_path / "m.safetensors", {"a": torch.full((1, 2, 2), value)}, MAPS)
    with pytest.raises(InputError, match="not finite"):
        read_maps(tmp_path / "m.safetensors")


def test_no_image_is_hidden(tmp_path):
    """Hidden files are left behind, so no id may make one: see the rule for ids."""
    (tmp_path / "h").mkdir()
    for name in (".a.png", "b.png"):
        (tmp_path / "h" / name).touch()
    collect_folders([tmp_path / "h"], tmp_path / "all")
    assert [path.name for path in (tmp_path / "all").iterdir()] == ["b.png"]
    labels = tmp_path / "l.csv"
    labels.write_text("image_id,cat\n.a,1\nb,0\n")
    with pytest.raises(InputError, match=r"row 2: the image id '\.a' begins with a point"):
        prepare_csv(labels, tmp_path / "h", classes=["cat"], output_list=tmp_path / "o.csv")
