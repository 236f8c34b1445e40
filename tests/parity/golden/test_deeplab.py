"""The published DeepLab-v2: network, losses, gradients, predictions and dense CRF."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.parity.golden.networks import deeplab
from tests.parity.golden.recipe import MEAN, STD, assert_close, golden, normalized
from wood.crf import DEEPLAB_CRF, refine
from wood.data.transforms import normalize
from wood.models.deeplab import multi_scale_logits, segmentation_loss
from wood.segmentation.inference import MultiScale, class_probabilities
from wood.segmentation.train import DeepLabLoss


def as_theirs(images):
    """Their networks took RGB where they take BGR, so ours takes BGR where it takes RGB."""
    return normalized(images).flip(-3)


@pytest.fixture(scope="module")
def network():
    return deeplab(golden("deeplab/msc-65")["weights_checksum"])


@pytest.mark.parametrize("name", ["msc-65", "msc-80"])
def test_multi_scale_logits_losses_and_gradients(name, network):
    expected = golden(f"deeplab/{name}")
    images, target = as_theirs(expected["image"][None]), torch.from_numpy(expected["target"][None])
    network.train()
    network.zero_grad()
    every = multi_scale_logits(network, images, alignment=network.alignment)
    for number, logits in enumerate(every):
        assert_close(logits, expected[f"logits{number}"], 2e-6)
    losses = [segmentation_loss(logits, target).item() for logits in every]
    np.testing.assert_allclose(losses, expected["losses"], rtol=1e-6)

    batch = {"image": images, "target": target}
    loss, _ = DeepLabLoss(True, network.alignment)(network, batch, 0.0)
    assert loss.item() == pytest.approx(expected["loss_sum"].item(), rel=1e-6)
    (loss / 2).backward()
    groups = [list(group["params"]) for group in network.parameter_groups()]
    assert [len(group) for group in groups] == list(expected["group_tensors"])
    assert [sum(p.numel() for p in group) for group in groups] == list(expected["group_sizes"])
    norms = [torch.stack([p.grad.double().norm() for p in group]).norm().item() for group in groups]
    # One ReLU that rounding turns moves the backbone's by 6e-5, as another number of threads does.
    np.testing.assert_allclose(norms[0], expected["grad_norms"][0], rtol=2e-4)
    np.testing.assert_allclose(norms[1:], expected["grad_norms"][1:], rtol=1e-6)


@pytest.mark.parametrize("name", ["msc-65", "msc-80"])
def test_stem_and_features(name, network):
    expected = golden(f"deeplab/{name}")
    network.eval()
    with torch.inference_mode():
        stem, *_, features = network.backbone.stages(as_theirs(expected["image"][None]))
    side, mean, deviation = expected["stem_mean"]
    assert stem.shape[-2:] == (side, side)
    assert stem.mean().item() == pytest.approx(mean, rel=1e-6)
    assert stem.double().std().item() == pytest.approx(deviation, rel=1e-4)
    assert_close(features.mean(dim=(0, 2, 3)), expected["features_mean"], 2e-6)


@pytest.mark.parametrize("name", ["predict-65x97", "predict-75x98"])
def test_predictions(name, network, monkeypatch):
    expected = golden(f"deeplab/{name}")
    network.eval()
    with torch.inference_mode():
        every = multi_scale_logits(
            network, as_theirs(expected["image"][None]), alignment=network.alignment
        )
    assert_close(every[-1][0], expected["logits"], 2e-6)
    # Channels turned as in `as_theirs`, so that the network sees what the published one saw.
    monkeypatch.setattr(network.backbone, "mean", MEAN[::-1], raising=False)
    monkeypatch.setattr(network.backbone, "std", STD[::-1], raising=False)
    image = Image.fromarray(np.ascontiguousarray(expected["image"][..., ::-1]))
    probabilities = class_probabilities(network, image, MultiScale(), torch.device("cpu"))
    assert (probabilities.argmax(dim=0).numpy() == expected["labels"]).all()
    highest = probabilities.amax(dim=0).numpy().astype(np.float16)
    np.testing.assert_allclose(highest, expected["highest"], atol=1e-3)


def test_caffes_pixels(network):
    """BGR minus a mean, in grey levels, for a network that reads it as RGB."""
    pixels = golden("deeplab/crf")["image"]
    ours = normalize(pixels, network.backbone.mean, network.backbone.std)
    theirs = pixels[..., ::-1].astype(np.float32) - np.float32([104.008, 116.669, 122.675])
    assert_close(ours.flip(0), np.moveaxis(theirs, -1, 0), 1e-6)


def test_dense_crf():
    """On RGB pixels; the published evaluation passes BGR, and the mean subtracted."""
    expected = golden("deeplab/crf")
    iterations = int(expected["parameters"][0])
    assert iterations == DEEPLAB_CRF["iterations"]
    refined = refine(expected["image"], expected["probabilities"], parameters=DEEPLAB_CRF)
    assert_close(refined, expected["refined_rgb"], 1e-6)
    bgr = expected["image"][..., ::-1].astype(np.float32)
    subtracted = bgr - np.float32([104.008, 116.669, 122.675])
    for pixels, key in ((bgr, "labels_bgr"), (subtracted, "labels_mean_subtracted")):
        # Bytes as a cast makes them: what is below 0 wraps around.
        pixels = pixels.astype(np.int64).astype(np.uint8)
        refined = refine(pixels, expected["probabilities"], parameters=DEEPLAB_CRF)
        assert (refined.argmax(axis=0) == expected[key]).all()
