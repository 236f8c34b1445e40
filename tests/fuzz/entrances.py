"""Every entrance of the project: what reads a file that may be anything, and whole files for it."""

import io
import json
import pickle
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch
import yaml
from PIL import Image

from tests.fuzz import mutations as m
from tests.places import ROOT
from tests.server import Server, raw
from tests.unit.broken import _member, _tar, _zip
from tests.unit.openimages import Mirror
from wood.data.archives import unpack
from wood.data.coco import coco_image, merge_documents
from wood.data.image_ids import as_image_id
from wood.data.images import load_image
from wood.data.labels import read_labels
from wood.data.lists import read_image_list
from wood.data.masks import load_target, save_mask
from wood.data.prepare import prepare_csv
from wood.data.voc import annotated_classes, read_ids
from wood.maps import LocalizationMaps, read_maps, write_maps
from wood.models.classifiers import build_classifier, load_classifier, save_classifier
from wood.models.weights import read_state
from wood.ood.candidates import filter_candidates
from wood.ood.decisions import Decision, append_decisions, read_decisions
from wood.ood.features import read_features
from wood.ood.hard_ood import from_list, read_truth
from wood.ood.labels_map import (
    foreground_labels,
    read_class_map,
    read_hierarchy,
    read_label_names,
)
from wood.ood.metadata import fetch_metadata, read_metadata
from wood.ood.parquet import read_shard
from wood.ood.ranking import rank
from wood.report.embedding import read_epochs
from wood.report.figures import read_log
from wood.report.scores import Scores
from wood.runtime.download import bounded, fetch
from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors, read_json, save_tensors
from wood.scoring.per_image import read_counts
from wood.scoring.thresholds import threshold_value
from wood.workflow import resolve as settings
from wood.workflow.checks import check
from wood.workflow.grids import expanded
from wood.workflow.overlays import read_overlay

QUICK = {"timeout": 0.3, "retries": 1, "backoff": 0.01, "max_bytes": 200_000, "max_seconds": 5}
CLASSES = ["cat", "dog"]
BUCKET = {
    "human labels": "v5/validation-annotations-human-imagelabels.csv",
    "machine labels": "v5/validation-annotations-machine-imagelabels.csv",
    "image list": "2018_04/validation/validation-images-with-rotation.csv",
    "label names": "v6/oidv6-class-descriptions.csv",
    "hierarchy": "2018_04/bbox_labels_600_hierarchy.json",
}


@dataclass(frozen=True)
class Entrance:
    """What reads a file; `whole` are files that it takes, `ways` how they are changed."""

    name: str
    file: str
    read: Callable[[Path], object]
    whole: list[bytes]
    ways: tuple[m.Mutate, ...] = (m.some_bytes,)
    also: list[bytes] = field(default_factory=list)


TEXT = (m.some_bytes, m.some_lines, m.some_lines)
JSON = (m.some_bytes, m.json_values, m.json_values, m.json_values)
TENSORS = (m.some_bytes, m.safetensors_header, m.safetensors_header)
PARQUET = (m.some_bytes, m.parquet_values)


def entrances(folder: Path) -> Iterator[Entrance]:
    """Yield the entrances; what they need and write beside the file lies in `folder`."""
    for make in (
        _texts,
        _settings,
        _open_images,
        _json,
        _tensors,
        _tables,
        _images,
        _weights,
        _archives,
        _http,
    ):
        yield from make(folder)


def _picture(format: str = "JPEG", mode: str = "RGB", size: tuple[int, int] = (32, 24)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, format)
    return buffer.getvalue()


