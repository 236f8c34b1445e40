"""Broken inputs of every kind that is read, made by a seed: `cases(folder, seed)` yields them."""

import base64
import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from wood.data.archives import unpack
from wood.data.images import load_image
from wood.data.labels import read_labels
from wood.data.lists import read_image_list
from wood.data.masks import load_target, save_mask
from wood.data.prepare import prepare_csv
from wood.data.voc import annotated_classes, read_ids
from wood.maps import read_maps
from wood.models.weights import read_state
from wood.ood.decisions import read_decisions
from wood.ood.hard_ood import read_truth
from wood.ood.labels_map import read_class_map, read_hierarchy, read_label_names
from wood.ood.metadata import read_metadata
from wood.runtime.store import load_tensors, read_json, read_table, save_tensors

Reader = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """A broken file, what reads it, and whether it may turn out readable (a flipped bit)."""

    name: str
    path: Path
    read: Reader
    may_be_readable: bool = False


class Maker:
    """Writes files into one folder, each with a name of its own."""

    def __init__(self, folder: Path, seed: int):
        self.folder = folder
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def write(self, content: bytes | str, suffix: str) -> Path:
        self.count += 1
        path = self.folder / f"broken-{self.count:03d}{suffix}"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def case(self, name: str, content: bytes | str, suffix: str, read: Reader, may=False) -> Case:
        return Case(name, self.write(content, suffix), read, may)

    def damaged(
        self, kind: str, whole: bytes, suffix: str, read: Reader, cuts: int = 5, flips: int = 5
    ) -> Iterator[Case]:
        """Truncations, flipped bits, and what is no such file at all."""
        for _ in range(cuts):
            end = int(self.rng.integers(1, max(2, len(whole) * 9 // 10)))
            yield self.case(f"{kind}: cut at {end}", whole[:end], suffix, read, may=True)
        for _ in range(flips):
            content = bytearray(whole)
            for place in self.rng.integers(0, len(whole), 4):
                content[place] ^= 1 << int(self.rng.integers(8))
            yield self.case(f"{kind}: flipped bits", bytes(content), suffix, read, may=True)
        yield self.case(f"{kind}: zero bytes", b"", suffix, read)
        yield self.case(f"{kind}: noise", self.rng.bytes(300), suffix, read)
        yield self.case(f"{kind}: zeros", bytes(500), suffix, read)


def cases(folder: Path, seed: int) -> Iterator[Case]:
    """Yield at least 200 broken files below `folder`."""
    maker = Maker(folder, seed)
    for make in (_images, _masks, _annotations, _lists, _labels, _tables, _texts, _weights,
                 _archives):  # fmt: skip
        yield from make(maker)


def _picture(maker: Maker, format: str, mode: str = "RGB", **options) -> bytes:
    shape = (24, 32, 3) if mode == "RGB" else (24, 32)
    image = Image.fromarray(maker.rng.integers(0, 256, shape, dtype=np.uint8))
    buffer = io.BytesIO()
    image.convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(
        ">I", zlib.crc32(kind + content)
    )  # fmt: skip


def _png(width: int, height: int, content: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", header), _chunk(b"IDAT", content),
         _chunk(b"IEND", b"")]
    )  # fmt: skip


def _images(maker: Maker) -> Iterator[Case]:
    for format, suffix in (("JPEG", ".jpg"), ("PNG", ".png")):
        yield from maker.damaged(format, _picture(maker, format), suffix, load_image, 8, 10)
        yield maker.case(f"text as {format}", "no image", suffix, load_image)
        yield maker.case(f"PostScript as {format}", "%!PS-Adobe-3.0 EPSF-3.0\n", suffix, load_image)
    yield maker.case("PNG of 10^10 pixels", _png(100_000, 100_000, b""), ".png", load_image)
    bomb = zlib.compress(bytes(20_000_000), 9)
    yield maker.case("PNG with too little inside", _png(8_000, 8_000, b""), ".png", load_image)
    yield maker.case("PNG with a bomb inside", _png(4, 4, bomb), ".png", load_image, True)
    yield maker.case("PNG without pixels", _png(0, 0, b""), ".png", load_image)
    yield maker.case("CMYK", _picture(maker, "JPEG", "CMYK"), ".jpg", load_image, True)
    yield maker.case("16 bits", _picture(maker, "PNG", "I;16"), ".png", load_image, True)
    other = Image.new("RGB", (32, 24))
    animated = _picture(maker, "GIF", "P", save_all=True, append_images=[other])
    yield maker.case("animated", animated, ".gif", load_image, True)
    yield maker.case("animation cut short", animated[:200], ".gif", load_image, True)


def _masks(maker: Maker) -> Iterator[Case]:
    path = maker.folder / "mask.png"
    save_mask(path, np.full((24, 32), 1))

    def read(path: Path) -> object:
        return load_target(path, ["cat"], (24, 32), ["cat", "dog"])

    yield from maker.damaged("mask", path.read_bytes(), ".png", read, 3, 6)
    for mode in ("RGB", "I;16", "1", "LA"):
        yield maker.case(f"mask in {mode}", _picture(maker, "PNG", mode), ".png", read)
    save_mask(path, np.full((24, 32), 7))
    yield maker.case("mask with an unknown class", path.read_bytes(), ".png", read)
    save_mask(path, np.full((9, 9), 1))
    yield maker.case("mask of another size", path.read_bytes(), ".png", read)
    yield maker.case("JPEG as mask", _picture(maker, "JPEG", "L"), ".png", read)


def _annotations(maker: Maker) -> Iterator[Case]:
    whole = "<annotation><object><name>cat</name></object></annotation>"
    yield from maker.damaged("XML", whole.encode(), ".xml", annotated_classes, 5, 6)
    entities = "".join(
        f'<!ENTITY e{number} "{f"&e{number - 1};" * 10 if number else "ha"}">'
        for number in range(12)
    )
    name = "<annotation><object><name>&{};</name></object></annotation>"
    texts = {
        "entity bomb": f"<!DOCTYPE a [{entities}]>" + name.format("e11"),
        "entity of a file": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
        + name.format("x"),
        "outer document type": '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><annotation/>',
        "unknown entity": name.format("x"),
        "another root": "<html></html>",
        "no name": "<annotation><object></object></annotation>",
        "unknown encoding": '<?xml version="1.0" encoding="klingon"?><annotation/>',
        "open elements": "<annotation>" * 2000,
        "deep nesting": "<annotation>" + "<a>" * 50_000 + "</a>" * 50_000 + "</annotatio>",
    }
    for kind, text in texts.items():
        yield maker.case(kind, text, ".xml", annotated_classes)


def _lists(maker: Maker) -> Iterator[Case]:
    whole = b"image_id,path\na,a.jpg\nb,b.jpg\n"
    yield from maker.damaged("image list", whole, ".csv", read_image_list, 4, 4)
    for text in ("image_id\na\n", "image_id,path\n", "path,image_id,x\n", 'image_id,path\n"a,b\n',
                 "image_id,path\na,a.jpg\na,b.jpg\n", "image_id,path\na,b,c,d\n"):  # fmt: skip
        yield maker.case("image list", text, ".csv", read_image_list)
    yield maker.case(
        "image list in Latin-1", b"image_id,path\n\xe9,\xe9\n", ".csv", read_image_list
    )
    for text in ("", "\n\n", "a\nb\na\n", "/JPEGImages/a.jpg x\na\n"):
        yield maker.case("image set", text, ".txt", read_ids)
    yield maker.case("image set in Latin-1", b"\xe9\n", ".txt", read_ids)


def _labels(maker: Maker) -> Iterator[Case]:
    photographs = maker.folder / "photographs"
    photographs.mkdir()
    for name in ("a", "b"):
        (photographs / f"{name}.jpg").write_bytes(_picture(maker, "JPEG"))

    def read(path: Path) -> object:
        return prepare_csv(
            path,
            photographs,
            classes=["cat", "dog"],
            output_list=maker.folder / "made.csv",
            output_labels=maker.folder / "made.parquet",
        )

    head = "image_id,cat,dog\n"
    for text in (
        "", head, "image_id,cat\na,1\n", head + "a,1,0\na,0,1\n", head + "a,2,0\nb,0,1\n",
        head + "a,yes,0\nb,0,1\n", head + ",1,0\n", head + "../a,1,0\n", head + "/etc/a,1,0\n",
        head + "c,1,0\n", head + "a,1,0\n", head + "a,,\nb,0,1\n", head + "a,nan,inf\nb,1,1\n",
        head + "a,1\nb,0,1,1,1\n", "image_id,cat,cat\na,1,1\n", head + 'a,"1,0\n',
        head + "a\0,1,0\n", head + "a,0,0\nb,0,0\n",
    ):  # fmt: skip
        yield maker.case(f"labels {text[:30]!r}", text, ".csv", read)
    yield maker.case("labels in Latin-1", head.encode() + b"\xe9,1,0\n", ".csv", read)


def _tables(maker: Maker) -> Iterator[Case]:
    path = maker.folder / "table.parquet"
    pd.DataFrame({"image_id": ["a", "b"], "cat": [True, False]}).to_parquet(path)
    yield from maker.damaged("Parquet", path.read_bytes(), ".parquet", read_labels, 6, 6)
    pd.DataFrame({"name": ["a"]}).to_parquet(path)
    yield maker.case("Parquet without ids", path.read_bytes(), ".parquet", read_labels)
    yield maker.case(
        "Parquet without a column", path.read_bytes(), ".parquet",
        lambda path: read_table(path, columns=["cat"]),
    )  # fmt: skip
    yield maker.case("CSV as Parquet", "image_id,cat\na,1\n", ".parquet", read_labels)


def _texts(maker: Maker) -> Iterator[Case]:
    for text in ("", "{", '{"a": 1,}', "[1", "\ufeff", "{'a': 1}", '"\ud7ff'):
        yield maker.case("JSON", text, ".json", read_json)
    yield maker.case("JSON in UTF-16", "{}".encode("utf-16"), ".json", read_json)
    for text in ("", "[]", "3", '{"Subcategory": []}', '{"LabelName": 3}'):
        yield maker.case(f"hierarchy {text}", text, ".json", read_hierarchy)
    for text in ("", "[]", "{}", '{"files": 3}'):
        yield maker.case(f"metadata {text}", text, ".json", read_metadata)
    for text in ("", "a\n", "a,b,c\n", "/m/1,Cat\n/m/1,Dog\n"):
        yield maker.case(f"label names {text!r}", text, ".csv", read_label_names)
    for text in (
        "", "- cat", "cat: [", "cat: 3", "3", "cat: {labels: 3}", "cat: {unknown: [Cat]}",
        "cat: !!python/object/apply:os.system ['touch unpickled']", "cat: &a [*a]", "\tcat: x",
    ):  # fmt: skip
        yield maker.case(f"class map {text!r}", text, ".yaml", read_class_map)
    head = "image_id,decision,class,reviewer,time\n"
    for text in ("a,b\n1,2\n", head + "a,maybe,,r,2026-01-01T00:00:00Z\n", head + ",accept,,r,x\n"):
        yield maker.case(f"decisions {text!r}", text, ".csv", read_decisions)
    for text in ("", "image_id\na\n", "name,class\na,b\n"):
        yield maker.case(f"truth {text!r}", text, ".csv", read_truth)


class _Payload:
    """What runs a command when it is unpickled."""

    def __reduce__(self):
        import os

        return os.system, ("touch unpickled",)


def _weights(maker: Maker) -> Iterator[Case]:
    path = maker.folder / "whole.safetensors"
    save_tensors(path, {"a": torch.arange(30.0), "b": torch.zeros(2, 3)}, {"x": 1})
    whole = path.read_bytes()
    yield from maker.damaged("safetensors", whole, ".safetensors", load_tensors, 6, 8)
    yield from maker.damaged("maps", whole, ".safetensors", read_maps, 2, 2)
    yield maker.case("maps that are others", whole, ".safetensors", read_maps)
    for length in (1 << 60, len(whole), 7):
        content = struct.pack("<Q", length) + whole[8:]
        yield maker.case("header's length", content, ".safetensors", load_tensors)
    lie = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}).encode()
    content = struct.pack("<Q", len(lie)) + lie + bytes(4)
    yield maker.case("a shape that lies", content, ".safetensors", load_tensors)
    save_tensors(path, {"a": torch.tensor([float("nan")])})
    yield maker.case("NaN", path.read_bytes(), ".safetensors", read_state)
    payload = pickle.dumps(_Payload())
    for suffix, read in ((".pth", read_state), (".safetensors", load_tensors), (".pt", read_state)):
        yield maker.case("pickle that runs a command", payload, suffix, read)
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, buffer)
    yield from maker.damaged("checkpoint", buffer.getvalue(), ".pth", read_state, 4, 4)
    for value in ({"a": 1}, [torch.zeros(2)], {"a": torch.tensor(float("inf"))}, _Payload()):
        buffer = io.BytesIO()
        torch.save(value, buffer)
        yield maker.case("checkpoint of others", buffer.getvalue(), ".pth", read_state)
    content = base64.b64decode("EgEAAAAAAAAAAAAAAAAAAAEAAAAAAAAA") + bytes(10)
    yield from maker.damaged("MXNet", content, ".params", read_state, 2, 2)


