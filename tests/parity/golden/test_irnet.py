"""IRNet: its paths, its maps, its losses and its training."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from tests.parity.golden.networks import irnet
from tests.parity.golden.recipe import MEAN, STD, assert_close, golden, normalized
from tests.published import irn_heads
from wood.affinity.affinity_labels import affinity_labels
from wood.affinity.paths import search_paths
from wood.affinity.pseudo_masks import irnet_maps
from wood.affinity.train import IRNetLoss, TopLeftCrops, mean_displacement
from wood.training.loop import make_optimizer


@pytest.mark.parametrize("radius", [5, 10])
def test_paths(radius):
    expected = golden(f"irnet/paths-radius{radius}")
    theirs = {}
    for number, destination in enumerate(expected["search_dst"].tolist()):
        cells = expected["paths"][expected["paths"][:, 0] == number][:, 1:]
        theirs[tuple(destination)] = {tuple(cell) for cell in cells.tolist()}
        assert len(cells) == expected["lengths"][number]
    ours = {(path.dy, path.dx): set(path.cells) for path in search_paths(radius)}
    assert ours == theirs


def test_boundaries_and_displacements():
    expected = golden("irnet/forward")
    model = irnet(expected["weights_checksum"]).eval()
    model.mean_displacement.copy_(torch.from_numpy(expected["mean_displacement"]))
    image = Image.fromarray(expected["image"])
    boundary, field = irnet_maps(model, [image], int(expected["crop"]), torch.device("cpu"))
    assert_close(boundary, expected["edge"], 1e-6, scale=1)
    assert_close(field[0], expected["displacement"], 3e-6, scale=1)


@dataclass
class Step:
    """What one step of the training is held to."""

    number: int
    losses: float
    gradients: float
    weights: float


@pytest.mark.parametrize("momentum", [0])
def test_training(momentum, tmp_path):
    expected = golden("irnet/training")
    model = irnet(golden("irnet/forward")["weights_checksum"]).train()
    batch = {
        "image": normalized(expected["images"]),
        "target": torch.from_numpy(expected["labels"]).long(),
    }
    radius = int(expected["radius"])
    labels = affinity_labels(batch["target"][:, 2::4, 2::4], radius)
    pairs = [mask.sum().item() for mask in (labels.background, labels.foreground, labels.negative)]
    optimizer = make_optimizer(
        model.parameter_groups(), {"lr": 0.1, "momentum": momentum, "weight_decay": 1e-4}
    )
    sizes = [sum(p.numel() for p in group["params"]) for group in optimizer.param_groups]
    assert sizes == expected["step0_group_sizes"].tolist()
    loss = IRNetLoss(radius)
    parameters = irn_heads(dict(model.named_parameters()))
    for step in (Step(0, 1e-6, 5e-5, 2e-4), Step(1, 1e-5, 1e-2, 2e-4)):
        now = {n: a for n, a in expected.items() if n.startswith(f"step{step.number}_")}
        now = {name.split("_", 1)[1]: array for name, array in now.items()}
        assert pairs == now["pairs"].tolist()
        optimizer.zero_grad()
        total, terms = loss(model, batch, 0.0)
        positive = (now["bg_pos_aff_loss"] + now["fg_pos_aff_loss"]) / 2
        theirs = {
            "positive": positive,
            "negative": now["neg_aff_loss"],
            "displacement_foreground": now["dp_fg_loss"],
            "displacement_background": now["dp_bg_loss"],
        }
        for name, value in theirs.items():
            assert terms[name].item() == pytest.approx(value.item(), rel=step.losses), name
        assert total.item() == pytest.approx(now["total_loss"].item(), rel=step.losses)
        total.backward()
        norms = [parameters[name].grad.double().norm().item() for name in now["grad_names"]]
        np.testing.assert_allclose(norms, now["grad_norms"], rtol=step.gradients)
        for name, tensor in (("edge6", "fc_edge6.weight"), ("dp7_3", "fc_dp7.3.weight")):
            assert_close(parameters[tensor].grad, now[f"grad_{name}"], step.gradients)
        for group, lr in zip(optimizer.param_groups, now["lr"], strict=True):
            assert group["full_lr"] * (1 - step.number / 2) ** 0.9 == pytest.approx(lr, rel=1e-6)
            group["lr"] = float(lr)
        optimizer.step()
        assert_close(parameters["fc_edge6.weight"], now["after_edge6"], step.weights)
        assert_close(parameters["fc_dp7.3.weight"], now["after_dp7_3"], step.weights)

    paths = []
    for number, image in enumerate(expected["images"]):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(image).save(paths[-1])
    shift = mean_displacement(model, TopLeftCrops(paths, 128, MEAN, STD), batch_size=2)
    assert_close(shift, expected["mean_shift_after"], 1e-3)