def _texts(folder: Path) -> Iterator[Entrance]:
    photographs = folder / "photographs"
    photographs.mkdir(exist_ok=True)
    for name in ("a", "b"):
        (photographs / f"{name}.jpg").write_bytes(_picture())

    def ids(path: Path) -> None:
        for name in read_ids(path):
            assert as_image_id(name, "again") == name, f"the id {name!r} is none"

    def labels(path: Path) -> None:
        prepare_csv(
            path,
            photographs,
            classes=CLASSES,
            output_list=folder / "made.csv",
            output_labels=folder / "made.parquet",
        )

    def decisions(path: Path) -> None:
        before = path.read_bytes()
        with suppress(InputError):
            read_decisions(path)
        aside = path.with_name(f"{path.name}.set-aside")
        aside.unlink(missing_ok=True)
        try:
            append_decisions(path, [Decision("z", "accept", "cat", "r", "2026-01-01T00:00:00Z")])
        except InputError:
            assert path.read_bytes() == before, "a refused file has changed"
            raise
        kept = aside.read_bytes() if aside.exists() else b""
        header = b"image_id,decision,class,reviewer,found,screen,look,time\n"
        whole = path.read_bytes().startswith(before[: len(before) - max(len(kept) - 1, 0)])
        assert whole or header.startswith(before), "bytes of a person are lost"

    head = b"image_id,decision,class,reviewer,time\n"
    rows = b"a,accept,cat,ann,2026-01-01T00:00:00Z\nb,reject,,ann,2026-01-01T00:00:05Z\n"
    found = b"image_id,path,class\na,a.jpg,cat\nb,b.jpg,dog\n"
    counts = (
        b"image_id,step,class,intersection,target,predicted\na,seed,cat,1,2,3\nb,seed,cat,0,1,1\n"
    )
    yield Entrance(
        "image set", "set.txt", ids, [b"a\nb\nc\n", b"/JPEGImages/a.jpg /x/a.png\n"], TEXT
    )
    yield Entrance(
        "list of OoD images",
        "ood_list.txt",
        lambda path: from_list(path, photographs, folder / "hard.csv"),
        [b"a.jpg\nb\n"],
        TEXT,
    )
    yield Entrance(
        "table of OoD images",
        "ood.csv",
        lambda path: from_list(path, photographs, folder / "hard.csv"),
        [found],
        TEXT,
    )
    yield Entrance(
        "labels of images",
        "labels.csv",
        labels,
        [b"image_id,cat,dog\na,1,0\nb,0,1\n", b"image_id;cat;dog\na;1;\nb;;1\n"],
        TEXT,
    )
    yield Entrance("image list", "list.csv", read_image_list, [found], TEXT)
    yield Entrance("truth of the demo", "truth.csv", read_truth, [found], TEXT)
    yield Entrance("decisions", "decisions.csv", decisions, [head, head + rows], TEXT)
    yield Entrance(
        "pixel counts",
        "s.csv",
        lambda path: read_counts(path.with_suffix(".json"), "seed"),
        [counts],
        TEXT,
    )
    named = b"<object><name>%s</name></object>"
    voc = b"<annotation>" + named % b"cat" + named % b"dog" + b"</annotation>"
    yield Entrance("annotation", "a.xml", annotated_classes, [voc])


def _settings(folder: Path) -> Iterator[Entrance]:
    base = yaml.safe_load((ROOT / "config.yaml").read_text())

    def overlay(path: Path) -> None:
        config = settings.merge(base, read_overlay(path))
        check(config)
        expanded(config)

    names = read_label_names(_mirror(folder) / BUCKET["label names"])
    hierarchy = read_hierarchy(_mirror(folder) / BUCKET["hierarchy"])

    def classes(path: Path) -> None:
        chosen = read_class_map(path)
        foreground_labels(list(chosen), names, hierarchy, path)

    overlays = [path.read_bytes() for path in sorted((ROOT / "configs").rglob("*.yaml"))[:6]]
    overlays.append((ROOT / "config.yaml").read_bytes())
    own = b"cat: [Cat]\ndog: {labels: [Dog], finer: [Cat], prefixes: [Do], except: [Cat]}\n"
    ways = (m.some_bytes, m.yaml_values, m.yaml_values, m.some_lines)
    yield Entrance("configuration", "overlay.yaml", overlay, overlays, ways)
    yield Entrance("class map", "map.yaml", classes, [own], ways)


def _mirror(folder: Path) -> Path:
    root = folder / "mirror"
    if not root.exists():
        mirror = Mirror(root)
        mirror.add([("Cat", 1)], OriginalURL="http://x/a.jpg", Author="Zoë, 猫")
        mirror.add([("Room", 1), ("Cat", 0)], [("Forest", 0.8)], Rotation="90.0")
        mirror.add([("Room", 1)], [("Cat", 0.9)])
        mirror.write()
    return root


def _open_images(folder: Path) -> Iterator[Entrance]:
    root = _mirror(folder)
    for kind, name in BUCKET.items():

        def collect(path: Path, name: str = name) -> None:
            copy, out = path.parent / "bucket", path.parent / "collected"
            shutil.copytree(root, copy)
            out.mkdir()
            try:
                shutil.copy(path, copy / name)
                index = fetch_metadata(out, base=copy, splits=["validation"])
                filter_candidates(
                    index,
                    out / "c.parquet",
                    out / "why.parquet",
                    classes=["cat"],
                    class_map={"cat": ["Cat"]},
                )
            finally:
                shutil.rmtree(copy)
                shutil.rmtree(out)

        whole = (root / name).read_bytes()
        ways = JSON if name.endswith("json") else TEXT
        yield Entrance(f"Open Images: {kind}", Path(name).name, collect, [whole], ways)