def _tar(*members: tarfile.TarInfo, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        for member in members:
            file.addfile(member, io.BytesIO(bytes(member.size)))
    return buffer.getvalue()


def _member(
    name: str, size: int = 3, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname = size, kind, link
    return member


def _zip(name: str, content: bytes = b"abc", attributes: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = attributes
        file.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _archives(maker: Maker) -> Iterator[Case]:
    def read(path: Path) -> object:
        return unpack(path, maker.folder / f"unpacked-{path.stem}", max_bytes=1_000_000)

    yield from maker.damaged("tar", _tar(_member("a", 5000)), ".tar", read, 3, 3)
    yield from maker.damaged("tar.gz", _tar(_member("a"), mode="w:gz"), ".tar.gz", read, 3, 4)
    yield from maker.damaged("zip", _zip("a.txt", bytes(900)), ".zip", read, 3, 4)
    for name in ("../outside", "/tmp/wood-outside", "a/../../outside", "a\\..\\outside"):
        yield maker.case(f"tar with {name}", _tar(_member(name)), ".tar", read)
        yield maker.case(f"zip with {name}", _zip(name), ".zip", read)
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        for link in ("/etc/passwd", "../outside", "nothing"):
            member = _member("a", 0, kind, link)
            yield maker.case(f"tar with a link to {link}", _tar(member), ".tar", read)
    for kind in (tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE):
        yield maker.case("tar with a device", _tar(_member("a", 0, kind)), ".tar", read)
    yield maker.case("zip with a link", _zip("a", b"/etc/passwd", 0o120777 << 16), ".zip", read)
    yield maker.case("zip bomb", _zip("a", bytes(50_000_000)), ".zip", read)
    bomb = _tar(_member("a", 50_000_000), mode="w:gz")
    yield maker.case("tar bomb", bomb, ".tar.gz", read)
