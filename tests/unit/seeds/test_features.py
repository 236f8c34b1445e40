"""Features of whole images."""

import pandas as pd
import pytest

from tests.unit.seeds.small_training import WHOLE
from wood.data.lists import write_image_list
from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors
from wood.seeds.features import extract_features


def test_a_list_of_unreadable_images_is_refused(data, tmp_path):
    """Where any share may fail, some image must be there all the same."""
    rows = []
    for name in ("a", "b"):
        path = tmp_path / f"{name}.png"
        path.write_text("no image")
        rows.append((name, str(path)))
    readable = pd.read_csv(data / "ood.csv", dtype=str)[["image_id", "path"]].iloc[:1]
    broken = pd.DataFrame(rows, columns=["image_id", "path"])
    write_image_list(tmp_path / "broken.csv", broken)
    write_image_list(tmp_path / "some.csv", pd.concat([broken, readable]))
    weights, any_share = data / "cam" / "model.safetensors", {**WHOLE, "max_failed_fraction": 1.0}

    with pytest.raises(InputError, match=r"a\.png: neither this image nor any other of the 2"):
        extract_features(tmp_path / "broken.csv", weights, tmp_path / "features", **any_share)
    assert not (tmp_path / "features").exists()

    extract_features(tmp_path / "some.csv", weights, tmp_path / "features", **any_share)
    assert load_tensors(tmp_path / "features")[1]["images"] == list(readable["image_id"])
