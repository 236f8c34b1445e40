"""Filtering Open Images: which images remain, why the others do not, and bad files."""

import pandas as pd
import pytest

from tests.unit.openimages import IMAGE_HEADER, LABEL_HEADER, Mirror, write_csv
from wood.ood import buckets as module
from wood.ood.candidates import filter_candidates
from wood.ood.metadata import fetch_metadata
from wood.runtime.errors import InputError

MINI = ["cat", "cow", "dog", "horse", "person", "sheep"]
HUMAN = "v5/validation-annotations-human-imagelabels.csv"
MACHINE = "v5/validation-annotations-machine-imagelabels.csv"
IMAGES = "2018_04/validation/validation-images-with-rotation.csv"


def collect(root, folder, **settings):
    metadata = fetch_metadata(folder, base=root, splits=["validation"])
    paths = folder / "candidates.parquet", folder / "explanation.parquet"
    filter_candidates(metadata, *paths, **({"classes": MINI} | settings))
    return pd.read_parquet(paths[0]), pd.read_parquet(paths[1])


def test_the_mini_sets_kinds_of_labels(tmp_path):
    """The kinds of rows of the mini photographs, in their numbers."""
    mirror = Mirror(tmp_path / "mirror")
    absent = [("Cat", 0), ("Dog", 0), ("Person", 0)]
    excluded, kept = {}, []
    plain = ["Cat", "Cattle", "Dog", "Horse"] * 30 + ["Sheep"] * 40
    finer = ["Kitten", "Dairy cow", "Puppy", "Mare"] * 10
    for label in plain + finer:
        excluded[mirror.add([("Animal", 1), (label, 1), ("Person", 0)])] = (label, "human")
    for label in ["Cat"] * 4 + ["Cattle", "Dog", "Horse", "Sheep"] * 5:
        excluded[mirror.add([], [(label, 0.9)])] = (label, "machine")
    kept += [mirror.add(absent, [("Mammal", 0.8)]) for _ in range(174)]  # the label is missing
    kept += [mirror.add([("Room", 1), *absent]) for _ in range(319)]
    kept += [mirror.add([("Forest", 1)], [("Cat", 0.4)]) for _ in range(160)]
    kept += [mirror.add([("Forest", 0)]) for _ in range(440)]
    found, explained = collect(mirror.write(), tmp_path / "out")
    assert len(excluded) == 224
    assert len(found) == 1093
    assert sorted(found["image_id"]) == sorted(kept)
    reasons = {row.image_id: (row.label, row.source) for row in explained.itertuples()}
    assert reasons == excluded
    assert found["image_id"].is_monotonic_increasing


