import json

import numpy as np
import pytest

from wood.metrics import SegmentationScores, harmonic_mean

NAMES = ["background", "cat", "dog"]


def brute_force(targets, predictions, classes):
    """The definitions, pixel by pixel and class by class."""
    ious, precisions, recalls = [], [], []
    for c in range(classes):
        tp = fp = fn = 0
        for target, prediction in zip(targets, predictions, strict=True):
            for t, p in zip(target.ravel().tolist(), prediction.ravel().tolist(), strict=True):
                if t == 255:
                    continue
                p = 0 if p == 255 else p
                tp += t == c and p == c
                fp += t != c and p == c
                fn += t == c and p != c
        if tp + fp + fn == 0:
            continue
        ious.append(tp / (tp + fp + fn))
        precisions.append(tp / (tp + fp) if tp + fp else 0.0)
        recalls.append(tp / (tp + fn) if tp + fn else 0.0)
    return [sum(values) / len(values) for values in (ious, precisions, recalls)]


def test_hand_computed_numbers():
    scores = SegmentationScores(NAMES)
    target = np.array([[0, 0, 1, 1], [0, 1, 1, 255], [2, 2, 255, 0]])
    prediction = np.array([[0, 1, 1, 1], [0, 0, 1, 1], [2, 255, 2, 0]])
    scores.update(target, prediction)
    assert scores.confusion.tolist() == [[3, 1, 0], [1, 3, 0], [1, 0, 1]]
    summary = scores.summary()
    # background TP 3, FP 2, FN 1; cat TP 3, FP 1, FN 1; dog TP 1, FP 0, FN 1
    assert summary["miou"] == pytest.approx((3 / 6 + 3 / 5 + 1 / 2) / 3)
    assert summary["precision"] == pytest.approx((3 / 5 + 3 / 4 + 1) / 3)
    assert summary["recall"] == pytest.approx((3 / 4 + 3 / 4 + 1 / 2) / 3)
    assert summary["per_class"]["cat"] == pytest.approx(
        {"iou": 3 / 5, "precision": 3 / 4, "recall": 3 / 4}
    )


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_definitions_pixel_by_pixel(seed):
    rng = np.random.default_rng(seed)
    values = [0, 1, 2, 3, 255]
    shapes = [(7, 5), (1, 1), (4, 9)]
    targets = [rng.choice(values, shape).astype(np.uint8) for shape in shapes]
    predictions = [rng.choice(values, shape).astype(np.uint8) for shape in shapes]
    scores = SegmentationScores([*NAMES, "bird", "never seen"])
    for target, prediction in zip(targets, predictions, strict=True):
        scores.update(target, prediction)
    summary = scores.summary()
    expected = brute_force(targets, predictions, 5)
    assert [summary[key] for key in ("miou", "precision", "recall")] == pytest.approx(expected)
    assert scores.images == 3


@pytest.mark.parametrize(
    ("precision", "recall", "f1"),
    [
        (61.9, 72.7, 66.9),
        (66.5, 73.2, 69.7),
        (67.2, 76.5, 71.5),
        (68.5, 76.7, 72.4),
        (66.8, 77.6, 71.8),
        (71.5, 77.9, 74.6),
    ],
)
def test_f1_is_the_harmonic_mean_as_in_the_paper(precision, recall, f1):
    assert round(harmonic_mean(precision, recall), 1) == f1


def test_f1_is_of_the_means_and_not_the_mean_of_f1s():
    scores = SegmentationScores(NAMES)
    scores.update(np.array([[0, 0, 0, 1]]), np.array([[0, 1, 1, 1]]))
    summary = scores.summary()
    precision, recall = (1 + 1 / 3) / 2, (1 / 3 + 1) / 2
    assert summary["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    f1s = [2 * 1 * (1 / 3) / (1 + 1 / 3)] * 2
    assert summary["f1"] != pytest.approx(sum(f1s) / 2)


def test_absent_class_is_left_out_but_a_missed_one_is_not():
    scores = SegmentationScores(NAMES)
    scores.update(np.array([[0, 0], [1, 1]]), np.array([[0, 0], [0, 0]]))
    summary = scores.summary()
    assert summary["miou"] == pytest.approx((1 / 2 + 0) / 2)
    assert summary["precision"] == pytest.approx((1 / 2 + 0) / 2)
    assert summary["per_class"]["dog"] == {"iou": None, "precision": None, "recall": None}
    assert summary["per_class"]["cat"]["iou"] == 0


def test_class_only_in_the_prediction_counts():
    scores = SegmentationScores(NAMES)
    scores.update(np.array([[0, 0, 0, 0]]), np.array([[0, 0, 0, 2]]))
    summary = scores.summary()
    assert summary["miou"] == pytest.approx((3 / 4 + 0) / 2)
    assert summary["recall"] == pytest.approx((3 / 4 + 0) / 2)
    assert summary["per_class"]["dog"] == {"iou": 0, "precision": 0, "recall": 0}


def test_wholly_ignored_and_skipped_images():
    scores = SegmentationScores(NAMES)
    scores.update(np.full((2, 2), 255), np.ones((2, 2), dtype=int))
    assert scores.summary()["miou"] is None
    assert scores.images == 1
    scores.update(np.array([[0, 1, 255]]), None)
    assert scores.confusion.tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    json.dumps(scores.summary(), allow_nan=False)


def test_nothing_right_has_an_f1_of_zero():
    scores = SegmentationScores(NAMES)
    scores.update(np.array([[1, 0]]), np.array([[0, 1]]))
    assert scores.summary()["f1"] == 0


def test_merge_is_the_same_as_counting_together():
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (4, 2, 6, 5))
    together, first, second = (SegmentationScores(NAMES) for _ in range(3))
    for number, (target, prediction) in enumerate(masks):
        together.update(target, prediction)
        (first if number < 2 else second).update(target, prediction)
    first.merge(second)
    assert first.summary() == together.summary()
    assert first.images == 4
    with pytest.raises(ValueError, match="different classes"):
        first.merge(SegmentationScores(["background", "dog", "cat"]))


@pytest.mark.parametrize(
    ("target", "prediction"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int)),
        (np.zeros((2, 3), int), np.zeros((1, 3), int)),
        (np.zeros((2, 3), int), np.full((2, 3), 3)),
        (np.full((2, 3), 3), np.zeros((2, 3), int)),
        (np.zeros((2, 3), int), np.full((2, 3), -1)),
        (np.zeros((2, 3), int), np.zeros((2, 3))),
        (np.zeros((1, 2, 3), int), np.zeros((1, 2, 3), int)),
    ],
)
def test_other_shapes_and_values_are_errors(target, prediction):
    scores = SegmentationScores(NAMES)
    with pytest.raises(ValueError, match=r"target|prediction"):
        scores.update(target, prediction)
    assert scores.images == 0
    assert not scores.confusion.any()


def test_inputs_are_left_alone():
    target, prediction = np.array([[0, 255]]), np.array([[255, 1]])
    SegmentationScores(NAMES).update(target, prediction)
    assert target.tolist() == [[0, 255]]
    assert prediction.tolist() == [[255, 1]]


def test_unsigned_masks_of_many_classes_do_not_overflow():
    scores = SegmentationScores([str(index) for index in range(200)])
    scores.update(np.full((2, 2), 199, np.uint8), np.full((2, 2), 198, np.uint8))
    assert scores.confusion[199, 198] == 4
