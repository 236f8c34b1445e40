"""What a user reads: one line, no control characters, no megabytes, no class of a library."""

import pytest

from wood.runtime.errors import InputError
from wood.runtime.jobs import job
from wood.runtime.sentences import LONGEST, listed, printable, quoted, reason
from wood.runtime.yaml_files import MAX_BYTES, parse_yaml, read_yaml

CONTROL = [
    "\x1b[31mred",
    "a\rb",
    "a\nb",
    "\x07",
    "\x9b2J",
    "\u2028",
    "\u202egnp.exe",
    "\x00",
    "\x7f",
]


@pytest.mark.parametrize("text", CONTROL)
def test_control_characters_are_not_printed(text):
    for said in (printable(text), quoted(text), str(InputError(f"f: {text!s} is bad"))):
        assert len(said.splitlines()) == 1
        assert all(character.isprintable() for character in said)


@pytest.mark.parametrize("text", ["Zoë", "猫", "a b", "[x] {y}", "🐈", "naïve\u0301", ""])
def test_other_text_stays(text):
    assert printable(text) == text
    assert str(InputError(text)) == text


def test_megabytes_are_cut_and_both_ends_stay():
    said = str(InputError(f"labels.csv: line 3: {'x' * 10**6!r} is not 0 or 1."))
    assert len(said) < LONGEST + 10
    assert said.startswith("labels.csv: line 3: 'xxx")
    assert said.endswith("is not 0 or 1.")
    assert len(quoted("x" * 10**6)) < 100
    assert len(listed("x" * 10**6 for _ in range(50))) < 1200
    assert listed("abc") == "a, b, c"
    assert listed(range(12)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


def test_a_reason_is_a_library_s_first_line():
    assert reason(ValueError("bad thing:\nand more")) == "bad thing"
    assert reason(KeyError()) == "no reason was given"


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("boom\nmore"), TypeError("")])
def test_an_unforeseen_error_is_said_without_its_class(tmp_path, capsys, error):
    with pytest.raises(SystemExit) as ended, job(tmp_path / "log.txt"):
        raise error
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert said.startswith("Error: ")
    assert len(said.splitlines()) == 1
    assert type(error).__name__ not in said
    assert "in wood's own code" in said
    assert type(error).__name__ in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is in line 1 too"),
        ("x: {a: 1, b: 2, a: 3}", "line 1: the key 'a' is in line 1 too"),
        ("x:\n  - a: 1\n    a: 2", "line 3: the key 'a' is in line 2 too"),
        ("1: a\n1.0: b", "line 2: the key '1.0' is in line 1 too"),
        ("'猫': 1\n猫: 2", "line 2: the key '猫' is in line 1 too"),
        ("b: &b {x: 1}\nc: {<<: *b, y: 1, y: 2}", "line 2: the key 'y'"),
        ("a: [", "line 1: not YAML"),
        ("? [1]\n: 2", "line 1: a key is a name"),
        ("a: !!python/name:os.system", "line 1: not YAML"),
        ("a: &a [*a]", "more than 1000000 values"),
        ("[" * 2000, "nested too deeply"),
        ("a: 2024-13-45", "not a YAML file"),
        ("a: \x00", "not a YAML file"),
    ],
)
def test_a_bad_yaml_file_is_named(tmp_path, text, words):
    path = tmp_path / "map.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_yaml(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert words in str(raised.value)


def test_yaml_is_read_as_it_is_written(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_bytes("\ufeffa: [1, {b: x}]\r\nc: &c {x: 1}\r\nd: {<<: *c, x: 2}\r\n".encode())
    assert read_yaml(path) == {"a": [1, {"b": "x"}], "c": {"x": 1}, "d": {"x": 2}}
    assert parse_yaml("", "nothing") is None


def test_yaml_has_a_bound(tmp_path):
    path = tmp_path / "map.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(InputError, match="more than the 10000000 bytes"):
        read_yaml(path)
    bomb = "\n".join(
        f"k{i}: &k{i} [{', '.join([f'*k{i - 1}'] * 10) if i else 1}]" for i in range(12)
    )
    with pytest.raises(InputError, match="more than 1000000 values"):
        parse_yaml(bomb, "bomb")
    with pytest.raises(InputError, match="no such class map"):
        read_yaml(tmp_path / "none.yaml", "class map")
    with pytest.raises(InputError, match="not UTF-8"):
        path.write_bytes(b"\xe9")
        read_yaml(path)
    with pytest.raises(InputError, match="this is a folder"):
        read_yaml(tmp_path)
