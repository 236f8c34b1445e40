"""The one reader of text tables and lists, and the one rule for ids."""

import csv
import io
import string
import unicodedata

import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from wood.data import tables
from wood.data.image_ids import MAX_BYTES, as_image_id, file_id, file_of
from wood.data.lists import read_image_list, write_image_list
from wood.data.tables import as_text, from_text, read_lines, read_table, stream_rows, write_table
from wood.data.voc import index_images, read_entries, read_ids
from wood.ood.hard_ood import from_list, read_truth
from wood.ood.labels_map import read_label_names
from wood.runtime.errors import InputError

TABLE = [["image_id", "class"], ["a", "cat"], ["b", "two words"], ["c", ""]]
FRAMES = {
    "plain": lambda text: text.encode(),
    "mark": lambda text: text.encode("utf-8-sig"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "mark and CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
    "no last line end": lambda text: text.rstrip("\n").encode(),
    "blank lines": lambda text: text.replace("\n", "\n\n \n").encode(),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16 and CRLF": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
}
WRITERS = {
    "commas": {},
    "semicolons": {"delimiter": ";"},
    "tabs": {"delimiter": "\t"},
    "quotes": {"quoting": csv.QUOTE_ALL},
    "spaces": {},
}

fast = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def csv_text(rows, how="commas"):
    text = io.StringIO()
    if how == "spaces":
        rows = [[f" {cell}  " for cell in row] for row in rows]
    csv.writer(text, lineterminator="\n", **WRITERS[how]).writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("how", WRITERS)
def test_a_table_is_read_however_it_is_written(tmp_path, frame, how):
    path = tmp_path / "t.csv"
    path.write_bytes(FRAMES[frame](csv_text(TABLE, how)))
    table = read_table(path, ["image_id"])
    assert [list(table.columns), *table.to_numpy().tolist()] == TABLE
    assert read_truth(path).to_dict() == {"a": "cat", "b": "two words", "c": ""}


@pytest.mark.parametrize("frame", FRAMES)
def test_a_list_is_read_however_it_is_written(tmp_path, frame):
    path = tmp_path / "ood_list.txt"
    path.write_bytes(FRAMES[frame]('a\nb.jpg\n"c d.jpg"\n/JPEGImages/e.jpg /Masks/e.png\nsome f\n'))
    assert read_ids(path) == ["a", "b", "c d", "e", "some f"]
    for name in ("a", "b", "c d", "some f"):
        (tmp_path / f"{name}.jpg").touch()
    (tmp_path / "JPEGImages").mkdir()
    assert read_entries(path)["e"] == "/JPEGImages/e.jpg"
    path.write_bytes(FRAMES[frame]('a\nb.jpg\n"c d.jpg"\nsome f\n'))
    listed = from_list(path, None, tmp_path / "hard_ood.csv")
    assert listed["image_id"].tolist() == ["a", "b", "c d", "some f"]


@pytest.mark.parametrize("frame", [frame for frame in FRAMES if frame != "blank lines"])
def test_label_names_are_read_however_they_are_written(tmp_path, frame):
    path = tmp_path / "classes.csv"
    path.write_bytes(FRAMES[frame]('LabelName,DisplayName\n/m/1,"Ham, smoked"\n/m/2,Egg\n'))
    assert read_label_names(path).names == {"/m/1": "Ham, smoked", "/m/2": "Egg"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("name,class\na,b\n", "column 'image_id' is missing; columns found: name, class"),
        ("Image_ID;class\na;b\n", "columns found: Image_ID, class"),
        ("image_id,class,class\na,b,c\n", "row 1: the column 'class' is there twice"),
        ("image_id,class, class \na,b,c\n", "row 1: the column 'class' is there twice"),
        ("\n\nimage_id,image_id\n", "row 3: the column 'image_id' is there twice"),
        ("image_id,class\na,b\n\n\nc\n", "row 5 has 1 values, the header 2 columns"),
        ("image_id,class\n\na,b,c\n", "row 3 has 3 values, the header 2 columns"),
        ('image_id,class\n"a\n\nb",c\nd\n', "row 5 has 1 values"),
        ('image_id,class\na,b\nc,"d\ne,f\n', "row 3: the quote that begins here is not closed"),
        ('image_id,class\na,"b"c\n', "row 2: the quotes are not those of a CSV file"),
        ("image_id,class\na,b\0\n", "line 2: a zero byte"),
        ("image_id,class\na," + "x" * 140_000, "row 2: a value has more than 131072 characters"),
    ],
)
def test_a_bad_table_is_named_with_its_row(tmp_path, text, words):
    path = tmp_path / "t.csv"
    for content in (text, text.replace("\n", "\r\n"), text.replace("\n", "\r"), "\ufeff" + text):
        path.write_bytes(content.encode())
        with pytest.raises(InputError) as raised:
            read_table(path, ["image_id"])
        assert str(raised.value).startswith(f"{path}: ")
        assert words in str(raised.value)


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path):
    path = tmp_path / "t.csv"
    for ending in (b"\n", b"\r\n", b"\r"):
        path.write_bytes(ending.join([b"image_id", b"", b"Zo\xeb"]))
        with pytest.raises(InputError, match=r"t\.csv: line 3: not text in UTF-8"):
            read_table(path)
    path.write_bytes(b"\xff\xfea")
    with pytest.raises(InputError, match="not text in UTF-8"):
        read_table(path)
    with pytest.raises(InputError, match="this is a folder"):
        read_lines(tmp_path)
    with pytest.raises(InputError, match="no such list"):
        read_lines(tmp_path / "none")


