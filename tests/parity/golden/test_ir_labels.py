"""IR labels: `step/cam_to_ir_label.py` of IRN and of W-OoD, on three photographs."""

import numpy as np
import pytest
import torch

from tests.parity.golden.recipe import golden
from wood.affinity.ir_labels import ir_label, refined_seed
from wood.maps import LocalizationMaps


@pytest.mark.parametrize("photograph", [0, 1, 2])
@pytest.mark.parametrize("name", ["irn-fg0.3-bg0.05", "wood-fg0.3-bg0.15"])
def test_every_pixel(name, photograph):
    expected = golden(f"ir-labels/{name}")
    image, keys, cam, label = (
        expected[f"{what}{photograph}"] for what in ("image", "keys", "cam", "label")
    )
    maps = LocalizationMaps("a", image.shape[:2], torch.from_numpy(keys), torch.from_numpy(cam))
    thresholds = expected["thresholds"].tolist()
    for kind, threshold in zip(("fg", "bg"), thresholds, strict=True):
        before, after = expected[f"crf{photograph}_{kind}"]
        assert (maps.seed_labels(threshold) == before).all()
        refined = refined_seed(image, maps, threshold=threshold, gt_prob=0.7)
        assert (refined == maps.mask_values[after]).all()
    foreground, background = thresholds
    ours = ir_label(
        image,
        maps,
        foreground_threshold=foreground,
        background_threshold=background,
        gt_prob=0.7,
    )
    assert (ours == label).all()
    assert len(np.unique(label)) > 2
