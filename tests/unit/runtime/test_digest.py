"""Digests of code follow imports, and see code only."""

import pytest

from wood.runtime import digest


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "ROOT", tmp_path)
    monkeypatch.setattr(digest, "KEPT", tmp_path / "wood" / "__pycache__" / "digests.json")
    read_anew()
    (tmp_path / "wood" / "inner").mkdir(parents=True)
    write = {
        "wood/__init__.py": "",
        "wood/inner/__init__.py": "",
        "wood/inner/deep.py": "X = 1\n",
        "wood/middle.py": "def f():\n    from wood.inner.deep import X\n    return X\n",
        "wood/top.py": "import wood.middle\n",
        "wood/aside.py": "Y = 1\n",
    }
    for name, text in write.items():
        (tmp_path / name).write_text(text)
    yield tmp_path
    read_anew()


def read_anew():
    """Forget what this process knows of modules, as the next one does."""
    digest._known.cache_clear()
    digest._parsed.cache_clear()


def digest_of(module):
    digest._parsed.cache_clear()
    return digest.code_digest(module)


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        ("wood/inner/deep.py", "X = 2\n", True),
        ("wood/inner/__init__.py", "Z = 0\n", True),
        ("wood/top.py", "import wood.middle\nW = 1\n", True),
        ("wood/aside.py", "Y = 2\n", False),
        ("wood/inner/deep.py", '"""What X is."""\n\n# one\nX = 1\n', False),
    ],
)
def test_only_the_code_that_is_imported_counts(package, file, text, changes):
    before = digest_of("wood.top")
    (package / file).write_text(text)
    assert (digest_of("wood.top") != before) is changes


def test_an_unknown_module_is_an_error(package):
    with pytest.raises(ValueError, match=r"wood\.gone"):
        digest_of("wood.gone")


def test_what_is_kept_spares_the_parsing_of_what_has_not_changed(package, monkeypatch):
    before = digest_of("wood.top")
    digest.keep_digests()
    parsed = []
    found = digest._strip_and_find_imports
    monkeypatch.setattr(
        digest, "_strip_and_find_imports", lambda tree: parsed.append(tree) or found(tree)
    )
    read_anew()
    assert digest_of("wood.top") == before
    assert not parsed
    (package / "wood/inner/deep.py").write_text("X = 2\n")
    read_anew()
    assert digest_of("wood.top") != before
    assert len(parsed) == 1


@pytest.mark.parametrize("text", ["", "{", '{"python": "2.7", "modules": {"wood.top": 1}}'])
def test_what_was_kept_by_another_python_or_is_broken_is_not_taken(package, text):
    before = digest_of("wood.top")
    digest.KEPT.parent.mkdir()
    digest.KEPT.write_text(text)
    read_anew()
    assert digest_of("wood.top") == before


def test_nothing_is_kept_where_nothing_can_be_written(package):
    digest_of("wood.top")
    digest.KEPT.parent.write_text("a file")
    digest.keep_digests()
    assert digest.KEPT.parent.read_text() == "a file"
