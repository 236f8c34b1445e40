"""One rule for image ids, at every entrance: they name files, and stand in lists and tables.

An id is Unicode text in the composed form (NFC: an "é" is one character, however a file system or
an editor spells it), without spaces around it. It is a plain file name: no slash, no backslash, no
control character; it does not begin with a point, whose files are hidden, and it has room for an
ending in a file system's 255 bytes.
"""

import unicodedata
from pathlib import Path

from wood.runtime.errors import InputError
from wood.runtime.sentences import harmful, quoted

MAX_BYTES = 200
SEPARATORS = frozenset("/\\")
RESERVED = frozenset({"__metadata__"})  # a name that safetensors keeps for itself

# The same rule for the readers of millions of rows, who look closer at what does not match. Ids of
# Open Images are 16 hexadecimal digits.
SURELY_SAFE = r"^[0-9A-Za-z_-][0-9A-Za-z_.-]{0,60}$"


def as_image_id(text: str, where: str) -> str:
    """Return the id that `text` stands for: composed, without spaces around it.

    Args:
        text: as it stands in a file.
        where: the file and row, with which the sentence begins.

    Raises:
        InputError: it is no id (see the rule above).
    """
    name = unicodedata.normalize("NFC", text).strip()
    wrong = _what_is_wrong(name)
    if wrong:
        raise InputError(f"{where}: the image id {quoted(text)} {wrong}.")
    return name


def file_id(path: str | Path) -> str:
    """Return the id of the image in a file: its name without the ending, composed."""
    return unicodedata.normalize("NFC", Path(path).stem)


def file_of(folder: str | Path, image_id: str, suffix: str) -> Path:
    """Return the path of an image's file in a folder, whichever way the file system spells it."""
    composed = Path(folder) / f"{image_id}{suffix}"
    if image_id.isascii() or composed.exists():
        return composed
    decomposed = Path(folder) / f"{unicodedata.normalize('NFD', image_id)}{suffix}"
    return decomposed if decomposed.exists() else composed


def _what_is_wrong(name: str) -> str | None:
    if not name:
        return "is empty"
    if SEPARATORS.intersection(name):
        return "is not a plain file name"
    if name.startswith("."):
        return "begins with a point, so that its files would be hidden"
    if "\ufffd" in name:
        return "is not a plain file name: it is not all UTF-8"
    if any(map(harmful, name)):
        return "is not a plain file name: it holds a control character"
    if len(name.encode()) > MAX_BYTES:
        return f"is longer than {MAX_BYTES} bytes"
    if name in RESERVED:
        return "is a name of the file format's own"
    return None
