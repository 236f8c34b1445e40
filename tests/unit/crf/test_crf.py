"""The dense CRF, and its use in worker processes."""

import sys

import numpy as np
import pytest
from pydensecrf.utils import unary_from_labels

from wood.crf import DEEPLAB_CRF, IR_LABEL_CRF, energy_of_labels, refine, refine_each


def test_published_parameters():
    """IRN's crf_inference_label; deeplab-pytorch's configs/voc12.yaml."""
    assert IR_LABEL_CRF == {
        "iterations": 10,
        "gt_prob": 0.7,
        "gaussian": {"sxy": 3, "compat": 3},
        "bilateral": {"sxy": 50, "srgb": 5, "compat": 10},
    }
    assert DEEPLAB_CRF == {
        "iterations": 10,
        "gaussian": {"sxy": 1, "compat": 3},
        "bilateral": {"sxy": 67, "srgb": 3, "compat": 4},
    }


def two_halves(height=40, width=60):
    """A dark left and a bright right half."""
    image = np.full((height, width, 3), 40, np.uint8)
    image[:, width // 2 :] = 210
    return image


def test_labels_move_to_the_edges_of_the_image():
    image = two_halves()
    labels = np.zeros((40, 60), np.int64)
    labels[:, 25:] = 1  # five columns too far to the left

    refined = refine(image, labels, parameters=IR_LABEL_CRF)

    assert refined.shape == (2, 40, 60)
    assert refined.dtype == np.float32
    np.testing.assert_allclose(refined.sum(axis=0), 1, atol=1e-5)
    assert (refined.argmax(axis=0) == (image[..., 0] > 100)).all()


def test_one_field_serves_several_scores():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    several = [np.kron(rng.integers(0, 3, (4, 6)), np.ones((10, 10), int)) for _ in range(3)]

    together = refine_each(image, several, parameters=IR_LABEL_CRF, num_labels=3)

    for labels, refined in zip(several, together, strict=True):
        [alone] = refine_each(image, [labels], parameters=IR_LABEL_CRF, num_labels=3)
        np.testing.assert_array_equal(refined, alone)
    with pytest.raises(ValueError, match="different numbers of labels"):
        refine_each(image, [several[0], np.zeros((4, 40, 60))], parameters=IR_LABEL_CRF)


def test_probabilities_are_refined():
    image = two_halves()
    scores = np.full((3, 40, 60), 0.1, np.float32)
    scores[0, :, :30] = scores[1, :, 30:] = 0.8
    scores[:, 18:22, 8:12] = np.array([0.3, 0.1, 0.6])[:, None, None]  # a wrong spot on the left

    image.flags.writeable = False  # as Pillow's images are

    refined = refine(image, scores, parameters=DEEPLAB_CRF)

    assert refined.shape == (3, 40, 60)
    assert (refined.argmax(axis=0) == (image[..., 0] > 100)).all()


def test_energies_are_those_of_the_reference_implementation():
    labels = np.random.default_rng(0).integers(0, 4, (5, 7))
    expected = unary_from_labels(labels, 5, gt_prob=0.7, zero_unsure=False)
    np.testing.assert_allclose(energy_of_labels(labels, 5, 0.7).reshape(5, -1), expected, rtol=1e-6)


def test_labels_without_a_pixel_count_when_they_are_named():
    labels = np.zeros((10, 12), np.int64)
    labels[:, 6:] = 1
    image = np.zeros((10, 12, 3), np.uint8)
    [refined] = refine_each(image, [labels], parameters=IR_LABEL_CRF, num_labels=4)
    assert refined.shape == (4, 10, 12)
    assert set(np.unique(refined.argmax(axis=0))) <= {0, 1}


def test_one_label_needs_no_crf(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    image = np.zeros((3, 4, 3), np.uint8)
    for scores in (np.zeros((3, 4), np.int64), np.ones((1, 3, 4), np.float32)):
        assert (refine(image, scores, parameters=IR_LABEL_CRF) == np.ones((1, 3, 4))).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (3, 2)])
def test_tiny_images(height, width):
    scores = np.full((2, height, width), [[[0.9]], [[0.1]]])
    refined = refine(np.zeros((height, width, 3), np.uint8), scores, parameters=DEEPLAB_CRF)
    assert (refined.argmax(axis=0) == 0).all()


def test_zero_probabilities_stay_finite():
    scores = np.zeros((2, 8, 8))
    scores[0] = 1
    assert np.isfinite(refine(np.zeros((8, 8, 3), np.uint8), scores, parameters=DEEPLAB_CRF)).all()


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (np.zeros((2, 8, 9)), "do not belong together"),
        (np.full((2, 8, 8), np.nan), "not finite"),
        (np.full((8, 8), -1), "outside"),
    ],
)
def test_bad_scores_are_refused(scores, words):
    with pytest.raises(ValueError, match=words):
        refine(np.zeros((8, 8, 3), np.uint8), scores, parameters=IR_LABEL_CRF)
