"""Training of classifiers with OoD images: every option, on a network of a few kilobytes."""

import json
import shutil
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch

from tests.unit.seeds.small_training import CLASSES, centers, resolved, train
from wood.data.lists import write_image_list
from wood.data.photographs import Photographs
from wood.models.classifiers import build_classifier, load_classifier
from wood.ood.losses import classification_loss, position_losses
from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors
from wood.seeds.classifier import guessing_loss
from wood.seeds.wood_loss import WoodLoss


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_eq_4_is_the_weighted_sum_of_the_terms_that_are_named():
    """All eight combinations that contain cls_in (Table 5)."""
    torch.manual_seed(0)
    model = torch.nn.Linear(6, 2)
    batch = {
        "image": torch.randn(4, 6),
        "labels": torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0]]),
        "ood": {"image": torch.randn(3, 6)},
    }
    points = {"in": torch.randn(2, 6), "ood": torch.randn(5, 6)}
    further = ["cls_ood", "dist_in", "dist_ood"]
    values = {}
    for chosen in (c for size in range(4) for c in combinations(further, size)):
        ood = resolved({"losses": ["cls_in", *chosen], "distance_weight": 0.1})["wood"]
        loss, terms = WoodLoss(ood, points, CLASSES)(lambda x: (model(x), x), batch, 0.0)
        assert set(terms) == {"cls_in", "feature_norm", *chosen}
        values[chosen] = loss.item()
        weighted = sum(terms[c].item() * (1 if c == "cls_ood" else 0.1) for c in chosen)
        assert loss.item() == pytest.approx(terms["cls_in"].item() + weighted, rel=1e-5)
    assert len(values) == 8
    alone = WoodLoss(None, None)(lambda x: (model(x), x), batch, 0.0)[0]
    assert values[()] == alone.item()


