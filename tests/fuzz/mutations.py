"""What is done to a whole input: to its bytes, and to what they say.

A change of what a file says (a cell, a value of a tree, the content of an archive's member) keeps
what stands around it valid: lengths, checksums, brackets. It reaches further than flipped bits.
"""

import io
import json
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pandas as pd
import yaml

Mutate = Callable[[random.Random, bytes], bytes]

WORDS = [
    *["", " ", "0", "-0", "-1", "1", "7", "1e9", "1e400", "nan", "inf", "-inf", "true", "null"],
    *["~", "99999999999999999999", "0x10", "1_000", "½", "²", "a", "cat", "猫", "Zoe\u0308", "Zoë"],
    *["../x", "/etc/passwd", "a/b", "a\\b", ".", "..", ".a", "a.jpg", "C:\\x", "a\0b", "\0"],
    *["\x1b[2J", "\u202e", "\ufeff", "\ufffd", "\u2028", "\u00a0", "\x85", "\x0b", "\x1c"],
    *['"', '""', "'", "=1+1", "-x", "@x", "\t", "\r", "\n", "\r\n", ",", ";", ",,,", "#", "%", "?"],
    *["image_id", "class", "accept", "undo", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"],
    *["{", "}", "[", "]", ":", "- ", "&a", "*a", "<<: *a", "!!python/object:os.system", "{a: [b]}"],
    *["x" * 300, "é" * 300, "9" * 5000, "[" * 3000, "x" * 200_000],
]  # fmt: skip
VALUES = [
    *[None, True, False, 0, 1, -1, 7, 0.5, -0.0, 10**30, -(10**30), 1e300, "", "x", "cat", "../x"],
    *["a\0b", "\ud800", "猫", [], {}, [[]], [None], [1], ["a"], {"a": 1}, {"": []}],
    *[{"1": {"2": 3}}],
    *["nan", "1", "x" * 5000, list(range(300)), [[[[[[[[1]]]]]]]], float("nan"), float("inf")],
]  # fmt: skip
NUMBERS = [0, 1, 2, 4, 7, 8, 16, 127, 128, 255, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 31]
NUMBERS += [(1 << 32) - 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]


def some_bytes(rng: random.Random, whole: bytes) -> bytes:
    """Flip, cut, repeat, remove and insert bytes."""
    content = bytearray(whole)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place = rng.randrange(len(content) + 1)
        length = min(rng.choice([1, 1, 2, 4, 8, 64, 1024]), max(len(content) - place, 1))
        match rng.randrange(7):
            case 0 | 1 if place < len(content):
                content[place] ^= 1 << rng.randrange(8)
            case 2:
                content[place : place + length] = rng.randbytes(length)
            case 3:
                del content[place : place + length]
            case 4:
                content[place:place] = content[place : place + length] * rng.choice([1, 2, 9])
            case 5:
                size = rng.choice([1, 2, 4, 8])
                number = rng.choice(NUMBERS) % (1 << 8 * size)
                content[place : place + size] = number.to_bytes(size, rng.choice(["little", "big"]))
            case 6:
                if rng.random() < 0.3:
                    del content[place:]
                else:
                    word = rng.choice(WORDS).encode("utf-8", "surrogatepass")
                    content[place:place] = word
    return bytes(content)


def some_lines(rng: random.Random, whole: bytes) -> bytes:
    """Change cells, lines and columns of a text, its line ends, its separators, its encoding."""
    lines = whole.decode("utf-8", "replace").split("\n")
    for _ in range(rng.choice([1, 1, 2, 5])):
        place = rng.randrange(len(lines))
        cells = lines[place].split(",")
        cell = rng.randrange(len(cells))
        match rng.randrange(8):
            case 0 | 1:
                cells[cell] = rng.choice(WORDS)
            case 2:
                cells[cell] += rng.choice(WORDS)
            case 3:
                cells[cell] = '"' + cells[cell].replace('"', '""') + '"'
            case 4:
                cells.insert(cell, cells[rng.randrange(len(cells))])
            case 5:
                del cells[cell]
            case 6:
                lines.insert(rng.randrange(len(lines) + 1), rng.choice([*lines, "", " "]))
            case 7:
                first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
                lines[first], lines[second] = lines[second], lines[first]
        if len(cells) != 1 or place < len(lines):
            lines[place] = ",".join(cells)
    text = rng.choice(["\n", "\n", "\n", "\r", "\r\n", "\n\n"]).join(lines)
    if rng.random() < 0.1:
        text = text.replace(",", rng.choice([";", "\t", " , ", ",,"]))
    if rng.random() < 0.1:
        text = rng.choice(["\ufeff", "\n", " "]) + text
    encoding = rng.choice(["utf-8"] * 12 + ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
    return text.encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")


def changed(rng: random.Random, tree: Any) -> Any:
    """Return a tree of values with one of them, at any depth, another, left out or repeated."""
    if isinstance(tree, dict) and tree and rng.random() < 0.9:
        key = rng.choice(sorted(tree, key=str))
        match rng.randrange(8):
            case 0:
                return {name: value for name, value in tree.items() if name != key}
            case 1:
                return tree | {rng.choice(WORDS): tree[key]}
        return tree | {key: changed(rng, tree[key])}
    if isinstance(tree, list) and tree and rng.random() < 0.9:
        place = rng.randrange(len(tree))
        match rng.randrange(8):
            case 0:
                return tree[:place] + tree[place + 1 :]
            case 1:
                return [*tree, tree[place]]
        return [*tree[:place], changed(rng, tree[place]), *tree[place + 1 :]]
    if isinstance(tree, int) and rng.random() < 0.5:
        return rng.choice([*NUMBERS, tree + 1, tree - 1, -tree])
    return rng.choice(VALUES if rng.random() < 0.8 else WORDS)


def json_values(rng: random.Random, whole: bytes) -> bytes:
    text = json.dumps(changed(rng, json.loads(whole)))
    if rng.random() < 0.05:  # a key twice
        text = text.replace('": ', '": 1, "a": 2, "a": ', 1)
    return text.encode("utf-8", "surrogatepass")


def yaml_values(rng: random.Random, whole: bytes) -> bytes:
    return yaml.safe_dump(changed(rng, yaml.safe_load(whole)), allow_unicode=True).encode(
        "utf-8", "replace"
    )


def safetensors_header(rng: random.Random, whole: bytes) -> bytes:
    """Change the header, or the values of our own metadata in it."""
    (length,) = struct.unpack_from("<Q", whole)
    header = json.loads(whole[8 : 8 + length])
    own = header.get("__metadata__", {})
    if "wood" in own and rng.random() < 0.7:
        own["wood"] = json.dumps(changed(rng, json.loads(own["wood"])))
    else:
        header = changed(rng, header)
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + whole[8 + length :]


def parquet_values(rng: random.Random, whole: bytes) -> bytes:
    """Give a column other values, types or names; whole as Parquet."""
    table = pd.read_parquet(io.BytesIO(whole))
    name = rng.choice(list(table.columns))
    match rng.randrange(6):
        case 0:
            table = table.drop(columns=name)
        case 1:
            table = table.rename(columns={name: rng.choice([*WORDS[:40], *table.columns])})
        case 2:
            values = list(table[name])
            values[rng.randrange(len(values))] = rng.choice([None, *values])
            table[name] = values
        case 3:
            table[name] = [rng.choice(WORDS) for _ in range(len(table))]
        case 4:
            table[name] = rng.choice([1, 1.5, float("nan"), True, b"x", pd.Timestamp(0), None])
        case 5:
            table = pd.concat([table, table.head(rng.randrange(3))])
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except (ValueError, TypeError):  # a table that Parquet does not hold
        return some_bytes(rng, whole)
    return buffer.getvalue()


def zip_members(rng: random.Random, whole: bytes) -> bytes:
    """Change a member's content or name; the archive around it stays whole."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(buffer, "w") as new:
        members = old.infolist()
        chosen = rng.choice(members)
        for member in members:
            content, name = old.read(member), member.filename
            if member is chosen and rng.random() < 0.8:
                content = some_bytes(rng, content)
            elif member is chosen:
                name = rng.choice(WORDS).replace("\0", "") or "x"
            entry = zipfile.ZipInfo(name[:60_000])
            entry.external_attr = rng.choice([0, 0, 0, 0o120777 << 16, 0o40755 << 16])
            new.writestr(entry, content, rng.choice([0, 0, 0, 8]))
            if rng.random() < 0.03:
                new.writestr(entry, content)
    return buffer.getvalue()


def tar_headers(rng: random.Random, whole: bytes) -> bytes:
    """Change bytes of a header, or add a member of any kind; checksums are right."""
    content = bytearray(whole)
    if rng.random() < 0.5:
        member = tarfile.TarInfo(rng.choice(WORDS)[:99].replace("\0", "") or "x")
        member.type = rng.choice([b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"L", b"K", b"x", b"S"])
        member.linkname = rng.choice(WORDS)[:99].replace("\0", "")
        member.size = rng.choice([0, 0, 3, 512, 10_000_000_000])
        header = member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        return header + rng.randbytes(min(member.size, 512)).ljust(512, b"\0") + bytes(content)
    for _ in range(rng.choice([1, 3])):
        content[rng.randrange(min(512, len(content)))] = rng.choice(b"\0 0127ax/.\xff\x80")
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content[:512])
    return bytes(content)


def png_chunks(rng: random.Random, whole: bytes) -> bytes:
    """Change, repeat or leave out chunks; lengths and checksums are right."""
    chunks, place = [], 8
    while place + 8 <= len(whole):
        (length,) = struct.unpack_from(">I", whole, place)
        chunks.append((whole[place + 4 : place + 8], whole[place + 8 : place + 8 + length]))
        place += 12 + length
    number = rng.randrange(len(chunks))
    kind, content = chunks[number]
    match rng.randrange(4):
        case 0:
            chunks.insert(number, (kind, content))
        case 1:
            del chunks[number]
        case _:
            if kind == b"IDAT" and rng.random() < 0.5:
                content = zlib.compress(some_bytes(rng, zlib.decompress(content)))
            else:
                content = some_bytes(rng, content)[:100_000]
            chunks[number] = (kind, content)
    parts = [whole[:8]]
    for kind, content in chunks:
        checksum = zlib.crc32(kind + content)
        parts.append(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum))
    return b"".join(parts)


def http_headers(rng: random.Random, whole: bytes) -> bytes:
    """Change words of the head of an answer; its body stays."""
    head, _, body = whole.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    for _ in range(rng.choice([1, 1, 2, 3])):
        place = rng.randrange(len(lines))
        name, colon, value = lines[place].partition(": ")
        match rng.randrange(4):
            case 0:
                lines[place] = f"{name}{colon}{rng.choice(WORDS)}"
            case 1:
                lines.append(f"{name}{colon}{value}")
            case 2 if place:
                del lines[place]
            case _:
                extra = ["Content-Encoding: gzip", "Content-Range: bytes 0-9/10", "Location: /file",
                         "Transfer-Encoding: chunked", "Retry-After: 0", "ETag: \"x\"",
                         "Location: http://[::1", "Location: file:///etc/passwd",
                         "Content-Length: 5", "Set-Cookie: a=b; Domain=."]  # fmt: skip
                lines.append(rng.choice(extra))
        if not lines:
            break
    text = "\r\n".join(lines).encode("latin-1", "replace")[:70_000]
    return text + b"\r\n\r\n" + body