def _json(folder: Path) -> Iterator[Entrance]:
    index = json.dumps(
        fetch_metadata(folder / "index", base=_mirror(folder), splits=["validation"])
    )
    half = {"images": 1, "miou": 0.5, "per_class": {"cat": {"iou": 0.5}}}
    score = {
        "configured": half,
        "oracle": {"threshold": 0.2, "summary": half},
        "threshold": 0.3,
        "curve": [{"threshold": 0.1, **half}],
        "halves": {"A": half},
        "split": "train",
    }
    values = [b'{"a": [1, 2.5, "x", null, true], "b": {"c": {}}}', b"[]", b"3"]
    yield Entrance("JSON", "v.json", read_json, values, JSON)
    yield Entrance("index of metadata", "metadata.json", read_metadata, [index.encode()], JSON)

    def scores(path: Path) -> None:
        run = SimpleNamespace(seed=0, seeds=str(path), pseudo_masks=None, segmentation=None)
        experiment = SimpleNamespace(name="e", family="f", role="wood", runs=[run])
        Scores(SimpleNamespace(experiments=[experiment])).write(folder / "scores.csv")

    objects = coco_image("a.jpg", (4, 6), [(1, 0.5, np.ones((4, 6), bool))])
    instances = json.dumps([objects, objects]).encode()
    log = b'{"iteration": 1, "loss": 0.5}\n{"iteration": 2, "loss": 0.25, "lr": 0.1}\n'
    yield Entrance("scores", "score.json", scores, [json.dumps(score).encode()], JSON)
    yield Entrance(
        "chosen threshold",
        "t.json",
        lambda path: threshold_value(str(path)),
        [b'{"threshold": 0.3, "half": "A", "experiment": "irn"}'],
        JSON,
    )
    yield Entrance(
        "instance masks",
        "i.json",
        lambda path: merge_documents([path], folder / "all.json", class_names=CLASSES),
        [instances],
        JSON,
    )
    yield Entrance("training log", "training.jsonl", read_log, [log], TEXT)


def _tensors(folder: Path) -> Iterator[Entrance]:
    path = folder / "whole.safetensors"
    save_tensors(path, {"a": torch.arange(30.0), "b": torch.zeros(2, 3)}, {"x": 1})
    plain = path.read_bytes()
    size = (24, 32)
    maps = [LocalizationMaps("a", size, torch.tensor([0]), torch.rand(1, 6, 8).half())]
    write_maps(path, maps, class_names=CLASSES, source="s: cam")
    of_maps = path.read_bytes()
    save_tensors(path, {"features": torch.rand(2, 5)}, {"image_ids": ["a", "b"]})
    features = path.read_bytes()
    torch.manual_seed(0)
    names = {"backbone": "resnet18", "output_stride": 16, "class_names": CLASSES}
    save_classifier(path, build_classifier(**names, weights=None), names)
    classifier = path.read_bytes()
    save_tensors(
        path,
        {"epoch-1": torch.rand(8, 3), "epoch-2": torch.rand(8, 3)},
        {
            "classes": CLASSES,
            "images": list("abcdefgh"),
            "class_of": [0, 1] * 4,
            "domain_of": [0] * 4 + [1] * 4,
        },
    )
    epochs = path.read_bytes()
    yield Entrance(
        "classifier", "c.safetensors", load_classifier, [classifier], (m.safetensors_header,)
    )
    yield Entrance(
        "features of epochs",
        "e.safetensors",
        lambda path: read_epochs(str(path)),
        [epochs],
        TENSORS,
    )
    yield Entrance("safetensors", "t.safetensors", load_tensors, [plain, of_maps], TENSORS)
    yield Entrance(
        "localization maps",
        "m.safetensors",
        lambda path: read_maps(path, CLASSES, "s"),
        [of_maps],
        TENSORS,
    )
    yield Entrance(
        "features",
        "f.safetensors",
        lambda path: read_features([path], ["a", "b"]),
        [features],
        TENSORS,
    )


def _parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _tables(folder: Path) -> Iterator[Entrance]:
    labels = _parquet(
        pd.DataFrame({"image_id": ["a", "b"], "cat": [True, False], "dog": [True] * 2})
    )
    scores = _parquet(
        pd.DataFrame(
            {"image_id": ["a", "b"], "split": "v", "class": "cat", "score": [0.9, 0.7], "path": "p"}
        )
    )
    index = fetch_metadata(folder / "index", base=_mirror(folder), splits=["validation"])
    candidates = folder / "candidates.parquet"
    filter_candidates(
        index, candidates, folder / "why.parquet", classes=["cat"], class_map={"cat": ["Cat"]}
    )

    def ranked(path: Path) -> None:
        rank([path], candidates, folder / "r.parquet", folder / "r.csv")

    yield Entrance("labels", "labels.parquet", read_labels, [labels], PARQUET)
    yield Entrance("scores of candidates", "scores.parquet", ranked, [scores], PARQUET)
    yield Entrance(
        "candidates",
        "candidates.parquet",
        lambda path: read_shard(path, 0, 1),
        [candidates.read_bytes()],
        PARQUET,
    )