def test_every_reason_of_an_exclusion_is_explained(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    both = mirror.add([("Kitten", 1), ("Room", 1)], [("Cat", 0.7), ("Dog", 0.2)])
    mirror.add([("Room", 1)])
    _, explained = collect(mirror.write(), tmp_path / "out")
    rows = [tuple(row) for row in explained.to_numpy()]
    assert rows == [
        (both, "cat", "Cat", "machine", pytest.approx(0.7)),
        (both, "cat", "Kitten", "human", 1.0),
    ]


def test_the_machine_threshold_includes_itself(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    at, below = mirror.add([], [("Dog", 0.7)]), mirror.add([], [("Dog", 0.6)])
    root = mirror.write()
    found, _ = collect(root, tmp_path / "out", machine_threshold=0.7)
    assert list(found["image_id"]) == [below]
    found, _ = collect(root, tmp_path / "out", machine_threshold=0.71)
    assert sorted(found["image_id"]) == sorted([at, below])


def test_verified_absent_rows_never_exclude_at_any_threshold(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    image = mirror.add([("Cat", 0), ("Dog", 0)])
    found, explained = collect(mirror.write(), tmp_path / "out", machine_threshold=0)
    assert list(found["image_id"]) == [image]
    assert explained.empty


def test_the_columns_tell_the_reviewer_and_the_downloader(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    first = mirror.add(
        [("Room", 1), ("Forest", 1), ("Cat", 0)],
        [("Mammal", 0.8), ("Animal", 0.95)],
        OriginalURL="https://example.org/o.jpg",
        OriginalLandingURL="https://example.org/page",
        License="CC BY 2.0",
        Author='Zoë, "the" author',
        Thumbnail300KURL="https://example.org/t.jpg",
        Rotation="90.0",
    )
    second = mirror.add([("Dog", 0)], OriginalURL="https://example.org/2.jpg")
    found = collect(mirror.write(), tmp_path / "out")[0].set_index("image_id")
    row = found.loc[first]
    assert row["labels"] == "Forest; Room; Animal (0.95); Mammal (0.8)"
    assert row["url"] == "https://example.org/page"
    assert row["thumbnail_url"] == "https://example.org/t.jpg"
    assert row["original_url"] == "https://example.org/o.jpg"
    assert row["author"] == 'Zoë, "the" author'
    assert (row["license"], row["rotation"], row["split"]) == ("CC BY 2.0", 90, "validation")
    assert found.loc[second, "url"] == "https://example.org/2.jpg"
    assert pd.isna(found.loc[second, "rotation"])


def big_mirror(root):
    mirror = Mirror(root)
    for number in range(400):
        labels = [("Cat", 1)] if number % 4 == 0 else [("Room", 1)]
        mirror.add(labels, [("Forest", 0.9)])
    return mirror.write()


def test_the_number_of_buckets_changes_nothing(tmp_path, monkeypatch):
    root = big_mirror(tmp_path / "mirror")
    one = collect(root, tmp_path / "one")
    monkeypatch.setattr(module, "BUCKET_BYTES", 3000)
    many = collect(root, tmp_path / "many")
    for table, other in zip(one, many, strict=True):
        pd.testing.assert_frame_equal(table, other)


def test_a_sample_is_reproducible_and_nested(tmp_path, monkeypatch):
    root = big_mirror(tmp_path / "mirror")

    def sample(count, seed):
        return list(collect(root, tmp_path / "out", max_candidates=count, seed=seed)[0]["image_id"])

    small = sample(20, 1)
    assert len(small) == 20
    monkeypatch.setattr(module, "BUCKET_BYTES", 3000)
    assert sample(20, 1) == small
    assert set(small) < set(sample(50, 1))
    assert set(sample(20, 2)) != set(small)
    assert len(sample(1000, 1)) == 300


def test_labels_of_images_outside_the_list_are_left_out(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    kept = mirror.add([("Room", 1)])
    mirror.human.append(["feedfacefeedface", "verification", mirror.ids["Cat"], 1])
    found, explained = collect(mirror.write(), tmp_path / "out")
    assert list(found["image_id"]) == [kept]
    assert explained.empty


def test_no_output_is_left_behind_by_an_error(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    mirror.add([("Cat", 1)])
    with pytest.raises(InputError, match="no image is without a foreground label"):
        collect(mirror.write(), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["metadata.json"]


@pytest.mark.parametrize("bad", ["../../etc/passwd", "a/b", "..", "a\\b", ".hidden", "", "a\tb"])
def test_image_ids_that_are_no_file_names_are_refused(tmp_path, bad):
    mirror = Mirror(tmp_path / "mirror")
    mirror.add([("Room", 1)])
    mirror.add([("Room", 1)] if bad else (), ImageID=bad)
    with pytest.raises(InputError, match=r"the image id .* (is|begins)") as error:
        collect(mirror.write(), tmp_path / "out")
    assert f"'{bad}'".replace("\t", "\\t") in str(error.value)
    assert IMAGES in str(error.value)


def test_an_image_listed_twice_is_named(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    twice = mirror.add([("Room", 1)])
    mirror.add(ImageID=twice)
    with pytest.raises(InputError, match=f"the image '{twice}' is listed twice"):
        collect(mirror.write(), tmp_path / "out")


def test_one_list_of_all_images_serves_every_split(tmp_path):
    """Open Images' image_ids_and_rotation.csv: each row says which split it belongs to."""
    mirror = Mirror(tmp_path / "mirror")
    expected = {}
    for split in ("train", "validation", "test", "validation"):
        name = mirror.add(human=[("Room", 1)], Subset=split)
        expected[name] = split
    unsaid = mirror.add(human=[("Room", 1)], Subset="")
    root = mirror.write()
    splits = ["train", "validation", "test"]
    whole = "2018_04/validation/validation-images-with-rotation.csv"
    files = {
        source: dict.fromkeys(splits, f"v5/validation-annotations-{source}-imagelabels.csv")
        for source in ("human", "machine")
    } | {"images": dict.fromkeys(splits, whole)}
    index = fetch_metadata(tmp_path / "metadata", base=root, splits=splits, files=files)
    with pytest.raises(InputError, match=f"the image '{unsaid}' is listed twice"):
        filter_candidates(index, tmp_path / "c.parquet", tmp_path / "e.parquet", classes=["cat"])
    mirror.images.pop()
    mirror.write()
    filter_candidates(index, tmp_path / "c.parquet", tmp_path / "e.parquet", classes=["cat"])
    found = pd.read_parquet(tmp_path / "c.parquet").set_index("image_id")["split"]
    assert found.to_dict() == expected


def test_short_rows_are_told_from_titles_with_commas_and_line_breaks(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    image = mirror.add([("Room", 1)], Title='One, "two",\nthree', Author="Ann")
    mirror.human.append(["long", "verification", "/m/06ht1", 1])
    root = mirror.write()
    with (root / IMAGES).open("a") as file:
        file.write(f"long{',' * 13}\n")
    assert sorted(collect(root, tmp_path / "out")[0]["image_id"]) == sorted([image, "long"])
    with (root / IMAGES).open("a") as file:
        file.write("short,validation\n")
    with pytest.raises(InputError, match="row 5 has 2 columns, not 12"):
        collect(root, tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("abc,verification", "row 3 has 2 columns, not 4"),
        ("abc,verification,/m/01yrx,often", "row 3 has the confidence 'often'"),
        ("abc,verification,,1", "row 3 has no image id or no label"),
        (",verification,/m/01yrx,1", "row 3 has no image id or no label"),
    ],
)
@pytest.mark.parametrize("file", [HUMAN, MACHINE])
def test_a_bad_label_row_is_named(tmp_path, file, line, reason):
    mirror = Mirror(tmp_path / "mirror")
    mirror.add([("Room", 1)], [("Room", 0.9)])
    root = mirror.write()
    path = root / file
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(InputError, match=reason) as error:
        collect(root, tmp_path / "out")
    assert file in str(error.value)


@pytest.mark.parametrize(
    ("file", "header", "missing"),
    [(HUMAN, LABEL_HEADER, "LabelName"), (IMAGES, IMAGE_HEADER, "ImageID")],
)
def test_a_file_without_its_columns_is_named(tmp_path, file, header, missing):
    mirror = Mirror(tmp_path / "mirror")
    mirror.add([("Room", 1)])
    root = mirror.write()
    names = [name if name != missing else "Something" for name in header]
    write_csv(root / file, [names, ["x"] * len(names)])
    with pytest.raises(InputError, match=f"{file}: the column '{missing}' is missing"):
        collect(root, tmp_path / "out")


def test_labels_of_another_version_are_noticed(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    mirror.add()
    mirror.human.append(["abc", "verification", "/m/unheard-of", 1])
    with pytest.raises(InputError, match=r"none of its labels, such as '/m/unheard-of'"):
        collect(mirror.write(), tmp_path / "out")


def test_names_that_are_not_utf8_do_not_stop_the_rest(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    image = mirror.add([("Room", 1)], Author="AUTHOR")
    root = mirror.write()
    path = root / IMAGES
    path.write_bytes(path.read_bytes().replace(b"AUTHOR", b"Zo\xeb"))
    found, _ = collect(root, tmp_path / "out")
    assert list(found["image_id"]) == [image]
    assert found["author"].iloc[0] == "Zo�"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": []}, "classes: name at least one"),
        ({"machine_threshold": 1.5}, "machine_threshold: 1.5"),
        ({"max_candidates": 0}, "max_candidates: 0"),
        ({"splits": ["train"]}, "no split 'train'"),
    ],
)
def test_impossible_settings_are_named(tmp_path, settings, message):
    mirror = Mirror(tmp_path / "mirror")
    mirror.add()
    with pytest.raises(InputError, match=message):
        collect(mirror.write(), tmp_path / "out", **settings)
