import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.devkit import make_devkit
from wood.data.lists import half, write_image_list
from wood.data.masks import VOC_CLASSES, save_mask
from wood.data.prepare import prepare_voc
from wood.maps import LocalizationMaps, write_maps
from wood.metrics import SegmentationScores
from wood.runtime.errors import InputError
from wood.scoring import seeds
from wood.scoring.evaluation import score_masks
from wood.scoring.seeds import choose_threshold, score_seeds

CLASSES = ["cat", "dog", "person"]
NAMES = ["background", *CLASSES]
IMAGE_IDS = [f"2007_{number:06d}" for number in range(8, 16)]  # four in either half
GRID = (0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 1.0)


def voc_values(target):
    """Places in CLASSES to the values a devkit's masks have."""
    table = np.array([0, *(VOC_CLASSES.index(name) + 1 for name in CLASSES), *[255] * 252])
    return table[target]


class World:
    """Random true masks and maps of a few images, in files and in memory."""

    def __init__(self, root, seed=0, image_ids=IMAGE_IDS):
        rng = np.random.default_rng(seed)
        self.root, self.targets, self.maps = root, {}, {}
        for image_id in image_ids:
            size = tuple(int(side) for side in rng.integers(1, 30, 2))
            target = rng.choice([0, 1, 2, 3, 255], size, p=[0.4, 0.2, 0.2, 0.1, 0.1])
            self.targets[image_id] = target
            save_mask(root / "masks" / f"{image_id}.png", voc_values(target))
            classes = np.flatnonzero(rng.random(3) < 0.6)
            # Coarse values, so that ties between classes and with thresholds do occur.
            low = rng.integers(0, 5, (len(classes), -(-size[0] // 4), -(-size[1] // 4))) / 4
            self.maps[image_id] = LocalizationMaps(
                image_id, size, torch.from_numpy(classes), torch.from_numpy(low).half()
            )
        self.list = root / "list.csv"
        write_image_list(
            self.list,
            pd.DataFrame({"image_id": image_ids, "path": [f"{i}.jpg" for i in image_ids]}),
        )
        self.shards = [root / "0.safetensors", root / "1.safetensors"]
        self.write_shards()

    def write_shards(self):
        maps = list(self.maps.values())
        for path, part in zip(self.shards, (maps[:3], maps[3:]), strict=True):
            write_maps(path, part, class_names=CLASSES, source="test")

    def brute_force(self, threshold, image_ids):
        """IRN's way: the threshold as the background's map in front, then the argmax."""
        scores = SegmentationScores(NAMES)
        for image_id in image_ids:
            maps = self.maps.get(image_id)
            prediction = None
            if maps is not None:
                background = torch.full((1, *maps.size), threshold)
                best = torch.cat([background, maps.upsampled()]).numpy().argmax(axis=0)
                prediction = np.array([0, *(maps.classes.numpy() + 1)])[best]
            scores.update(self.targets[image_id], prediction)
        return scores.summary()

    def score(self, **settings):
        output = self.root / "scores" / "seeds.json"
        settings = {"class_names": CLASSES, "threshold": 0.3, "split": "train", **settings}
        score_seeds(self.shards, self.root / "masks", self.list, output=output, **settings)
        return json.loads(output.read_text())


@pytest.fixture(autouse=True)
def _few_thresholds(monkeypatch):
    monkeypatch.setattr(seeds, "THRESHOLDS", GRID)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_curve_is_exactly_the_argmax_at_every_threshold(tmp_path, seed):
    world = World(tmp_path, seed)
    result = world.score()
    assert [point["threshold"] for point in result["curve"]] == list(GRID)
    for point in result["curve"]:
        expected = world.brute_force(point["threshold"], IMAGE_IDS)
        for key in ("miou", "precision", "recall", "f1"):
            assert point[key] == pytest.approx(expected[key], abs=1e-12)
    assert result["configured"] == world.brute_force(0.3, IMAGE_IDS)
    best = max(result["curve"], key=lambda point: point["miou"])
    assert result["oracle"]["threshold"] == best["threshold"]
    assert result["oracle"]["summary"] == world.brute_force(best["threshold"], IMAGE_IDS)
    assert (result["split"], result["images"], result["threshold"]) == ("train", 8, 0.3)
    assert result["missing"] == 0


def test_halves_are_scored_apart(world):
    result = world.score()
    for name in "AB":
        image_ids = [image_id for image_id in IMAGE_IDS if half(image_id) == name]
        part = result["halves"][name]
        assert part["images"] == len(image_ids) > 0
        assert part["configured"] == world.brute_force(0.3, image_ids)
        mious = [world.brute_force(threshold, image_ids)["miou"] for threshold in GRID]
        assert part["oracle"]["threshold"] == GRID[int(np.argmax(mious))]


def test_configured_threshold_need_not_be_on_the_curve(world):
    result = world.score(threshold=0.43)
    assert result["configured"] == world.brute_force(0.43, IMAGE_IDS)
    assert [point["threshold"] for point in result["curve"]] == sorted([*GRID, 0.43])


def test_score_equal_to_the_threshold_is_background(tmp_path):
    world = World(tmp_path, image_ids=["a"])
    world.maps["a"] = LocalizationMaps(
        "a", world.targets["a"].shape, torch.tensor([0]),
        torch.full((1, *(-(-side // 4) for side in world.targets["a"].shape)), 0.5).half(),
    )  # fmt: skip
    world.write_shards()
    at, below = world.score(threshold=0.5), world.score(threshold=0.4999)
    assert at["configured"] == world.brute_force(1.0, ["a"])
    assert below["configured"] == world.brute_force(0.0, ["a"])
    assert at["configured"] != below["configured"]


@pytest.mark.parametrize("spelt", ["x{}", "0{}", "{}.jpg", "{}_", "{} (1)"])
def test_maps_of_other_images_are_an_error(world, spelt):
    others = {
        spelt.format(name): replace(maps, image_id=spelt.format(name))
        for name, maps in world.maps.items()
    }
    world.maps = others
    world.write_shards()
    with pytest.raises(InputError, match=r"list\.csv: none of its 8 images .* do not belong"):
        world.score()


def test_image_without_maps_is_all_background_and_counted(world):
    del world.maps[IMAGE_IDS[0]]
    world.write_shards()
    result = world.score()
    assert result["missing"] == 1
    assert result["images"] == 8
    assert result["configured"] == world.brute_force(0.3, IMAGE_IDS)


def choose(world):
    output = world.root / "threshold.json"
    choose_threshold(
        world.shards, world.root / "masks", world.list,
        class_names=CLASSES, experiment="cam", output=output,
    )  # fmt: skip
    return json.loads(output.read_text())


def test_the_threshold_of_half_a_needs_maps_of_it(world, caplog):
    half_a = [image_id for image_id in IMAGE_IDS if half(image_id) == "A"]
    del world.maps[half_a[0]]
    world.write_shards()
    chosen = choose(world)
    mious = [world.brute_force(threshold, half_a)["miou"] for threshold in GRID]
    assert (chosen["threshold"], chosen["images"]) == (GRID[int(np.argmax(mious))], len(half_a))
    assert f"1 of {len(half_a)} images have no localization maps" in caplog.text

    (world.root / "threshold.json").unlink()
    world.maps = {name: maps for name, maps in world.maps.items() if half(name) == "B"}
    world.write_shards()
    with pytest.raises(InputError, match=r"list\.csv \(half A\): none of its 4 .* do not belong"):
        choose(world)
    assert not (world.root / "threshold.json").exists()


def test_only_listed_images_with_masks_are_scored(world):
    (world.root / "masks" / f"{IMAGE_IDS[1]}.png").unlink()
    text = world.list.read_text().replace(f"{IMAGE_IDS[2]},{IMAGE_IDS[2]}.jpg\n", "")
    world.list.write_text(text)
    result = world.score()
    rest = [IMAGE_IDS[0], *IMAGE_IDS[3:]]
    assert result["images"] == 6
    assert result["configured"] == world.brute_force(0.3, rest)


def test_bad_seed_input_is_named(world):
    with pytest.raises(InputError, match=r"0\.safetensors.*other|made for"):
        world.score(class_names=["cat", "dog"])
    save_mask(world.root / "masks" / f"{IMAGE_IDS[0]}.png", np.zeros((31, 31), int))
    with pytest.raises(InputError, match=rf"{IMAGE_IDS[0]}\.png"):
        world.score()
    write_maps(world.shards[1], world.maps.values(), class_names=CLASSES, source="test")
    world.shards.reverse()
    (world.root / "masks" / f"{IMAGE_IDS[0]}.png").unlink()
    with pytest.raises(InputError, match=rf"0\.safetensors.*{IMAGE_IDS[1]}"):
        world.score()
    for path in (world.root / "masks").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"masks: .*list\.csv"):
        world.score()
    assert not (world.root / "scores").exists()


def write_predictions(world, seed=0):
    rng = np.random.default_rng(seed)
    predictions = {}
    for number, (image_id, target) in enumerate(world.targets.items()):
        predictions[image_id] = rng.choice([0, 1, 2, 3, 255], target.shape)
        folder = world.root / "predictions" / str(number % 2)
        save_mask(folder / f"{image_id}.png", predictions[image_id])
    return predictions


def score_predictions(world, **settings):
    folders = [world.root / "predictions" / shard for shard in "01"]
    settings = {"class_names": CLASSES, "split": "val", **settings}
    return score_masks(folders, world.root / "masks", world.list, **settings)


def expected_scores(world, predictions, image_ids):
    scores = SegmentationScores(NAMES)
    for image_id in image_ids:
        scores.update(world.targets[image_id], predictions.get(image_id))
    return {**scores.summary(), "images": len(image_ids)}


def test_masks_of_all_shards_are_scored_with_their_halves(world):
    predictions = write_predictions(world)
    result = score_predictions(world)
    halves = result.pop("halves")
    counts = result.pop("per_image")
    assert list(counts) == IMAGE_IDS
    for image_id in IMAGE_IDS:
        one = SegmentationScores(NAMES)
        one.update(world.targets[image_id], predictions[image_id])
        assert (counts[image_id] == one.counts()).all()
    assert result == {
        **expected_scores(world, predictions, IMAGE_IDS),
        "split": "val", "missing": 0, "without_target": 0,
    }  # fmt: skip
    for name, part in halves.items():
        image_ids = [image_id for image_id in IMAGE_IDS if half(image_id) == name]
        assert part == expected_scores(world, predictions, image_ids)


def test_missing_prediction_is_all_background_and_counted(world):
    predictions = write_predictions(world)
    (world.root / "predictions" / "0" / f"{IMAGE_IDS[0]}.png").unlink()
    del predictions[IMAGE_IDS[0]]
    result = score_predictions(world)
    assert result["missing"] == 1
    assert result["miou"] == expected_scores(world, predictions, IMAGE_IDS)["miou"]


def test_an_image_without_a_true_mask_is_left_out(world):
    predictions = write_predictions(world)
    (world.root / "masks" / f"{IMAGE_IDS[3]}.png").unlink()
    result = score_predictions(world)
    rest = [image_id for image_id in IMAGE_IDS if image_id != IMAGE_IDS[3]]
    assert result["without_target"] == 1
    assert result["images"] == 7
    assert result["miou"] == expected_scores(world, predictions, rest)["miou"]


def test_bad_predictions_are_named(world):
    write_predictions(world)
    path = world.root / "predictions" / "0" / f"{IMAGE_IDS[0]}.png"
    for bad in (np.zeros((31, 31), int), np.full(world.targets[IMAGE_IDS[0]].shape, 4)):
        save_mask(path, bad)
        with pytest.raises(InputError, match=rf"0/{IMAGE_IDS[0]}\.png"):
            score_predictions(world)
    with pytest.raises(InputError, match="nowhere"):
        score_masks(
            [world.root / "nowhere"], world.root / "masks", world.list,
            class_names=CLASSES, split="val",
        )  # fmt: skip


def test_devkit_masks_of_other_classes_are_background(tmp_path):
    """From a devkit on disk: a perfect prediction for a subset of its classes scores 1."""
    voc = make_devkit(
        tmp_path, {"a": ["train", "dog"], "b": ["cat"]}, {"val": ["a", "b"]}, masks=["a", "b"]
    )
    prepare_voc(voc, classes=["cat", "dog"], image_set="val", output_list=tmp_path / "val.csv")
    columns = np.arange(24)
    # Stripes: background, train, dog, ignore; and background, cat, ignore.
    save_mask(tmp_path / "p" / "a.png", np.tile(np.where(columns // 6 == 2, 2, 0), (16, 1)))
    save_mask(tmp_path / "p" / "b.png", np.tile(np.where(columns // 8 == 1, 1, 0), (16, 1)))
    result = score_masks(
        [tmp_path / "p"], voc / "SegmentationClass", tmp_path / "val.csv",
        class_names=["cat", "dog"], split="val",
    )  # fmt: skip
    assert (result["miou"], result["precision"], result["recall"], result["f1"]) == (1, 1, 1, 1)