def test_a_text_file_has_a_bound(tmp_path, monkeypatch):
    path = tmp_path / "t.csv"
    path.write_text("image_id\n" + "a\n" * 100)
    with pytest.raises(InputError, match="209 bytes are more than the 100 allowed"):
        tables.read_text(path, max_bytes=100)


def test_empty_values_at_the_end_and_columns_without_a_name_say_nothing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(",image_id,class,\n0,a,cat,,,\n,,,\n1,b,,\n")
    table = read_table(path, ["image_id"])
    assert table.to_dict("list") == {"image_id": ["a", "b"], "class": ["cat", ""]}
    assert table.index.tolist() == [2, 4]


@fast
@given(st.lists(st.lists(cells, min_size=2, max_size=2), max_size=6))
def test_what_is_written_is_read(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("t") / "t.csv"
    rows = [[" ".join(cell.replace("\0", "").split()) for cell in row] for row in rows]
    rows = [row for row in rows if any(row)]
    write_table(path, pd.DataFrame(rows, columns=["x", "=y"], dtype=object))
    assert read_table(path, ["x", "=y"]).to_numpy().tolist() == rows
    for _, row in stream_rows(path):
        assert len(row) == 2


FORMULAS = [
    "=1+1",
    '=HYPERLINK("http://x")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "'=1",
    "''@x",
]


@pytest.mark.parametrize("cell", FORMULAS)
def test_no_cell_is_a_formula(tmp_path, cell):
    assert as_text(cell) == f"'{cell}"
    assert from_text(as_text(cell)) == cell
    path = tmp_path / "t.csv"
    write_table(path, pd.DataFrame({"author": [cell], "score": [-0.5]}), float_format="%.2f")
    with path.open(newline="") as file:
        [row] = list(csv.DictReader(file))
    assert row == {"author": f"'{cell}".replace("\r", "\n"), "score": "-0.50"}


@fast
@given(st.text(alphabet="'=+-@\t\r\nab", max_size=6))
def test_marks_against_formulas_come_off_again(cell):
    assert from_text(as_text(cell)) == cell
    assert not as_text(cell).startswith(tuple("=+-@\t\r\n"))


# --- ids

GOOD = [
    "007",
    "-x",
    "_",
    "a.b",
    "IMG 2031 (1)",
    "猫",
    "Zoë",
    "é" * 90,
    "a,b;c",
    "=1",
    "'q'",
    "[a]{b}",
]
BAD = ["", " ", ".", "..", ".a", "a/b", "a\\b", "/etc/passwd", "a\tb", "a\nb", "a\0", "\x1b[2J",
       "a\u2028b", "\u202etxt", "x" * (MAX_BYTES + 1), "é" * 101, "\ufffd", "__metadata__",
       "\u3000"]  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_an_id_is_any_plain_file_name(tmp_path, name):
    assert as_image_id(f" {name} ", "list") == name
    (tmp_path / f"{name}.jpg").touch()
    path = tmp_path / "list.csv"
    write_image_list(path, pd.DataFrame({"image_id": [name], "path": [f"{name}.jpg"]}))
    assert read_image_list(path).to_numpy().tolist() == [[name, f"{name}.jpg"]]
    assert list(index_images(tmp_path)) == [name]
    (tmp_path / "ids.txt").write_text(f"{name}.jpg\n", encoding="utf-8")
    assert read_ids(tmp_path / "ids.txt") == [name]


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_id_is_refused_at_every_entrance(tmp_path, name):
    with pytest.raises(InputError, match=r"list: the image id .* (is|begins) "):
        as_image_id(name, "list")
    path = tmp_path / "list.csv"
    path.write_text(csv_text([["image_id", "path"], [name, "x.jpg"]]), encoding="utf-8")
    for read in (read_image_list, read_truth):
        with pytest.raises(InputError, match=r"list\.csv: "):
            read(path)


@fast
@given(st.text(max_size=20))
def test_ids_are_one_however_they_are_spelled(text):
    try:
        name = as_image_id(text, "list")
    except InputError:
        return
    for form in ("NFC", "NFD"):
        assert as_image_id(unicodedata.normalize(form, text), "list") == name
        assert file_id(f"folder/{unicodedata.normalize(form, name)}.jpg") == name
    assert as_image_id(name, "list") == name
    assert not name.startswith(".")
    assert not set(name) & set("/\\\0\n\r")


def test_a_file_is_found_in_either_spelling(tmp_path):
    name = "Zoë"
    (tmp_path / unicodedata.normalize("NFD", f"{name}.png")).write_text("here")
    assert file_of(tmp_path, name, ".png").read_text() == "here"
    assert list(index_images(tmp_path)) == [name]
    assert file_of(tmp_path, "none", ".png").name == "none.png"


@fast
@given(st.lists(st.text(string.ascii_letters + "é猫 .", min_size=1, max_size=6), max_size=6))
def test_a_list_gives_its_ids_or_says_why_not(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("ids") / "list.txt"
    path.write_text("\n".join(names) + "\n", encoding="utf-8")
    expected = [unicodedata.normalize("NFC", name).strip() for name in names]
    expected = [name for name in expected if name]
    assume(not any(name.lower().endswith((".jpg", ".png", ".jpeg")) for name in names))
    if not expected or len(set(expected)) < len(expected) or any(n[0] == "." for n in expected):
        with pytest.raises(InputError):
            read_ids(path)
    else:
        assert read_ids(path) == expected
