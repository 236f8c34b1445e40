"""The demo's scenes: a valid devkit, a consistent pool, the same bytes from the same seed."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from demo import CLASSES, generate_demo
from demo.canvas import SUPERSAMPLING, Canvas, box
from demo.labels import (
    BACKGROUND_LABELS,
    CLASS_LABELS,
    FINER_LABELS,
    HIERARCHY,
    NAMES,
)
from demo.openimages import MirrorWriter, PoolImage, plan_pool
from demo.scenes import (
    BACKGROUNDS,
    HOME,
    PLACE,
    background_scene,
    class_index,
    object_scene,
    random_object_scene,
)
from wood.data.masks import IGNORE, VOC_CLASSES, load_mask
from wood.runtime.errors import InputError

COUNTS = {"train_images": 15, "val_images": 5, "pool_images": 40}
SIZE = (96, 72)


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("results") / "demo"
    generate_demo(output, seed=3, size=SIZE, **COUNTS)
    return output


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def image_set(demo: Path, name: str) -> list[str]:
    path = demo / f"VOCdevkit/VOC2012/ImageSets/Segmentation/{name}.txt"
    return path.read_text(encoding="utf-8").split()


def annotated(path: Path) -> list[str]:
    return [element.text or "" for element in ElementTree.parse(path).findall("object/name")]


class TestBytes:
    COUNTS = dict.fromkeys(("train_images", "val_images", "pool_images"), 7)

    def test_same_seed_same_bytes_and_other_seed_other_images(self, tmp_path):
        for folder, seed in (("first", 5), ("again", 5), ("other", 6)):
            generate_demo(tmp_path / folder, seed=seed, size=SIZE, **self.COUNTS)
        first, again, other = (digests(tmp_path / name) for name in ("first", "again", "other"))
        assert first == again
        images = {digest for name, digest in first.items() if name.endswith(".jpg")}
        assert len(images) == 21
        assert images.isdisjoint(other.values())

    def test_an_image_does_not_depend_on_how_many_there_are(self, demo, tmp_path):
        generate_demo(tmp_path / "demo", seed=3, size=SIZE, **self.COUNTS)
        name = "VOCdevkit/VOC2012/JPEGImages/2012_000007.jpg"
        assert (tmp_path / "demo" / name).read_bytes() == (demo / name).read_bytes()

    def test_what_was_there_is_replaced_and_nothing_is_left_over(self, tmp_path):
        output = tmp_path / "demo"
        stale = output / "VOCdevkit/VOC2012/JPEGImages/stale.jpg"
        stale.parent.mkdir(parents=True)
        stale.touch()
        (output / "kept.txt").touch()
        (output / "review-truth.csv").touch()
        generate_demo(output, seed=0, size=SIZE, **self.COUNTS)
        assert not stale.exists()
        assert (output / "kept.txt").exists()
        assert len(read_csv(output / "review-truth.csv")) == 7
        assert [path.name for path in tmp_path.iterdir()] == ["demo"]

    def test_a_failure_leaves_the_earlier_demo_untouched(self, tmp_path, monkeypatch):
        output = tmp_path / "demo"
        generate_demo(output, seed=0, size=SIZE, **self.COUNTS)
        before = digests(output)

        def full_disk(_: MirrorWriter) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(MirrorWriter, "write_metadata", full_disk)
        with pytest.raises(OSError, match="No space left"):
            generate_demo(output, seed=1, size=SIZE, **self.COUNTS)
        assert digests(output) == before
        assert [path.name for path in tmp_path.iterdir()] == ["demo"]

    @pytest.mark.parametrize("key", ["train_images", "val_images", "pool_images"])
    def test_too_few_images(self, tmp_path, key):
        with pytest.raises(InputError, match=rf"demo\.{key}"):
            generate_demo(tmp_path / "demo", seed=0, **{**COUNTS, key: 2})

    def test_too_small_images(self, tmp_path):
        with pytest.raises(InputError, match=r"demo\.size"):
            generate_demo(tmp_path / "demo", seed=0, size=(160, 40), **COUNTS)


class TestDevkit:
    def test_image_sets(self, demo):
        train_aug, train, val = (image_set(demo, name) for name in ("train_aug", "train", "val"))
        assert len(train_aug) == len(set(train_aug)) == 15
        assert len(train) == 9
        assert len(val) == 5
        assert set(train) < set(train_aug)
        assert not set(val) & set(train_aug)

    def test_every_image_is_there_and_masks_only_for_train_and_val(self, demo):
        voc = demo / "VOCdevkit/VOC2012"
        listed = {*image_set(demo, "train_aug"), *image_set(demo, "val")}
        masked = {*image_set(demo, "train"), *image_set(demo, "val")}
        assert {path.stem for path in voc.glob("JPEGImages/*.jpg")} == listed
        assert {path.stem for path in voc.glob("Annotations/*.xml")} == listed
        assert {path.stem for path in voc.glob("SegmentationClass/*.png")} == masked

    def test_the_annotation_names_the_classes_of_the_mask(self, demo):
        voc = demo / "VOCdevkit/VOC2012"
        for path in voc.glob("SegmentationClass/*.png"):
            with Image.open(voc / f"JPEGImages/{path.stem}.jpg") as image:
                mask = load_mask(path, size=(image.height, image.width))
            values = set(np.unique(mask).tolist())
            assert {0, IGNORE} < values
            names = {VOC_CLASSES[value - 1] for value in values - {0, IGNORE}}
            assert names == set(annotated(voc / f"Annotations/{path.stem}.xml"))
            assert names <= set(CLASSES)

    def test_every_class_is_trained_on_and_evaluated(self, demo):
        voc = demo / "VOCdevkit/VOC2012"
        for name in ("train_aug", "train", "val"):
            present = [annotated(voc / f"Annotations/{i}.xml") for i in image_set(demo, name)]
            assert {label for labels in present for label in labels} == set(CLASSES)

    def test_sizes_and_formats_vary(self, demo):
        sizes = set()
        for path in demo.glob("VOCdevkit/VOC2012/JPEGImages/*.jpg"):
            with Image.open(path) as image:
                sizes.add(image.size)
        assert len(sizes) > 5
        assert all(min(size) >= 60 and max(size) <= 116 for size in sizes)


class TestMirror:
    def test_every_image_is_listed_and_answered(self, demo):
        pool = demo / "openimages"
        photographs = {path.stem for path in pool.glob("images/validation/*.jpg")}
        listed = read_csv(pool / "2018_04/validation/validation-images-with-rotation.csv")
        truth = read_csv(demo / "review-truth.csv")
        assert len(photographs) == 40
        assert {row["ImageID"] for row in listed} == photographs
        assert [row["ImageID"] for row in truth] == sorted(photographs)
        assert all(row["License"] and row["Author"] and row["OriginalURL"] for row in listed)
        assert {row["foreground_class"] for row in truth} == {"", *CLASSES}

    def test_labels_name_listed_images_and_known_labels(self, demo):
        pool = demo / "openimages"
        known = {row["ImageID"] for row in read_csv(demo / "review-truth.csv")}
        with (pool / "v6/oidv6-class-descriptions.csv").open(encoding="utf-8") as file:
            assert dict(csv.reader(file)) == NAMES
        for kind, source in (("human", "verification"), ("machine", "machine")):
            rows = read_csv(pool / f"v5/validation-annotations-{kind}-imagelabels.csv")
            assert rows
            assert {row["ImageID"] for row in rows} <= known
            assert {row["LabelName"] for row in rows} <= set(NAMES)
            assert {row["Source"] for row in rows} == {source}

    def test_a_label_that_excludes_is_true(self, demo):
        """No image without an object is lost, whatever the labels are read for."""
        truth = {row["ImageID"]: row["foreground_class"]
                 for row in read_csv(demo / "review-truth.csv")}  # fmt: skip
        owner = {label: name for name, label in CLASS_LABELS.items()}
        owner |= {FINER_LABELS[kind]: name for name, kinds in KINDS.items() for kind in kinds}
        told = set()
        for kind in ("human", "machine"):
            path = f"openimages/v5/validation-annotations-{kind}-imagelabels.csv"
            for row in read_csv(demo / path):
                certain = float(row["Confidence"]) >= (1 if kind == "human" else 0.5)
                if certain and row["LabelName"] in owner:
                    assert truth[row["ImageID"]] == owner[row["LabelName"]]
                    told.add(row["ImageID"])
        silent = [name for image, name in truth.items() if name and image not in told]
        assert len(silent) == 2  # of the six images with an object, a third

    def test_the_candidate_filter_keeps_backgrounds_and_missing_labels(self, demo, tmp_path):
        from wood.ood.candidates import filter_candidates
        from wood.ood.metadata import fetch_metadata
        from wood.runtime.store import read_table

        metadata = fetch_metadata(tmp_path, base=demo / "openimages", splits=["validation"])
        filter_candidates(metadata, tmp_path / "candidates.parquet", tmp_path / "why.parquet",
                          classes=list(CLASSES))  # fmt: skip
        kept = set(read_table(tmp_path / "candidates.parquet")["image_id"])
        truth = read_csv(demo / "review-truth.csv")
        backgrounds = {row["ImageID"] for row in truth if not row["foreground_class"]}
        assert backgrounds < kept
        assert len(kept - backgrounds) == 2


KINDS = {
    "boat": ("sailboat", "motorboat", "fishing vessel", "canoe", "ferry"),
    "horse": ("mare", "pony", "foal", "stallion"),
    "train": ("commuter train", "high-speed train", "steam locomotive", "freight train"),
}


def hierarchy_labels(node: dict) -> set[str]:
    below = (hierarchy_labels(child) for child in node.get("Subcategory", []))
    return {node["LabelName"]}.union(*below)


class TestLabels:
    def test_every_kind_and_every_label_has_a_name(self):
        assert set(FINER_LABELS) == {kind for kinds in KINDS.values() for kind in kinds}
        used = {
            *CLASS_LABELS.values(),
            *FINER_LABELS.values(),
            *sum(BACKGROUND_LABELS.values(), ()),
        }
        assert used <= set(NAMES)
        assert hierarchy_labels(HIERARCHY) - set(NAMES) == {"/m/0bl9f"}
        assert set(CLASS_LABELS.values()) <= hierarchy_labels(HIERARCHY)
        json.dumps(HIERARCHY)

    def test_the_class_map_knows_every_class_and_kind(self, demo):
        """What the demo labels as foreground is what the candidate filter takes as such."""
        from wood.ood.labels_map import foreground_labels, read_hierarchy, read_label_names

        pool = demo / "openimages"
        names = read_label_names(pool / "v6/oidv6-class-descriptions.csv")
        hierarchy = read_hierarchy(pool / "2018_04/bbox_labels_600_hierarchy.json")
        found = foreground_labels(CLASSES, names, hierarchy)
        for name, label in CLASS_LABELS.items():
            assert found[label] == name
            assert {found[FINER_LABELS[kind]] for kind in KINDS[name]} == {name}
        assert not set(found) & set(sum(BACKGROUND_LABELS.values(), ()))


class TestPlan:
    def test_shares(self):
        plan = plan_pool(np.random.default_rng(0), 260)
        kinds = Counter(image.labelling for image in plan)
        assert kinds == {None: 221, "missing": 13, "class": 10, "finer": 10, "machine": 6}
        confusing = [i for i in plan if i.foreground is None and i.background in HOME.values()]
        assert len(confusing) == 156
        of_class = Counter(image.background for image in confusing)
        assert max(of_class.values()) - min(of_class.values()) <= 1
        foreground = Counter(i.foreground for i in plan if i.foreground)
        assert set(foreground) == set(CLASSES)
        assert max(foreground.values()) - min(foreground.values()) <= 1

    def test_images_are_in_no_order(self):
        plan = plan_pool(np.random.default_rng(0), 100)
        first_half = sum(image.foreground is not None for image in plan[:50])
        assert 2 <= first_half <= 13
        assert isinstance(plan[0], PoolImage)


class TestScenes:
    @pytest.mark.parametrize("background", sorted(BACKGROUNDS))
    def test_a_background_has_no_object(self, background):
        scene = background_scene(np.random.default_rng(1), SIZE, background)
        assert scene.mask.shape == (SIZE[1], SIZE[0])
        assert not scene.mask.any()
        assert scene.kinds == []
        assert np.asarray(scene.image).std() > 5

    @pytest.mark.parametrize("name", CLASSES)
    def test_an_object_differs_from_the_background_where_the_mask_says(self, name):
        """The background is drawn twice from the same numbers, once with the object on it."""
        number, background = 4, HOME[name]
        plain, painted = (Canvas(*SIZE, np.random.default_rng(number)) for _ in range(2))
        for canvas, with_object in ((plain, False), (painted, True)):
            rng = np.random.default_rng(number)
            setting = BACKGROUNDS[background](canvas, rng)
            if with_object:
                PLACE[name](canvas, rng, setting, background, 0, 1)
        changed = abs(plain.pixels() - painted.pixels()).max(axis=2) > 12
        inside = np.asarray(painted.labels) == class_index(name)
        assert set(np.unique(np.asarray(painted.labels)).tolist()) == {0, class_index(name)}
        assert changed[inside].mean() > 0.75

    @pytest.mark.parametrize("name", CLASSES)
    def test_most_images_show_the_usual_background(self, name):
        scenes = [random_object_scene(np.random.default_rng([9, n]), SIZE, name) for n in range(24)]
        usual = [scene for scene in scenes if scene.background == HOME[name]]
        assert 16 <= len(usual) < 24
        assert all(name in scene.classes for scene in scenes)
        assert len({kind for scene in scenes for _, kind in scene.kinds}) >= 3

    def test_two_classes_in_one_image(self):
        scene = object_scene(np.random.default_rng(0), SIZE, ["boat", "train"], "water")
        assert scene.classes == ["boat", "train"]
        values = set(np.unique(scene.mask).tolist())
        assert values == {0, class_index("train"), class_index("boat"), IGNORE}

    def test_a_picture_too_narrow_for_its_object_is_an_error(self, monkeypatch):
        monkeypatch.setattr("demo.scenes.MAX_DRAWINGS", 3)
        with pytest.raises(InputError, match="horse do not fit into 8x300"):
            object_scene(np.random.default_rng(0), (8, 300), ["horse"], "meadow")


class TestMask:
    def test_border_is_thin_and_the_inside_is_exact(self):
        canvas = Canvas(20, 16, np.random.default_rng(0))
        s = SUPERSAMPLING
        canvas.paint([box(5 * s, 4 * s, 12 * s - 1, 10 * s - 1)], (200, 60, 60), 7)
        _, mask = canvas.finish(np.random.default_rng(0))
        inside = np.zeros((16, 20), dtype=bool)
        inside[4:10, 5:12] = True
        assert (mask[inside] == 7).all()
        around = np.zeros_like(inside)
        around[3:11, 4:13] = True
        around[[3, 3, 10, 10], [4, 12, 4, 12]] = False
        assert (mask[around & ~inside] == IGNORE).all()
        assert not mask[~around].any()

    def test_what_is_painted_in_front_takes_the_pixels_back(self):
        canvas = Canvas(12, 12, np.random.default_rng(0))
        s = SUPERSAMPLING
        canvas.paint([box(0, 0, 12 * s, 12 * s)], (200, 60, 60), 7)
        canvas.paint([box(0, 0, 6 * s - 1, 12 * s)], (60, 160, 60))
        canvas.darken([box(0, 0, 12 * s, 12 * s)])
        _, mask = canvas.finish(np.random.default_rng(0))
        assert not mask[:, :5].any()
        assert (mask[:, 6:] == 7).all()
