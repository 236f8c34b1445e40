"""Scores of candidate images by a small real classifier, and contact sheets."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.unit.openimages import write_image
from wood.data.images import load_image
from wood.data.transforms import normalize, resize_long_side
from wood.models.classifiers import build_classifier, save_classifier
from wood.ood.contact_sheet import cluster_sheet, contact_sheet
from wood.ood.scoring import batches, load_ahead, score_images
from wood.runtime.errors import InputError
from wood.runtime.store import write_table

NAMES = ["cat", "dog", "horse"]
SIZES = [(64, 48), (48, 64), (100, 75), (64, 48), (1, 1), (80, 80), (60, 45)]
COLOURS = ["olive", "navy", "teal", "maroon", "black", "orange", "purple"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    torch.manual_seed(0)
    model = build_classifier("tf_efficientnet_lite0", NAMES, 16, weights=None)
    torch.nn.init.normal_(model.head.weight, std=2.0)
    path = tmp_path_factory.mktemp("classifier") / "weights.safetensors"
    described = {"backbone": "tf_efficientnet_lite0", "output_stride": 16, "class_names": NAMES}
    save_classifier(path, model, described)
    return path, model.eval()


@pytest.fixture
def manifest(tmp_path):
    rows = []
    for number, (size, colour) in enumerate(zip(SIZES, COLOURS, strict=True)):
        path = tmp_path / f"{number}.jpg"
        write_image(path, size, colour)
        rows.append((f"image{number}", str(path), "train", "ok"))
    rows.insert(2, ("gone", "", "train", "missing"))
    table = pd.DataFrame(rows, columns=["image_id", "path", "split", "status"])
    write_table(tmp_path / "manifest.parquet", table)
    return tmp_path / "manifest.parquet"


def test_scores_are_those_of_the_classifier_on_each_whole_image(classifier, manifest, tmp_path):
    path, model = classifier
    found = score_images(manifest, path, tmp_path / "s.parquet", long_side=64)
    assert list(found.columns) == ["image_id", "path", "split", "class", "score", *NAMES]
    assert list(found["image_id"]) == [f"image{number}" for number in range(len(SIZES))]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "s.parquet"), found)
    for row in found.to_dict("records"):
        image = resize_long_side(load_image(row["path"]), 64)
        tensor = normalize(image, model.backbone.mean, model.backbone.std)
        with torch.inference_mode():
            expected = model(tensor[None])[0][0].sigmoid().numpy()
        scores = np.array([row[name] for name in NAMES])
        np.testing.assert_allclose(scores, expected, atol=1e-4)
        assert row["score"] == scores.max()
        assert row["class"] == NAMES[scores.argmax()]
    assert found[NAMES].dtypes.eq(np.float32).all()


def test_how_images_are_batched_changes_no_score(classifier, manifest, tmp_path):
    options = {"long_side": 64, "workers": 1}
    many = score_images(manifest, classifier[0], tmp_path / "a", **options)
    single = score_images(manifest, classifier[0], tmp_path / "b", max_batch_pixels=1, **options)
    pd.testing.assert_frame_equal(many, single, atol=1e-4)


def test_unreadable_images_are_left_out_up_to_a_share(classifier, manifest, tmp_path):
    (tmp_path / "3.jpg").write_bytes(b"not an image")
    settings = {"long_side": 64, "max_failed_fraction": 0.2}
    found = score_images(manifest, classifier[0], tmp_path / "s.parquet", **settings)
    assert "image3" not in set(found["image_id"])
    assert len(found) == len(SIZES) - 1
    with pytest.raises(InputError, match="1 of 7 images are unreadable"):
        score_images(
            manifest, classifier[0], tmp_path / "t.parquet", long_side=64, max_failed_fraction=0.1
        )
    assert not (tmp_path / "t.parquet").exists()


def test_a_manifest_without_images_is_named(classifier, tmp_path):
    table = pd.DataFrame(columns=["image_id", "path", "split", "status"], dtype=str)
    write_table(tmp_path / "manifest.parquet", table)
    with pytest.raises(InputError, match="there is no image to score"):
        score_images(
            tmp_path / "manifest.parquet", classifier[0], tmp_path / "s.parquet", long_side=64
        )


def test_batches_have_one_size_and_bounded_pixels(manifest):
    paths = pd.read_parquet(manifest).query("status == 'ok'")["path"]
    seen = []
    for rows, pixels in batches(load_ahead(paths, 64, 2), 2 * 64 * 48):
        assert pixels.dtype == torch.uint8
        assert len(rows) == len(pixels)
        assert len(pixels) == 1 or pixels.shape[0] * pixels.shape[2] * pixels.shape[3] <= 6144
        assert max(pixels.shape[2:]) == 64
        seen += rows
    assert sorted(seen) == list(range(len(SIZES)))


@pytest.fixture
def hard_ood(tmp_path):
    lines = ["image_id,split,class,score,path,license,author,url"]
    for number, colour in enumerate(["red", "lime", "blue", "yellow"]):
        path = tmp_path / f"h{number}.png"
        Image.new("RGB", (50, 40), colour).save(path)
        name = "cat" if number < 3 else "dog"
        lines.append(f"h{number},train,{name},0.{6 + number},{path},,,")
    (tmp_path / "hard_ood.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "hard_ood.csv"


def colours(path, row, columns):
    """The colours in the middle of the tiles of one row."""
    sheet, tile = Image.open(path).convert("RGB"), 128
    middle = 6 + row * (tile + 22) + tile // 2
    return [sheet.getpixel((120 + column * (tile + 6) + tile // 2, middle)) for column in columns]


RED, LIME, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)


def test_the_contact_sheet_shows_the_hardest_of_each_class_first(hard_ood, tmp_path):
    contact_sheet(hard_ood, tmp_path / "sheet.png", per_class=2)
    assert colours(tmp_path / "sheet.png", 0, range(2)) == [BLUE, LIME]
    assert colours(tmp_path / "sheet.png", 1, range(2)) == [YELLOW, (255, 255, 255)]
    contact_sheet(hard_ood, tmp_path / "sheet.jpg", per_class=2)
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.format == "JPEG"


def test_the_cluster_sheet_has_a_row_for_each_cluster(hard_ood, tmp_path):
    clusters = dict(zip(["h0", "h1", "h2", "h3"], [4, 1, 1, 1], strict=True))
    cluster_sheet(hard_ood, clusters, tmp_path / "sheet.png")
    assert colours(tmp_path / "sheet.png", 0, range(3)) == [LIME, BLUE, YELLOW]
    assert colours(tmp_path / "sheet.png", 1, range(1)) == [RED]
    with pytest.raises(InputError, match="'h9' has a cluster, but is not listed"):
        cluster_sheet(hard_ood, {"h0": 0, "h9": 1}, tmp_path / "sheet.png")


def test_the_cluster_sheet_shows_the_images_that_have_a_cluster(hard_ood, tmp_path):
    cluster_sheet(hard_ood, {"h3": 0, "h1": 0}, tmp_path / "sheet.png")
    white = (255, 255, 255)
    assert colours(tmp_path / "sheet.png", 0, range(3)) == [LIME, YELLOW, white]


def test_an_image_gone_from_the_disk_leaves_a_blank(hard_ood, tmp_path):
    (tmp_path / "h2.png").unlink()
    contact_sheet(hard_ood, tmp_path / "sheet.png", per_class=3)
    shown = colours(tmp_path / "sheet.png", 0, range(3))
    assert shown[0] not in (RED, LIME, BLUE)
    assert shown[1:] == [LIME, RED]


def test_a_sheet_of_another_kind_is_refused(hard_ood, tmp_path):
    with pytest.raises(InputError, match=r"a \.jpg or a \.png"):
        contact_sheet(hard_ood, tmp_path / "sheet.pdf")


def test_mirror_images_give_the_average_of_both(classifier, manifest, tmp_path):
    options = {"long_side": 64, "workers": 1}
    plain = score_images(manifest, classifier[0], tmp_path / "a", **options)
    both = score_images(manifest, classifier[0], tmp_path / "b", mirror=True, **options)
    for path in plain["path"]:
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path, quality=100)
    flipped = score_images(manifest, classifier[0], tmp_path / "c", **options)
    mean = (plain[NAMES] + flipped[NAMES]) / 2
    np.testing.assert_allclose(both[NAMES], mean, atol=0.02)
    assert np.abs(both[NAMES] - plain[NAMES]).to_numpy().max() > 1e-4
