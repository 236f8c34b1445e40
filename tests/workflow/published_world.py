"""What a full-size run downloads, in small: VOC 2012, SBD, Open Images and ImageNet weights.

The layouts and file formats are the published ones, the photographs real where `../shared` lies
beside the repository and drawn otherwise, the weights random.
"""

import csv
import hashlib
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from demo.scenes import background_scene, object_scene
from tests.devkit import annotation_xml, object_xml
from tests.places import ROOT
from tests.published import imagenet_wide_resnet38, write_mxnet_params
from tests.server import Server
from wood.data.masks import VOC_CLASSES, load_mask, save_mask
from wood.models.wide_resnet38 import WideResNet38
from wood.ood.labels_map import CLASS_MAP
from wood.runtime.store import file_sha256

SHARED = ROOT.parent / "shared"
LONG_SIDE = 500

# Pixels of a photograph's middle that are kept: half of them are enough for SEAM's smallest scale.
BAND = 64

# Photographs of VOC with all its 20 classes between them; the last of SBD's is given two that it
# does not show.
TRAIN = {
    "2007_004166": ("chair", "diningtable", "dog", "sofa", "tvmonitor"),
    "2007_000648": ("aeroplane", "bus", "car", "person"),
    "2007_006944": ("horse", "sheep"),
    "2007_000364": ("motorbike", "person"),
}
OF_SBD = {
    "2008_000196": ("bicycle", "bottle", "cat", "pottedplant"),
    "2008_002709": ("bird", "boat", "cow", "train"),
}
VAL = {"2007_000727": ("bus", "car", "person"), "2007_000129": ("bicycle", "person")}

# How many photographs of Open Images each split has; the first two show a person, and say so.
SPLITS = {"train": 62, "validation": 12, "test": 12}
LABELLED = 2
PERSON, TREE = "/m/01g317", "/m/07j7r"
IMAGE_COLUMNS = (
    "ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License", "AuthorProfileURL",
    "Author", "Title", "OriginalSize", "OriginalMD5", "Thumbnail300KURL", "Rotation",
)  # fmt: skip
# Of the last stage's batch norm: features z of norm 0.1 to 0.4. With smaller ones the step of the
# biases decides p(c), with larger ones that of the head, and all are below 1/2.
LAST_STAGE = 0.7
WIDE = "ilsvrc-cls_rna-a1_cls1000_ep-0001.params"


@dataclass(frozen=True)
class World:
    """Where everything lies below `folder`, and the weights' names, which hold their checksums."""

    folder: Path
    weights: Mapping[str, str]

    def overlay(self, base: str, folder: str | Path) -> dict:
        """Return the addresses and paths of a run in `folder`, everything served at `base`."""

        def entry(path: str, **more: str) -> dict:
            return {"addresses": [f"{base}/{path}"], **more}

        mirror = f"{base}/openimages"
        return {
            "data": {"voc_root": f"{folder}/VOC2012", "sbd_root": f"{folder}/sbd"},
            "ood": {"openimages": {"base": mirror, "image_base": f"{mirror}/images"}},
            **self.weights_overlay(folder),
            "downloads": {
                "voc2012": entry("voc.tar", checksum=_md5(self.folder / "voc.tar")),
                "sbd": entry("sbd.tgz", checksum=_md5(self.folder / "sbd.tgz")),
                "weights": {
                    name: entry(f"weights/{file}", file=file)
                    for name, file in self.weights.items()
                },
            },
        }  # fmt: skip

    def weights_overlay(self, folder: str | Path) -> dict:
        """Return the weights of the paper's configuration, below `folder`."""
        files = {name: f"{folder}/weights/{file}" for name, file in self.weights.items()}
        wide = {"segmentation": {"weights": files["wide_resnet38"]}}
        return {
            "classifier": {"weights": files["resnet50"]},
            "classifiers": {"seam": {"weights": files["wide_resnet38"]}},
            "experiment": {
                "pseudo": {"irnet": {"weights": files["resnet50"]}},
                "segmentation": {"weights": files["resnet101"]},
            },
            "experiments": {"advcam-wood-wide": wide},
        }

    def serve(self, server: Server) -> None:
        """Let a server give every file of the world."""
        for path in self.folder.rglob("*"):
            if path.is_file():
                server.answers[f"/{path.relative_to(self.folder)}"] = _file(path)


