"""Features of the same images at each epoch of a W-OoD training (Fig. 7)."""

import pandas as pd
import pytest
import torch

from tests.unit.seeds.small_training import WHOLE, train
from wood.data.lists import read_image_list, write_image_list
from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors
from wood.seeds.epochs import choose_pair, extract_epoch_features
from wood.seeds.features import extract_features


@pytest.mark.parametrize(
    ("asked", "counts", "pair"),
    [
        (None, {"train": 1, "bird": 2, "boat": 9}, ("train", "bird")),
        (None, {"train": 1, "cat": 2, "boat": 9}, ("boat", "cat")),
        (None, {"dog": 2, "cat": 2, "boat": 9}, ("boat", "cat")),
        (["dog", "cat"], {"dog": 2, "cat": 2, "boat": 9}, ("dog", "cat")),
    ],
)
def test_the_pair_is_the_papers_or_that_with_most_ood_images(asked, counts, pair):
    assert choose_pair(asked, counts, "list") == pair


@pytest.mark.parametrize(
    ("asked", "match"), [(["cat", "cow"], "taken for 'cow'"), (None, "two classes")]
)
def test_a_pair_without_ood_images_is_named(asked, match):
    with pytest.raises(InputError, match=match):
        choose_pair(asked, {"cat": 3}, "list")


def test_the_same_images_at_every_epoch(data, tmp_path):
    chosen = train(data, tmp_path, {}, keep_epochs=True)
    listed = read_image_list(data / "ood.csv")
    listed["class"] = ["cat", "dog", "dog", "cat", "dog", "cat"]
    write_image_list(tmp_path / "ood.csv", listed)

    def extract(count, epochs=tmp_path / "epochs"):
        extract_epoch_features(
            data / "train.csv", data / "labels.parquet", tmp_path / "ood.csv",
            data / "cam" / "model.safetensors", epochs, tmp_path / "features",
            classes=None, count=count, wood=chosen["wood"], data=chosen["data"], seed=0, **WHOLE,
        )  # fmt: skip
        return load_tensors(tmp_path / "features")

    tensors, metadata = extract(2)
    assert sorted(tensors) == ["epoch-0", "epoch-1", "epoch-2"]
    shown = pd.DataFrame({key: metadata[key] for key in ("images", "class_of", "domain_of")})
    sets = shown.groupby(["class_of", "domain_of"])["images"].apply(set).to_dict()
    assert sets["cat", "in"] == {"train2", "train4"}, "of images with one of the two labels alone"
    assert sets["dog", "in"] == {"train3"}
    assert sets["dog", "ood"] < {"ood1", "ood2", "ood4"}
    assert len(sets["dog", "ood"]) == len(sets["cat", "ood"]) == 2
    whole, names = load_tensors(data / "in.features")
    rows = [names["images"].index(image) for image in ("train2", "train4")]
    start = shown.index[(shown["class_of"] == "cat") & (shown["domain_of"] == "in")]
    torch.testing.assert_close(tensors["epoch-0"][list(start)], whole["features"][rows])
    assert not torch.allclose(tensors["epoch-2"], tensors["epoch-1"])
    extract_features(data / "train.csv", tmp_path / "model.safetensors", tmp_path / "end", **WHOLE)
    ended = load_tensors(tmp_path / "end")[0]["features"][rows]
    torch.testing.assert_close(tensors["epoch-2"][list(start)], ended)
    again, _ = extract(2)
    assert torch.equal(again["epoch-1"], tensors["epoch-1"])

    empty = tmp_path / "none"
    empty.mkdir()
    with pytest.raises(InputError, match="keep_epochs: true"):
        extract(2, empty)
