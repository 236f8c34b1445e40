"""Sentences for a reader: of one line, without control characters, and not longer than a screen."""

import unicodedata
from collections.abc import Iterable

LONGEST = 1000  # characters of a sentence
LONGEST_NAME = 80  # characters of a name or a cell in it

# What changes the direction of the text around it.
BIDIRECTIONAL = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def harmful(character: str) -> bool:
    """Tell whether a character moves a cursor, ends a line or turns the text, or is half a one."""
    category = unicodedata.category(character)
    return category in ("Cc", "Cs", "Zl", "Zp") or ord(character) in BIDIRECTIONAL


def printable(text: str, longest: int = LONGEST) -> str:
    """Return `text` as one line: control characters as escapes, a long text without its middle."""
    if len(text) > longest:
        head = longest * 2 // 3
        text = f"{text[:head]} … {text[len(text) - (longest - head) :]}"
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode() if harmful(character) else character
        for character in text
    )


def quoted(value: object, longest: int = LONGEST_NAME) -> str:
    """Return a name or a cell as it stands in a sentence: in quotes, printable, cut if long."""
    text = str(value)
    if len(text) > longest:
        text = f"{text[:longest]}…"
    return repr(printable(text)).replace("\\\\", "\\")


def listed(names: Iterable[object], most: int = 10) -> str:
    """Return names with commas between; of many, the first `most` and how many more there are."""
    every = list(names)
    shown = ", ".join(printable(str(name), LONGEST_NAME) for name in every[:most])
    return shown + (f" and {len(every) - most} more" if len(every) > most else "")


def reason(error: BaseException) -> str:
    """Return what a library's error says: its first line, without the name of its class."""
    lines = str(error).strip().splitlines()
    return printable(lines[0].rstrip(".:"), 300) if lines else "no reason was given"
