"""Digests of code follow imports, and see code only."""

import pytest

from wood.runtime import digest


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "ROOT", tmp_path)
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
    return tmp_path


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
