"""The candidate pool, written as a mirror of Open Images' validation split."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from demo.canvas import pick
from demo.devkit import JPEG_QUALITY
from demo.labels import BACKGROUND_LABELS, CLASS_LABELS, FINER_LABELS, HIERARCHY, NAMES
from demo.scenes import CLASSES, ELSEWHERE, HOME, UNRELATED, Scene
from wood.runtime.store import write_json

LICENSE = "https://creativecommons.org/publicdomain/zero/1.0/"
AUTHOR = "W-OoD demo generator"
SITE = "https://example.org/w-ood-demo"
IMAGE_COLUMNS = ("ImageID", "Subset", "OriginalURL", "OriginalLandingURL", "License",
                 "AuthorProfileURL", "Author", "Title", "OriginalSize", "OriginalMD5",
                 "Thumbnail300KURL", "Rotation")
LABEL_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence")

UNRELATED_SHARE = 0.25
FOREGROUND_SHARE = 0.15
# How the foreground images are labelled: a third of them not at all.
LABELLING = ("missing", "class", "finer", "missing", "machine", "class",
             "finer", "missing", "class", "finer", "missing", "machine")
USUAL_SHARE = 0.85


@dataclass(frozen=True)
class PoolImage:
    """What is to be drawn, and how it is labelled."""

    background: str
    foreground: str | None = None
    labelling: str | None = None
    """missing, class, finer or machine; None without a foreground object."""


def plan_pool(rng: np.random.Generator, count: int) -> list[PoolImage]:
    """The `count` images of the pool, in random order."""
    foreground = round(FOREGROUND_SHARE * count)
    unrelated = round(UNRELATED_SHARE * count)
    plan = []
    for name, labelling in islice(zip(cycle(CLASSES), cycle(LABELLING), strict=False), foreground):
        usual = rng.random() < USUAL_SHARE
        background = HOME[name] if usual else pick(rng, ELSEWHERE[name])
        plan.append(PoolImage(background, name, labelling))
    plan += [PoolImage(background) for background in islice(cycle(UNRELATED), unrelated)]
    # As many images to every class.
    confusing = islice(cycle(HOME.values()), count - foreground - unrelated)
    plan += [PoolImage(background) for background in confusing]
    return [plan[number] for number in rng.permutation(count)]


def image_id(seed: int, number: int) -> str:
    """16 hex digits that tell nothing about the image."""
    return hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()[:16]


class MirrorWriter:
    """Writes into `root`, laid out as the public buckets are."""

    def __init__(self, root: Path):
        self.root = root
        (root / "images/validation").mkdir(parents=True)
        self.images: list[tuple] = []
        self.human: list[tuple] = []
        self.machine: list[tuple] = []

    def write_image(
        self, identity: str, planned: PoolImage, scene: Scene, rng: np.random.Generator
    ) -> None:
        """Write a photograph; keep its rows for `write_metadata`."""
        path = self.root / f"images/validation/{identity}.jpg"
        scene.image.save(path, quality=JPEG_QUALITY)
        digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        self.images.append((identity, "validation", f"{SITE}/{identity}.jpg", f"{SITE}/{identity}",
                            LICENSE, SITE, AUTHOR, f"Drawn scene: {scene.background}",
                            path.stat().st_size, digest, "", 0))
        human, machine = label_rows(rng, planned, scene)
        self.human += [(identity, "verification", *row) for row in human]
        self.machine += [(identity, "machine", *row) for row in machine]

    def write_metadata(self) -> None:
        """Write the label names, the hierarchy, the image list and the labels."""
        root = self.root
        names = sorted(NAMES.items())
        _write_csv(root / "v6/oidv6-class-descriptions.csv", None, names)
        write_json(root / "2018_04/bbox_labels_600_hierarchy.json", HIERARCHY)
        _write_csv(root / "2018_04/validation/validation-images-with-rotation.csv", IMAGE_COLUMNS,
                   sorted(self.images))
        for kind, rows in (("human", self.human), ("machine", self.machine)):
            _write_csv(root / f"v5/validation-annotations-{kind}-imagelabels.csv", LABEL_COLUMNS,
                       sorted(rows))


def label_rows(
    rng: np.random.Generator, planned: PoolImage, scene: Scene
) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
    """Human-verified and machine labels of an image: lists of (label, confidence).

    The background's labels are true. A foreground label that is wrong is always *verified absent*
    (confidence 0) or a weak guess of the machine (below 0.5).
    """
    background = BACKGROUND_LABELS[scene.background]
    human: list[tuple[str, float]] = [(label, 1) for label in background if rng.random() < 0.8]
    machine = [(label, _confidence(rng, 0.6, 0.95)) for label in background if rng.random() < 0.4]
    if planned.foreground is not None:
        _, kind = scene.kinds[0]
        present, finer = CLASS_LABELS[planned.foreground], FINER_LABELS[kind]
        if planned.labelling == "class":
            human.append((present, 1))
        elif planned.labelling == "finer":
            human.append((finer, 1))
        elif planned.labelling == "machine":
            machine.append((pick(rng, (present, finer)), _confidence(rng, 0.5, 0.95)))
        return human, machine
    tempting = [name for name in CLASSES if scene.background == HOME[name]] or list(CLASSES)
    if rng.random() < 0.3:
        human.append((CLASS_LABELS[pick(rng, tempting)], 0))
    if rng.random() < 0.3:
        machine.append((CLASS_LABELS[pick(rng, tempting)], _confidence(rng, 0.1, 0.4)))
    return human, machine


def _confidence(rng: np.random.Generator, lowest: float, highest: float) -> float:
    """Open Images gives one decimal."""
    return float(np.clip(round(rng.uniform(lowest, highest), 1), lowest, highest))


def write_truth(path: Path, answers: Iterable[tuple[str, str]]) -> None:
    """Write what a careful reviewer would answer: (image id, class or nothing)."""
    _write_csv(path, ("ImageID", "foreground_class"), sorted(answers))


def _write_csv(path: Path, header: Sequence[str] | None, rows: Iterable[Sequence]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if header is not None:
            writer.writerow(header)
        writer.writerows(rows)