def make_world(folder: Path) -> World:
    """Write the world below `folder`.

    Of each photograph that is trained on or collected `BAND` is kept; those of val stay whole.
    """
    folder.mkdir(parents=True)
    source = folder / "source"
    write_voc(source / "VOCdevkit" / "VOC2012")
    _pack(source / "VOCdevkit", folder / "voc.tar", "w")
    lists = source / "benchmark_RELEASE" / "dataset"
    lists.mkdir(parents=True)
    ids = list(OF_SBD)
    (lists / "train.txt").write_text("\n".join([*ids[:1], *list(VAL)[:1]]) + "\n")
    (lists / "val.txt").write_text("\n".join(ids[1:]) + "\n")
    _pack(source / "benchmark_RELEASE", folder / "sbd.tgz", "w:gz")
    write_openimages(folder / "openimages")
    return World(folder, write_weights(folder / "weights"))


def write_voc(voc: Path) -> None:
    """Write the devkit: photographs of 500 pixels, annotations, masks of train and val, lists."""
    for name in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / name).mkdir(parents=True)
    for image_id, names in (TRAIN | OF_SBD | VAL).items():
        image, mask = photograph(image_id, names, whole=image_id in VAL)
        image.save(voc / "JPEGImages" / f"{image_id}.jpg", quality=90)
        if image_id not in OF_SBD:
            save_mask(voc / "SegmentationClass" / f"{image_id}.png", mask)
        text = annotation_xml(image_id, [object_xml(name, parts=True) for name in names])
        (voc / "Annotations" / f"{image_id}.xml").write_text(text)
    for name, ids in (("train", TRAIN), ("val", VAL), ("trainval", TRAIN | VAL)):
        (voc / "ImageSets" / "Segmentation" / f"{name}.txt").write_text("\n".join(ids) + "\n")