@pytest.mark.parametrize("architecture", ["cam", "seam"])
def test_ood_images_show_nothing_at_any_position(architecture):
    """The term by its definition, and a map whose positions cancel out pays for it."""
    torch.manual_seed(0)
    model = build_classifier("test_resnet", CLASSES, 16, None, architecture=architecture).eval()
    torch.nn.init.normal_(model.head.weight)
    batch = {
        "image": torch.randn(2, 3, 64, 64),
        "labels": torch.tensor([[1.0, 0], [0, 1]]),
        "ood": {"image": torch.randn(3, 3, 64, 64)},
    }
    changed = {"losses": ["cls_in", "cls_ood"], "ood_weight": 1.0}
    with torch.no_grad():
        plain, without = WoodLoss(resolved(changed)["wood"], None, CLASSES)(model, batch, 0.0)
        weighted = resolved({**changed, "position_weight": 0.3})["wood"]
        loss, terms = WoodLoss(weighted, None, CLASSES)(model, batch, 0.0)
        logits, maps = model.scores_and_maps(batch["ood"]["image"])
    assert torch.allclose(logits, model(batch["ood"]["image"])[0], atol=1e-5)
    expected = -torch.log(1 - maps.double().sigmoid()).mean()
    assert terms["positions_ood"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert terms["cls_ood"].item() == pytest.approx(without["cls_ood"].item(), rel=1e-4)
    added = 0.3 * terms["positions_ood"].item()
    assert loss.item() == pytest.approx(plain.item() + added, rel=1e-4)

    uneven = torch.tensor([5.0, -5.0]).expand(1, 2, 2).reshape(1, 2, 2, 1)
    assert position_losses(uneven) > 3 * position_losses(torch.zeros_like(uneven))


def test_training_logs_every_term_and_keeps_the_weights_of_each_epoch(data, tmp_path):
    train(data, tmp_path, {}, keep_epochs=True)
    lines = log(tmp_path)
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert {"cls_in", "cls_ood", "dist_in", "dist_ood", "feature_norm"} <= lines[0].keys()
    names = sorted(path.name for path in (tmp_path / "epochs").iterdir())
    assert names == ["epoch-1.safetensors", "epoch-2.safetensors"]
    first, last = (load_tensors(tmp_path / "epochs" / name)[0] for name in names)
    final, _ = load_tensors(tmp_path / "model.safetensors")
    assert all(torch.equal(final[name], last[name]) for name in final)
    assert not torch.equal(final["head.weight"], first["head.weight"])
    assert not list(tmp_path.glob(".model*"))


def test_refreshed_centres_survive_an_interruption(data, tmp_path, monkeypatch):
    changed = {"refresh_epochs": 1}
    often = {"training": {"checkpoint_seconds": 1e-9, "epochs": 3}, "keep_epochs": True}
    train(data, tmp_path / "whole", changed, **often)

    def interrupt(self, line, first):
        if line["iteration"] == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(WoodLoss, "watch", interrupt)
        train(data, tmp_path / "stopped", changed, **often)
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    train(data, tmp_path / "stopped", changed, **often)
    for name in ("model.safetensors", "log.jsonl", "epochs/epoch-1.safetensors"):
        whole, stopped = (tmp_path / folder / name for folder in ("whole", "stopped"))
        assert whole.read_bytes() == stopped.read_bytes(), name
    train(data, tmp_path / "fixed", {}, **often)
    assert log(tmp_path / "fixed")[:2] == log(tmp_path / "whole")[:2]
    assert log(tmp_path / "fixed")[2]["dist_in"] != log(tmp_path / "whole")[2]["dist_in"]


def test_a_training_whose_file_cannot_be_written_is_not_lost(data, tmp_path, monkeypatch):
    train(data, tmp_path / "whole", {"refresh_epochs": 1}, keep_epochs=True)
    (tmp_path / "full" / "model.safetensors").mkdir(parents=True)  # in the file's place
    with pytest.raises(OSError, match=r"model\.safetensors"):
        train(data, tmp_path / "full", {"refresh_epochs": 1}, keep_epochs=True)
    (tmp_path / "full" / "model.safetensors").rmdir()
    monkeypatch.delattr(Photographs, "example")  # nothing is trained again
    train(data, tmp_path / "full", {"refresh_epochs": 1}, keep_epochs=True)
    epochs = [f"epochs/epoch-{number}.safetensors" for number in (1, 2)]
    for name in ("model.safetensors", "log.jsonl", *epochs):
        whole, full = (tmp_path / folder / name for folder in ("whole", "full"))
        assert whole.read_bytes() == full.read_bytes(), name
    assert not list((tmp_path / "full").glob(".model*"))


@pytest.mark.parametrize("target", ["uniform", "background"])
def test_the_alternatives_of_sec_3_2_train_and_keep_the_classes(data, tmp_path, target):
    train(data, tmp_path, {"target": target, "losses": ["cls_in", "cls_ood"]})
    model, metadata = load_classifier(tmp_path / "model.safetensors")
    assert model.head.weight.shape[0] == len(CLASSES)
    assert metadata["class_names"] == CLASSES
    lines = log(tmp_path)
    start = {"uniform": np.log(2), "background": 0.6}[target]
    assert lines[0]["cls_ood"] > start - 0.1
    assert lines[-1]["cls_ood"] != lines[0]["cls_ood"]


def test_the_reference_preset_trains(data, tmp_path):
    train(data, tmp_path, {}, preset="reference-code", training={"epochs": 1})
    before, _ = load_tensors(data / "cam" / "model.safetensors")
    after, _ = load_tensors(tmp_path / "model.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    stages = {name.split(".")[2] for name in moved if name.startswith("backbone")}
    assert stages == {"layer3", "layer4"}
    assert "head.weight" in moved


def test_centres_are_those_of_the_images_that_are_used(data, tmp_path):
    chosen = resolved({"clusters": 2, "min_long_side": 30}, data={"in": 5, "ood": 3})
    centers(data, tmp_path / "centers", chosen)
    tensors, metadata = load_tensors(tmp_path / "centers")
    assert len(metadata["images"]) == 3
    assert "ood0" not in metadata["images"]  # 20 pixels
    features, listed = load_tensors(data / "ood.features")
    rows = [listed["images"].index(image_id) for image_id in metadata["images"]]
    mean = features["features"][rows][tensors["assignment"] == 0].mean(dim=0)
    torch.testing.assert_close(tensors["ood"][0], mean)
    everything = resolved({"clusters": 2})
    centers(data, tmp_path / "all", everything)
    assert not torch.equal(load_tensors(tmp_path / "all")[0]["in"], tensors["in"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data": {"in": 9}},
            r"train.csv \(classifier.data.in\): 9 images are asked for, but there are 8",
        ),
        ({"data": {"ood": 7}}, r"ood.csv \(classifier.data.ood\): 7 images are asked for"),
        ({"wood": {"min_long_side": 99}}, r"no image has a longer side of 99 pixels"),
        ({"wood": {"clusters": 7}}, r"there are 6, and wood.clusters is 7"),
    ],
)
def test_too_few_images_are_said(data, tmp_path, changes, message):
    ood = changes.get("wood", {})
    with pytest.raises(InputError, match=message):
        centers(data, tmp_path / "centers", resolved(ood, data=changes.get("data", {})))


def replaced(data, folder, replacement):
    """A copy of the data whose lists have another file, or none, for one image of each domain."""
    shutil.copytree(data, folder)
    for name, image_id in (("train", "train2"), ("ood", "ood3")):
        listed = pd.read_csv(folder / f"{name}.csv", dtype=str)
        chosen = listed["image_id"] == image_id
        listed.loc[chosen, "path"] = str(replacement)
        write_image_list(folder / f"{name}.csv", listed if replacement else listed[~chosen])
    return folder


@pytest.mark.parametrize("least", [None, 30])
def test_unreadable_images_are_left_out_up_to_a_share(data, tmp_path, caplog, least):
    """The training is that of the lists without them."""
    ood = {"losses": ["cls_in", "cls_ood"], "min_long_side": least}
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    broken = replaced(data, tmp_path / "broken", tmp_path / "broken.jpg")
    with pytest.raises(InputError, match=r"1 unreadable images .*broken\.jpg"):
        train(broken, tmp_path / "stopped", ood)
    train(broken, tmp_path / "some", ood, max_failed_fraction=0.2)
    assert caplog.text.count("Skipped") == 3
    train(replaced(data, tmp_path / "fewer", None), tmp_path / "whole", ood)
    for name in ("model.safetensors", "log.jsonl"):
        some, whole = (tmp_path / folder / name for folder in ("some", "whole"))
        assert some.read_bytes() == whole.read_bytes(), name


def test_the_loss_of_guessing_is_the_least_of_equal_scores_for_all_images():
    labels = torch.tensor([[1.0, 0], [0, 0], [0, 0], [1, 1]])
    frequencies = torch.tensor([0.5, 0.25])
    equal = torch.logit(frequencies).expand(4, 2)
    assert guessing_loss(labels) == pytest.approx(classification_loss(equal, labels).item())
    assert guessing_loss(torch.tensor([[1.0, 0], [1, 0]])) == 0


@pytest.mark.parametrize(("lr", "epochs", "warned"), [(0.0, 2, True), (0.2, 100, False)])
def test_a_classifier_that_learned_nothing_is_told_from_one_that_did(
    data, tmp_path, caplog, lr, epochs, warned
):
    train(data, tmp_path, training={"lr": lr, "epochs": epochs})
    assert ("has learned nothing" in caplog.text) == warned


def test_a_training_that_starts_at_the_clusters_is_watched_too():
    loss = WoodLoss(resolved({"distance_weight": 1.0})["wood"], None, CLASSES)
    first = {"iteration": 1, "cls_in": 0.5, "dist_ood": 0.0, "feature_norm": 6.0}
    loss.watch(first, first)
    with pytest.raises(InputError, match="inf times as far"):
        loss.watch({**first, "iteration": 2, "dist_ood": -1.0}, first)


def test_a_loss_that_runs_away_is_stopped(data, tmp_path):
    runaway = {"losses": ["cls_in", "dist_ood"], "distance_weight": 50.0}
    with pytest.raises(InputError, match=r"L_d runs away: at iteration \d+ .* feature norm"):
        train(data, tmp_path, runaway, training={"epochs": 30, "lr": 0.1})
