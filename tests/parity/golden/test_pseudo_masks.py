"""From maps and boundaries to masks and instances: IRN, AdvCAM and W-OoD."""

import numpy as np
import pytest
import torch

from tests.parity.golden.recipe import assert_close, golden
from wood.affinity.inputs import Seed
from wood.affinity.instances import centroid_groups, find_instances
from wood.affinity.pseudo_masks import pseudo_mask, walk_seeds
from wood.maps import LocalizationMaps

RESULTS = [
    ("irn-sem-power1.0-thres0.25", "float64"),
    ("irn-sem-power1.0-thres0.25", "float32"),
    ("advcam-sem-power1.5-thres0.25", "float64"),
    ("advcam-sem-power1.5-thres0.25", "float32"),
    ("wood-sem-power1.0-thres0.22", "float32"),
    ("wood-sem-power1.5-thres0.22", "float64"),
    ("wood-sem-power1.5-thres0.22", "float32"),
]


def inputs(folder):
    """The seed of the golden image, its boundary map and its displacements."""
    given = golden(f"{folder}/inputs")
    maps = LocalizationMaps(
        "golden", tuple(given["size"]), torch.tensor(given["keys"]), torch.tensor(given["cam"])
    )
    return Seed(maps, ""), torch.tensor(given["edge"]), torch.tensor(given["displacement"])


def numbers_in(name):
    power, threshold = name.split("-power")[1].split("-thres")
    return float(power), float(threshold)


@pytest.mark.parametrize(("name", "precision"), RESULTS)
def test_the_map_is_raised_to_the_power_before_the_walk(name, precision):
    expected = golden(f"pseudo-masks/{name}-{precision}")
    power, threshold = numbers_in(name)
    seed, boundary, _ = inputs("pseudo-masks")
    [walked] = walk_seeds([seed], boundary, 5, 10.0, 8, power)
    # The published float32 is itself off by 4e-5.
    assert_close(walked, expected["walked"], 5e-7 if precision == "float64" else 1e-4)
    assert (pseudo_mask(seed, walked, threshold) == expected["label"]).all()


def test_a_power_after_the_walk_is_another_mask():
    """What this project once did: a fifth of the pixels differ."""
    expected = golden("pseudo-masks/wood-sem-power1.5-thres0.22-float64")["label"]
    seed, boundary, _ = inputs("pseudo-masks")
    [walked] = walk_seeds([seed], boundary, 5, 10.0, 8)
    # x ** 1.5 > t where x > t ** (1 / 1.5)
    late = pseudo_mask(seed, walked, 0.22 ** (1 / 1.5))
    assert (late != expected).mean() > 0.1


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_instances(precision):
    expected = golden(f"instances/irn-ins-power1.0-thres0.25-{precision}")
    seed, boundary, displacement = inputs("instances")

    groups = centroid_groups(displacement.numpy())
    ours = {(groups == number).tobytes() for number in np.unique(groups)}
    assert ours == {group.tobytes() for group in expected["instance_map"]}

    walk = {"radius": 5, "beta": 10.0, "exp_times": 8}
    found = find_instances(
        seed, boundary[0], displacement, walk=walk, threshold=0.25, power=1.0
    )  # fmt: skip
    masks = np.unpackbits(expected["mask"], axis=-1)[..., :117].astype(bool)
    theirs = {
        (int(number) + 1, mask.tobytes()): score
        for number, mask, score in zip(expected["class_"], masks, expected["score"], strict=True)
        if score > 0  # 0 marks fragments below one per cent of the image, which ours leave out
    }
    assert {(one.value, one.mask.tobytes()) for one in found} == set(theirs)
    for one in found:
        assert one.score == pytest.approx(theirs[one.value, one.mask.tobytes()], abs=2e-5)