def _images(folder: Path) -> Iterator[Entrance]:
    def image(path: Path) -> None:
        assert load_image(path).mode == "RGB"

    def mask(path: Path) -> None:
        values = load_target(path, CLASSES, (24, 32), CLASSES)
        assert set(np.unique(values)) <= {0, 1, 2, 255}

    mask_path = folder / "mask.png"
    save_mask(mask_path, np.tile(np.array([0, 1, 2, 255]), (24, 8)))
    grey = io.BytesIO()
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(grey, "PNG")
    png = [_picture("PNG"), _picture("PNG", "P"), _picture("PNG", "L"), _picture("PNG", "RGBA")]
    yield Entrance("JPEG", "a.jpg", image, [_picture(), _picture(mode="CMYK")])
    yield Entrance("PNG", "a.png", image, png, (m.some_bytes, m.png_chunks))
    others = [_picture(kind) for kind in ("GIF", "BMP", "TIFF", "WEBP")]
    yield Entrance("other pictures", "a.jpg", image, others)
    yield Entrance(
        "mask",
        "m.png",
        mask,
        [mask_path.read_bytes(), grey.getvalue()],
        (m.some_bytes, m.png_chunks),
    )


class _Payload:
    """What makes a file when it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


def _weights(folder: Path) -> Iterator[Entrance]:
    buffer = io.BytesIO()
    torch.save({"module.a": torch.rand(3, 4), "b": torch.arange(5)}, buffer)
    legacy = io.BytesIO()
    torch.save({"a": torch.rand(3)}, legacy, _use_new_zipfile_serialization=False)
    path = folder / "w.safetensors"
    save_tensors(path, {"a": torch.rand(3, 4)})
    shape = struct.pack("<IIIiii", 2, 3, 2, 1, 0, 0) + bytes(24)
    new = struct.pack("<IiIqqiii", 0xF993FAC9, 0, 2, 3, 2, 1, 0, 0) + bytes(24)
    names = struct.pack("<Q", 2) + b"".join(
        struct.pack("<Q", 5) + name for name in (b"arg:a", b"arg:b")
    )
    params = struct.pack("<QQQ", 0x112, 0, 2) + shape + new + names

    def state(path: Path) -> None:
        for tensor in read_state(path).values():
            assert isinstance(tensor, torch.Tensor)

    yield Entrance(
        "weights, .pth",
        "w.pth",
        state,
        [buffer.getvalue()],
        (m.some_bytes, m.zip_members),
        [pickle.dumps(_Payload())],
    )
    yield Entrance("weights, old .pth", "o.pth", state, [legacy.getvalue()])
    yield Entrance("weights, .safetensors", "w.safetensors", state, [path.read_bytes()], TENSORS)
    yield Entrance("weights, .params", "w.params", state, [params])


def _archives(folder: Path) -> Iterator[Entrance]:
    def read(path: Path) -> None:
        target = path.parent / "unpacked"
        try:
            unpack(path, target, max_bytes=1_000_000)
        finally:
            shutil.rmtree(target, ignore_errors=True)

    tars = [
        _tar(_member("a/b.txt", 900), _member("a/c", 3)),
        _tar(_member("d", 0, b"5"), _member("d/x")),
    ]
    yield Entrance("tar", "a.tar", read, tars, (m.some_bytes, m.tar_headers))
    packed = [_tar(_member("a", 900), mode=f"w:{kind}") for kind in ("gz", "bz2", "xz")]
    yield Entrance("compressed tar", "a.tar.gz", read, packed)
    zips = [_zip("a/b.txt", bytes(900)), _zip("d/")]
    yield Entrance("zip", "a.zip", read, zips, (m.some_bytes, m.zip_members))


def _http(folder: Path) -> Iterator[Entrance]:
    server = Server()

    def read(path: Path) -> None:
        server.answers["/file"] = raw(path.read_bytes())
        with tempfile.TemporaryDirectory(dir=path.parent) as place:
            fetch(f"{server.base}/file", Path(place) / "file", limits=bounded(**QUICK))

    body = bytes(range(100))
    heads = [
        b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "1"',
        b"HTTP/1.1 206 Some\r\nContent-Length: 100\r\nContent-Range: bytes 0-99/100",
        b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nLocation: /file",
    ]
    whole = [head + b"\r\nConnection: close\r\n\r\n" + body for head in heads]
    whole.append(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"5\r\nabcde\r\n0\r\n\r\n"
    )
    yield Entrance(
        "HTTP answers", "answer", read, whole, (m.some_bytes, m.http_headers, m.http_headers)
    )
