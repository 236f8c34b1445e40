"""Screens of similar images, and the features that they come from."""

import numpy as np
import pytest

from wood.ood.features import read_features
from wood.review.similar import plane, screens
from wood.runtime.errors import InputError
from wood.runtime.store import save_tensors


def kinds(count, each, seed=0):
    """`each` features of every one of `count` kinds, mixed; and the kind of each."""
    draw = np.random.default_rng(seed)
    centers = draw.normal(size=(count, 32))
    kind = draw.permutation(np.repeat(np.arange(count), each))
    return centers[kind] + draw.normal(size=(len(kind), 32)) / 50, kind


def test_a_screen_holds_images_of_one_kind_those_unlike_the_classes_first():
    features, kind = kinds(6, 20)
    found = screens(features, scores=1 - kind / 10)
    for number in range(6):
        assert kind[found == number].tolist() == [5 - number] * 20


@pytest.mark.parametrize("count", [1, 2, 19, 20, 21, 137])
def test_no_screen_is_larger_than_asked_for_and_none_is_empty(count):
    features = np.random.default_rng(0).normal(size=(count, 8))
    sizes = np.bincount(screens(features, np.zeros(count), 20))
    assert sizes.sum() == count
    assert sizes.max() <= 20
    assert len(sizes) == -(-count // 20)


def test_many_images_are_halved_before_they_are_clustered(monkeypatch):
    features, kind = kinds(6, 20)
    monkeypatch.setattr("wood.review.similar.LARGEST_TREE", 60)
    found = screens(features, np.zeros(120))
    assert np.bincount(found).max() <= 20
    pure = [len(set(kind[found == number])) == 1 for number in set(found)]
    assert sum(pure) >= 4  # a halving may cut through a kind


def test_the_plane_tells_kinds_apart():
    features, kind = kinds(2, 30)
    across = plane(features)[:, 0]
    assert abs(np.corrcoef(across, kind)[0, 1]) > 0.99


def test_features_are_read_in_the_order_asked_for_and_a_lacking_one_is_named(tmp_path):
    values = np.arange(6, dtype=np.float16).reshape(3, 2)
    for number, rows in enumerate([[0, 1], [2]]):
        ids = {"image_ids": ["abc"[row] for row in rows]}
        save_tensors(tmp_path / f"{number}.safetensors", {"features": values[rows]}, ids)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert read_features(files, ["c", "a"]).tolist() == [[4, 5], [0, 1]]
    with pytest.raises(InputError, match="z: no features of this image"):
        read_features(files, ["a", "z"])
    save_tensors(tmp_path / "other.safetensors", {"weights": values})
    with pytest.raises(InputError, match=r"other\.safetensors: this file does not hold features"):
        read_features([tmp_path / "other.safetensors"], ["a"])
