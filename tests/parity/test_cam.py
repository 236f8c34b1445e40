"""CAMs against the definition, one image and one scale at a time in plain operations."""

from math import ceil

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate

from wood.data.transforms import normalize, rescale
from wood.maps import normalize_maps
from wood.models.cam import CamClassifier
from wood.models.classifiers import build_classifier, load_classifier, save_classifier
from wood.runtime.errors import InputError
from wood.runtime.store import save_tensors
from wood.seeds.cam import multi_scale_cam
from wood.seeds.pyramid import make_pyramid

CLASSES = ["cat", "dog", "person"]


@pytest.fixture(scope="module")
def model() -> CamClassifier:
    torch.manual_seed(0)
    return build_classifier("tf_efficientnet_lite0", CLASSES, 16, "package").eval()


def photograph(width, height, seed):
    noise = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


@torch.inference_mode()
def definition(model, image, scales):
    """Sum over scales and mirror images of relu(w . features), on the padded grid of stride 4."""
    height, width = image.height, image.width
    grid = (ceil(height / 16) * 4, ceil(width / 16) * 4)
    total = torch.zeros(len(CLASSES), *grid)
    weights = model.head.weight[:, :, 0, 0]
    for scale in scales:
        tensor = normalize(rescale(image, scale), model.backbone.mean, model.backbone.std)
        for mirrored in (False, True):
            features = model.backbone((tensor.flip(2) if mirrored else tensor)[None])[0]
            maps = torch.einsum("cd,dhw->chw", weights, features).clamp(min=0)
            maps = maps.flip(2) if mirrored else maps
            total += interpolate(maps[None], grid, mode="bilinear", align_corners=False)[0]
    return total[:, : ceil(height / 4), : ceil(width / 4)]


def test_batched_maps_equal_the_definition(model):
    images = [photograph(101, 70, seed) for seed in range(3)]
    scales = [0.5, 1.0, 1.5]
    classes = [torch.tensor(present) for present in ([0, 2], [1], [0, 1, 2])]
    for pixels in (2 * 101 * 70 * 2, 10**6):
        batched = multi_scale_cam(
            model,
            [make_pyramid(image, scales) for image in images],
            classes,
            torch.device("cpu"),
            max_batch_pixels=pixels,
        )
        assert [maps.shape for maps in batched] == [(n, 18, 26) for n in (2, 1, 3)]
        for image, present, maps in zip(images, classes, batched, strict=True):
            expected = definition(model, image, scales)[present]
            assert (maps - expected).abs().max() <= 1e-5 * expected.max()


def test_the_logit_is_the_mean_of_the_map_before_the_cut(model):
    image = normalize(photograph(64, 64, 0), model.backbone.mean, model.backbone.std)[None]
    with torch.inference_mode():
        logits, features = model(image)
        everywhere = model.head(model.backbone(image))
    torch.testing.assert_close(logits, everywhere.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)
    assert features.shape == (1, model.backbone.num_features)


def test_maps_are_normalised_each_and_empty_ones_stay_empty():
    maps = torch.tensor([[[0.0, 4.0]], [[0.0, 0.0]]])
    assert normalize_maps(maps).tolist() == [[[0, 1]], [[0, 0]]]


def test_a_classifier_comes_back(model, tmp_path):
    path = tmp_path / "model.safetensors"
    metadata = {"backbone": "tf_efficientnet_lite0", "output_stride": 16, "class_names": CLASSES}
    save_classifier(path, model, metadata)
    loaded, found = load_classifier(path)
    assert found["class_names"] == CLASSES
    state = model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())

    save_classifier(path, model, {**metadata, "class_names": ["cat"]})
    with pytest.raises(InputError, match=r"'head\.weight' has shape"):
        load_classifier(path)
    with torch.no_grad():
        model.head.weight[0, 0, 0, 0], kept = torch.nan, model.head.weight[0, 0, 0, 0].clone()
        save_classifier(path, model, metadata)
        model.head.weight[0, 0, 0, 0] = kept
    with pytest.raises(InputError, match=r"'head\.weight' hold NaN"):
        load_classifier(path)
    save_tensors(path, {}, {"architecture": "irnet"})
    with pytest.raises(InputError, match="does not hold a classifier"):
        load_classifier(path)
