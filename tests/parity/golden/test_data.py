"""Augmentation, schedules, the optimiser and mIoU of the published programs."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.parity.golden.recipe import MEAN, STD, assert_close, golden
from wood.data.masked import MaskedPhotographs
from wood.data.transforms import Augmentation, Normalization
from wood.metrics import SegmentationScores
from wood.training.loop import Training, make_optimizer

NORMALIZATION = Normalization(MEAN, STD)


class Given:
    """A source of random numbers that gives those of a golden file."""

    def __init__(self, whole, flip, scale=1.0):
        self.whole, self.flip, self.scale = list(whole), flip, scale

    def integers(self, low, high):
        value = self.whole.pop(0)
        assert low <= value < high
        return value

    def uniform(self, low, high):
        return self.scale

    def random(self):
        return 0.25 if self.flip else 0.75


def as_read(example):
    """What a network reads of an example."""
    return NORMALIZATION(example["image"][None], example["inside"][None])[0]


@pytest.mark.parametrize("name", ["crop", "pad", "mixed"])
def test_images_for_the_classifier(name):
    expected = golden(f"augmentation/{name}")
    whole = [int(expected[key]) for key in ("long_side", "horizontal", "vertical")]
    augment = Augmentation((64, 256), int(expected["crop"]))
    given = Given(whole, bool(expected["flip"]))
    example = augment(Image.fromarray(expected["image"]), given)
    assert_close(as_read(example), expected["output"], 1e-6)


@pytest.mark.parametrize("name", ["irnet-up", "irnet-down"])
def test_images_and_labels_for_irnet(name, tmp_path):
    expected = golden(f"augmentation/{name}")
    for part in ("image", "labels"):
        Image.fromarray(expected[part]).save(tmp_path / f"{part}.png")
    data = MaskedPhotographs(
        [str(tmp_path / "image.png")],
        [tmp_path / "labels.png"],
        int(expected["crop"]),
        (0.5, 1.5),
        NORMALIZATION,
    )
    places = [int(expected[key]) for key in ("horizontal", "vertical")]
    given = Given(places, bool(expected["flip"]), float(expected["scale"]))
    example = data.example(0, given)
    assert_close(as_read(example), expected["output"], 1e-6)
    assert (example["target"].numpy() == expected["output_labels"]).all()


def schedule(iterations, **settings):
    training = Training(
        model=nn.Identity(), dataset=[], loss=None, groups=[],
        settings={"power": 0.9, **settings}, seed=0, checkpoint="", log="",
    )  # fmt: skip
    training.iterations = iterations
    return training


@pytest.mark.parametrize("decay", ["0.0001", "0.0005"])
@pytest.mark.parametrize("published_momentum", [True, False])
def test_irns_optimizer(decay, published_momentum):
    """Its weight decay stands in the place of the momentum, which is next to none."""
    expected = golden(f"optimizer/poly-sgd-wd{decay}")
    parameters = [nn.Parameter(torch.from_numpy(expected[f"start{n}"])) for n in (0, 1)]
    optimizer = make_optimizer(
        [{"params": [p], "lr_scale": s} for p, s in zip(parameters, (1, 10), strict=True)],
        {
            "lr": 0.1,
            "momentum": float(decay) if published_momentum else 0,
            "weight_decay": float(decay),
        },
    )
    training = schedule(6)
    for step in range(6):
        for group, lr in zip(optimizer.param_groups, expected["lr"][step], strict=True):
            group["lr"] = group["full_lr"] * training._decay(step)
            assert group["lr"] == pytest.approx(lr, rel=1e-12)
        for number, parameter in enumerate(parameters):
            parameter.grad = torch.from_numpy(expected[f"grads{number}"][step])
        optimizer.step()
        for number, parameter in enumerate(parameters):
            after = expected[f"after{number}"][step]
            assert_close(parameter, after, 1e-7 if published_momentum else 5e-4)


def test_deeplabs_schedule():
    expected = golden("deeplab/poly-lr")
    training = schedule(int(expected["iter_max"]), update_lr_every=int(expected["step_size"]))
    ours = [training._decay(iteration) for iteration in range(len(expected["lr"]))]
    rates = np.outer(ours, (2.5e-4, 2.5e-3, 5e-3))
    np.testing.assert_allclose(rates, expected["lr"], rtol=1e-12)


def test_mean_iou():
    """Ours counts a class that is predicted but never true as 0; deeplab's leaves it out."""
    expected = golden("metrics/deeplab")
    scores = SegmentationScores([str(number) for number in range(21)])
    for target, prediction in zip(expected["targets"], expected["predictions"], strict=True):
        scores.update(target, prediction)
    summary = scores.summary()
    ious = [summary["per_class"][name]["iou"] for name in scores.class_names]
    ours = np.array([np.nan if iou is None else iou for iou in ious])
    np.testing.assert_allclose(ours, expected["class_iou"], rtol=0, atol=1e-12)
    true = scores.confusion.sum(axis=1) > 0
    assert np.nanmean(ours[true]) == pytest.approx(expected["mean_iou"].item(), abs=1e-12)
    assert summary["miou"] == pytest.approx(np.nanmean(ours), abs=1e-12)
    assert summary["miou"] < expected["mean_iou"]