def photograph(
    image_id: str, names: Sequence[str], *, whole: bool = False
) -> tuple[Image.Image, np.ndarray]:
    """Return a photograph of VOC's size, or its band, with its (H, W) mask: real ones, or drawn."""
    voc = SHARED / "voc-mini" / "VOCdevkit" / "VOC2012"
    if (voc / "JPEGImages" / f"{image_id}.jpg").is_file():
        with Image.open(voc / "JPEGImages" / f"{image_id}.jpg") as file:
            image = file.convert("RGB")
        path = voc / "SegmentationClass" / f"{image_id}.png"
        mask = load_mask(path) if path.is_file() else np.zeros(image.size[::-1], np.uint8)
    else:
        rng = np.random.default_rng(int(image_id.replace("_", "")))
        image = object_scene(rng, (160, 120), ["horse"], "meadow").image
        # Stripes of background, every class, and ignored pixels.
        values = np.array([0, *(VOC_CLASSES.index(name) + 1 for name in names), 255], np.uint8)
        columns = values[np.arange(image.width) * len(values) // image.width]
        mask = np.broadcast_to(columns, image.size[::-1])
    factor = LONG_SIDE / max(image.size)
    size = (round(image.width * factor), round(image.height * factor))
    image = image.resize(size, Image.Resampling.BICUBIC)
    drawn = np.asarray(Image.fromarray(np.array(mask)).resize(size, Image.Resampling.NEAREST))
    if whole:
        return image, drawn
    top = (size[1] - BAND) // 2
    return image.crop((0, top, size[0], top + BAND)), drawn[top : top + BAND]


def write_openimages(root: Path) -> None:
    """Write label names, hierarchy, image lists, labels and photographs of all three splits."""
    write_label_names(root)
    pictures = _pictures()
    for split, count in SPLITS.items():
        folder = root / "images" / split
        folder.mkdir(parents=True)
        ids = [_identity(split, number) for number in range(count)]
        for image_id in ids:
            picture = next(pictures)
            height = round(picture.height * 512 / picture.width)
            top = max(0, (height - BAND) // 2)
            picture = picture.resize((512, height)).crop((0, top, 512, top + BAND))
            picture.save(folder / f"{image_id}.jpg", quality=90)
        rest = ("",) * (len(IMAGE_COLUMNS) - 2)
        name = "train-images-boxable" if split == "train" else f"{split}-images"
        _write_csv(root / f"2018_04/{split}/{name}-with-rotation.csv", IMAGE_COLUMNS,
                   [(image_id, split, *rest) for image_id in ids])  # fmt: skip
        human = [(image_id, "verification", PERSON if number < LABELLED else TREE, 1)
                 for number, image_id in enumerate(ids)]  # fmt: skip
        machine = [(image_id, "machine", TREE, 0.8) for image_id in ids]
        version = "v6/oidv6-" if split == "train" else "v5/"
        columns = ("ImageID", "Source", "LabelName", "Confidence")
        _write_csv(root / f"{version}{split}-annotations-human-imagelabels.csv", columns, human)
        _write_csv(root / f"v5/{split}-annotations-machine-imagelabels.csv", columns, machine)


def write_label_names(root: Path) -> None:
    """Write the label names and the hierarchy: the real files, or what the classes need of them."""
    mini = SHARED / "openimages-mini"
    for name in ("v6/oidv6-class-descriptions.csv", "2018_04/bbox_labels_600_hierarchy.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if (mini / name).is_file():
            (root / name).write_bytes((mini / name).read_bytes())
    if (mini / "v6").is_dir():
        return
    names = {TREE: "Tree"}
    entries = yaml.safe_load(CLASS_MAP.read_text()).values()
    for entry in entries:
        for label, label_id in (entry["labels"] | entry.get("finer", {})).items():
            names[label_id] = label
        for label in [*entry.get("prefixes", []), *entry.get("except", [])]:
            if label not in names.values():
                names[f"/x/{len(names)}"] = label
    _write_csv(root / "v6/oidv6-class-descriptions.csv", None, sorted(names.items()))
    boxable = [{"LabelName": i} for entry in entries for i in entry["labels"].values()]
    tree = {"LabelName": "/m/0bl9f", "Subcategory": boxable}
    (root / "2018_04/bbox_labels_600_hierarchy.json").write_text(json.dumps(tree))


def write_weights(folder: Path) -> dict[str, str]:
    """Write random weights in the published formats; return the names of the files.

    The residual branches are small, and the features that a head reads smaller, so that a training
    step at the published rates leaves finite numbers, and p(c) at about 1/2.
    """
    from torchvision.models import resnet50, resnet101

    folder.mkdir()
    torch.manual_seed(0)
    found = {}
    for name, build in (("resnet50", resnet50), ("resnet101", resnet101)):
        state = build(weights=None).state_dict()
        for key, tensor in state.items():
            if key.endswith(("bn3.weight", "downsample.1.weight")):
                tensor.fill_(LAST_STAGE if key.startswith("layer4.0") else 0.3)
        torch.save(state, folder / "new")
        found[name] = f"{name}-{file_sha256(folder / 'new')[:8]}.pth"
        (folder / "new").rename(folder / found[name])
    found["wide_resnet38"] = WIDE
    state = WideResNet38().state_dict()
    state["bn7.weight"].fill_(1e-2)
    write_mxnet_params(folder / WIDE, imagenet_wide_resnet38(state))
    return found


def _pictures() -> Iterable[Image.Image]:
    """Photographs of rooms, forests and the sea, or drawn backgrounds, without end."""
    folder = SHARED / "openimages-mini" / "images" / "validation"
    paths = sorted(folder.glob("*.jpg"))
    rng = np.random.default_rng(0)
    number = 0
    while True:
        if paths:
            with Image.open(paths[number % len(paths)]) as file:
                yield file.convert("RGB")
        else:
            yield background_scene(rng, (160, 120), "meadow").image
        number += 1


def _identity(split: str, number: int) -> str:
    return hashlib.sha256(f"{split}/{number}".encode()).hexdigest()[:16]


def _write_csv(path: Path, header: Sequence[str] | None, rows: Iterable[Sequence]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if header:
            writer.writerow(header)
        writer.writerows(rows)


def _pack(folder: Path, archive: Path, mode: str) -> None:
    with tarfile.open(archive, mode) as file:
        file.add(folder, folder.name)


def _md5(path: Path) -> str:
    return f"md5:{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"


def _file(path: Path):
    """An answer of the server: a whole file, read as it is sent."""

    def answer(handler, before):
        handler.send_response(200)
        handler.send_header("Content-Length", str(path.stat().st_size))
        handler.end_headers()
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                handler.wfile.write(part)

    return answer
