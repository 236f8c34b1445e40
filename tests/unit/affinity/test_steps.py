"""From a shard of maps to IR labels, IRNet and pseudo-masks, by the pipeline's entry points."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from wood.affinity.inputs import Seed
from wood.affinity.ir_labels import ir_label, make_ir_labels, refined_seed, seeds_with_crf
from wood.affinity.pseudo_masks import boundary_maps, make_pseudo_masks, pseudo_mask, walk_seeds
from wood.affinity.train import TopLeftCrops, mean_displacement, train_irnet
from wood.data.lists import write_image_list
from wood.data.masked import MaskedPhotographs
from wood.data.masks import load_mask, save_mask
from wood.maps import LocalizationMaps, upsample, write_maps
from wood.models.backbones import create_backbone
from wood.models.irnet import IRNet, load_irnet, save_irnet
from wood.runtime.errors import InputError

CLASSES = ("cat", "dog", "horse")
LIGHT = "tf_efficientnet_lite0"
IR = {"foreground_threshold": 0.3, "background_threshold": 0.05, "gt_prob": 0.7, "workers": 1}

# id, height, width, classes present
IMAGES = [
    ("two", 61, 70, (0, 2)),
    ("one", 48, 64, (1,)),
    ("unlabelled", 40, 52, ()),
    ("no_seed", 40, 52, (1,)),
    ("tiny", 3, 2, (2,)),
]


def object_windows(height, width, count):
    """A window of the picture for each class, beside one another."""
    for number in range(count):
        left = width * (2 * number + 1) // (2 * count + 2)
        yield slice(height // 4, height * 3 // 4), slice(left, left + width // (2 * count + 1) + 1)


def localization_maps(image_id, height, width, classes):
    grid = (-(-height // 4), -(-width // 4))
    maps = torch.zeros(len(classes), *grid)
    if image_id != "no_seed":
        for one, (rows, columns) in zip(
            maps, object_windows(height, width, len(classes)), strict=True
        ):
            one[
                rows.start // 4 : rows.stop // 4 + 1, columns.start // 4 : columns.stop // 4 + 1
            ] = 1
    return LocalizationMaps(image_id, (height, width), torch.tensor(classes).long(), maps.half())


@pytest.fixture
def shard(tmp_path):
    """A shard of localization maps, and the list of its images."""
    rows = []
    for image_id, height, width, classes in IMAGES:
        rng = np.random.default_rng(len(image_id))
        image = rng.integers(70, 90, (height, width, 3))
        for window, value in zip(
            object_windows(height, width, len(classes)), (200, 150), strict=False
        ):
            image[window] = value
        path = tmp_path / f"{image_id}.png"
        Image.fromarray(image.astype(np.uint8)).save(path)
        rows.append((image_id, str(path)))
    write_image_list(tmp_path / "train.csv", pd.DataFrame(rows, columns=["image_id", "path"]))
    write_shard(tmp_path, [localization_maps(*image) for image in IMAGES])
    return tmp_path


def write_shard(folder, maps):
    write_maps(folder / "maps.safetensors", maps, class_names=CLASSES, source="test")


def inputs(folder, output):
    return folder / "maps.safetensors", folder / "train.csv", folder / output


@pytest.fixture
def irnet(shard):
    torch.manual_seed(0)
    model = IRNet(create_backbone(LIGHT, weights=None))
    save_irnet(shard / "irnet.safetensors", model, {"backbone": LIGHT, "crop": 64})
    return shard / "irnet.safetensors"


def masks_in(folder):
    sizes = {image_id: (height, width) for image_id, height, width, _ in IMAGES}
    return {path.stem: load_mask(path, sizes[path.stem]) for path in folder.iterdir()}


def allowed_values(classes, *more):
    return {0, *(number + 1 for number in classes), *more}


def test_ir_labels(shard):
    maps, images, output = inputs(shard, "ir_labels")
    make_ir_labels(maps, images, output, class_names=CLASSES, **(IR | {"workers": 2}))
    labels = masks_in(output)
    assert set(labels) == {image_id for image_id, *_ in IMAGES}
    for image_id, _, _, classes in IMAGES:
        assert set(np.unique(labels[image_id])) <= allowed_values(classes, 255)
    assert (labels["unlabelled"] == 0).all()
    assert (labels["no_seed"] == 0).all()
    for number, window in enumerate(object_windows(61, 70, 2)):
        values, counts = np.unique(labels["two"][window], return_counts=True)
        assert values[counts.argmax()] == (1, 3)[number]
    assert (labels["two"][:8] == 0).all()


def test_ir_labels_follow_irns_rule(shard):
    """Above both thresholds a class, below both background, in between 255."""
    maps = LocalizationMaps("one", (48, 96), torch.tensor([1]), torch.zeros(1, 12, 24).half())
    image = np.zeros((48, 96, 3), np.uint8)
    for third, (score, colour) in enumerate([(0, 30), (0.5, 120), (1, 220)]):
        maps.maps[:, :, 8 * third : 8 * third + 8] = score
        image[:, 32 * third : 32 * third + 32] = colour
    Image.fromarray(image).save(shard / "one.png")
    write_shard(shard, [maps])
    make_labels(shard, foreground_threshold=0.7, background_threshold=0.2)
    label = load_mask(shard / "out" / "one.png", (48, 96))
    expected = np.repeat([0, 255, 2], 32)[None].repeat(48, axis=0)
    assert (label == expected).mean() > 0.95
    assert set(np.unique(label)) == {0, 2, 255}


def test_seeds_of_one_label_skip_the_crf(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    image = np.random.default_rng(0).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    for value, expected in ((0, 0), (1, 3)):
        maps = LocalizationMaps(
            "a", (8, 12), torch.tensor([2]), torch.full((1, 2, 3), value).half()
        )
        label = ir_label(
            image, maps, foreground_threshold=0.3, background_threshold=0.1, gt_prob=0.7
        )
        assert (label == expected).all()


def test_seeds_with_crf_of_the_scored_images(shard):
    listed = pd.read_csv(shard / "train.csv")
    write_image_list(shard / "scored.csv", listed[listed["image_id"].isin(["one", "tiny"])])
    maps, images, output = inputs(shard, "seeds")
    seeds_with_crf(
        maps, images, output, class_names=CLASSES, threshold=0.3, gt_prob=0.7, workers=1,
        scored=shard / "scored.csv",
    )  # fmt: skip
    masks = masks_in(output)
    assert set(masks) == {"one", "tiny"}
    image = np.asarray(Image.open(shard / "one.png"))
    expected = refined_seed(image, localization_maps(*IMAGES[1]), threshold=0.3, gt_prob=0.7)
    assert (masks["one"] == expected).all()
    assert set(np.unique(masks["one"])) == {0, 2}


def make_labels(folder, **changes):
    make_ir_labels(*inputs(folder, "out"), class_names=CLASSES, **(IR | changes))


def make_masks(folder, **changes):
    maps, images, output = inputs(folder, "out")
    make_pseudo_masks(
        maps, images, folder / "irnet.safetensors", output, class_names=CLASSES, **changes
    )


@pytest.mark.parametrize("make", [make_labels, make_masks])
class TestBadInput:
    @pytest.fixture(autouse=True)
    def _folder(self, shard, irnet):
        self.folder = shard
        yield
        assert not (shard / "out").exists()

    def fails(self, make, words, **changes):
        with pytest.raises(InputError, match=words):
            make(self.folder, **changes)

    def test_nan_in_maps(self, make):
        maps = [localization_maps(*image) for image in IMAGES]
        maps[1].maps[0, 2, 2] = maps[4].maps[0, 0, 0] = torch.nan
        write_shard(self.folder, maps)
        self.fails(make, r"maps\.safetensors.*'one'.*not finite")

    def test_truncated_shard(self, make):
        path = self.folder / "maps.safetensors"
        path.write_bytes(path.read_bytes()[:-10])
        self.fails(make, r"maps\.safetensors")

    def test_maps_of_another_class_list(self, make):
        image = localization_maps(*IMAGES[0])
        write_maps(
            self.folder / "maps.safetensors", [image], class_names=("a", "b", "c"), source="test"
        )
        self.fails(make, r"maps\.safetensors.*a, b, c")

    def test_maps_of_another_classifier(self, make):
        image = localization_maps(*IMAGES[0])
        path = self.folder / "maps.safetensors"
        write_maps(path, [image], class_names=CLASSES, source="cam/model.safetensors: CAM")
        self.fails(make, r"maps are of cam/model\.safetensors: CAM, not of wood", classifier="wood")

    def test_image_that_is_not_listed(self, make):
        write_shard(self.folder, [localization_maps("stranger", 8, 8, ())])
        self.fails(make, "stranger")

    def test_unreadable_image_is_skipped_up_to_the_share(self, make, caplog):
        (self.folder / "one.png").write_bytes(b"nothing")
        self.fails(make, r"one\.png", max_failed_fraction=0.1)
        make(self.folder, max_failed_fraction=0.2)
        assert "one.png" in caplog.text
        masks = masks_in(self.folder / "out")
        assert set(masks) == {image_id for image_id, *_ in IMAGES} - {"one"}
        for path in (self.folder / "out").iterdir():
            path.unlink()
        (self.folder / "out").rmdir()

    def test_image_of_another_size(self, make):
        Image.new("RGB", (9, 9)).save(self.folder / "one.png")
        self.fails(make, r"one\.png.*9x9.*64x48")


def test_thresholds_in_the_wrong_order_are_refused(shard):
    with pytest.raises(InputError, match="background_threshold"):
        make_labels(shard, foreground_threshold=0.1, background_threshold=0.2)


def test_pseudo_masks(shard, irnet):
    maps, images, output = inputs(shard, "masks")
    make_pseudo_masks(
        maps, images, irnet, output, class_names=CLASSES, boundaries=shard / "boundaries"
    )
    masks = masks_in(output)
    assert set(masks) == {image_id for image_id, *_ in IMAGES}
    for image_id, _, _, classes in IMAGES:
        assert set(np.unique(masks[image_id])) <= allowed_values(classes)
    assert (masks["unlabelled"] == 0).all()
    assert (masks["no_seed"] == 0).all()
    assert set(np.unique(masks["two"])) >= {1, 3}
    with Image.open(shard / "boundaries" / "two.png") as boundary:
        assert (boundary.mode, boundary.size) == ("L", (18, 16))


def test_pseudo_masks_are_the_same_in_batches_and_alone(shard, irnet):
    """Images of one size and different classes share a walk on a GPU."""
    model, metadata = load_irnet(irnet)
    device = torch.device("cpu")
    seeds = [
        Seed(localization_maps("a", 40, 52, (0, 2)), ""),
        Seed(localization_maps("b", 40, 52, ()), ""),
        Seed(localization_maps("c", 40, 52, (1,)), ""),
    ]
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 256, (40, 52, 3)).astype(np.uint8)) for _ in seeds]
    together = boundary_maps(model, images, metadata["crop"], device)
    walked = walk_seeds(seeds, together, 5, 10.0, 8)
    for index, (seed, image) in enumerate(zip(seeds, images, strict=True)):
        alone = boundary_maps(model, [image], metadata["crop"], device)
        torch.testing.assert_close(together[index], alone[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            walked[index], walk_seeds([seed], alone, 5, 10.0, 8)[0], rtol=1e-3, atol=1e-4
        )


def test_boundary_of_the_mirror_image_is_the_mirrored_boundary(irnet):
    model, _ = load_irnet(irnet)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    device = torch.device("cpu")
    plain, mirrored = (
        boundary_maps(model, [Image.fromarray(image)], 64, device)[0]
        for image in (pixels, pixels[:, ::-1])
    )
    torch.testing.assert_close(mirrored, plain.flip(1), rtol=1e-4, atol=1e-5)


def test_mask_from_scores():
    """Divided by the maximum over all classes after upsampling, then the argmax."""
    seed = Seed(localization_maps("a", 30, 41, (0, 2)), "")
    scores = torch.rand(2, 8, 11) * torch.tensor([0.5, 0.1])[:, None, None]
    large = upsample(scores, (30, 41))
    for threshold in (0.1, 0.5):
        relative = large / large.max()
        expected = torch.where(relative[0] >= relative[1], 1, 3)
        expected[relative.amax(dim=0) <= threshold] = 0
        found = pseudo_mask(seed, scores, threshold)
        assert found.dtype == np.uint8
        assert (found == expected.numpy()).all()


SETTINGS = {
    "epochs": 2, "batch_size": 2, "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4, "power": 0.9,
}  # fmt: skip


def train(folder, name="trained.safetensors", **changes):
    options = {
        "backbone": LIGHT, "weights": None, "radius": 4, "crop": 48, "scale_range": (0.8, 1.2),
        "settings": SETTINGS, "seed": 1, "checkpoint": folder / f"{name}.checkpoint",
    } | changes  # fmt: skip
    train_irnet(
        [folder / "ir_labels"], folder / "train.csv", folder / name, folder / "log.jsonl", **options
    )
    return folder / name


def test_training_ends_in_pseudo_masks(shard):
    maps, images, labels = inputs(shard, "ir_labels")
    make_ir_labels(maps, images, labels, class_names=CLASSES, **IR)
    first = train(shard)
    assert first.read_bytes() == train(shard, "again.safetensors").read_bytes()

    model, metadata = load_irnet(first)
    assert metadata["crop"] == 48
    assert metadata["radius"] == 4
    assert (model.mean_displacement != 0).all()
    listed = pd.read_csv(images)["path"]
    corners = TopLeftCrops(list(listed), 48, model.backbone.mean, model.backbone.std)
    stored = model.mean_displacement.clone()
    torch.testing.assert_close(mean_displacement(model, corners, 3), stored)

    make_pseudo_masks(maps, images, first, shard / "masks", class_names=CLASSES)
    assert len(masks_in(shard / "masks")) == len(IMAGES)


def test_a_photograph_that_is_gone_is_named(tmp_path):
    model = IRNet(create_backbone("test_resnet", weights=None))
    crops = TopLeftCrops([str(tmp_path / "gone.png")], 48, (0,) * 3, (1,) * 3)
    with pytest.raises(InputError) as raised:
        mean_displacement(model, crops, 1, workers=1)
    assert str(raised.value) == f"{tmp_path / 'gone.png'}: no such image."


@pytest.fixture
def labelled(shard):
    """The shard with made-up IR labels."""
    for image_id, height, width, _ in IMAGES:
        save_mask(shard / "ir_labels" / f"{image_id}.png", np.zeros((height, width), np.uint8))
    return shard


def test_a_training_whose_file_cannot_be_written_is_not_lost(labelled, monkeypatch):
    whole = train(labelled, "whole.safetensors").read_bytes()
    (labelled / "trained.safetensors").mkdir()  # in the file's place
    with pytest.raises(OSError, match=r"trained\.safetensors"):
        train(labelled)
    (labelled / "trained.safetensors").rmdir()
    monkeypatch.delattr(MaskedPhotographs, "example")  # nothing is trained again
    assert train(labelled).read_bytes() == whole
    assert not list(labelled.glob("*.checkpoint"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crop": 50}, "multiple of 4"),
        ({"crop": 24}, "at least 28"),
        ({"settings": SETTINGS | {"batch_size": 100}}, "batch"),
        ({"weights": "missing.safetensors"}, r"missing\.safetensors"),
    ],
)
def test_bad_training_settings_are_refused(labelled, changes, words):
    with pytest.raises(InputError, match=words):
        train(labelled, **changes)


def test_images_without_an_ir_label_fail_training_past_the_share(labelled):
    (labelled / "ir_labels" / "one.png").unlink()
    with pytest.raises(InputError, match="'one'"):
        train(labelled)
