"""Files appear whole or not at all."""

import json
import struct

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from wood.data.lists import half, read_image_list, shard, write_image_list
from wood.maps import LocalizationMaps, read_maps, upsample, write_maps
from wood.ood.parquet import read_shard
from wood.runtime import store
from wood.runtime.errors import InputError
from wood.runtime.store import (
    atomic_directory,
    atomic_path,
    collect_folders,
    load_tensors,
    read_json,
    read_table,
    save_tensors,
    write_json,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "scores.json"
    write_json(target, {"miou": 0.5})
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(target) == {"miou": 0.5}
    assert [path.name for path in tmp_path.iterdir()] == ["scores.json"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    target = tmp_path / "masks"
    with atomic_directory(target) as temporary:
        (temporary / "a").touch()
    with pytest.raises(RuntimeError), atomic_directory(target) as temporary:
        (temporary / "b").touch()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["a"]
    assert [path.name for path in tmp_path.iterdir()] == ["masks"]


def test_what_a_killed_writer_left_does_not_get_into_the_folder(tmp_path):
    leftover = tmp_path / ".masks.part"
    leftover.mkdir()
    (leftover / "half").touch()
    with atomic_directory(tmp_path / "masks") as temporary:
        (temporary / "whole").touch()
    assert [path.name for path in (tmp_path / "masks").iterdir()] == ["whole"]
    assert not leftover.exists()


def test_nan_is_no_score(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "scores.json", {"miou": float("nan")})
    assert not list(tmp_path.iterdir())


def test_tensors_come_back_with_their_metadata(tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors(path, {"a": torch.arange(6).reshape(2, 3).T}, {"classes": ["cat"]})
    tensors, metadata = load_tensors(path)
    assert tensors["a"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert metadata == {"classes": ["cat"]}


@pytest.mark.parametrize("content", [b"", b"not a file of tensors", None])
def test_a_broken_tensor_file_is_named(tmp_path, content):
    path = tmp_path / "x.safetensors"
    if content is None:
        save_tensors(path, {"a": torch.zeros(100)})
        content = path.read_bytes()[:-10]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.safetensors: not a whole safetensors file"):
        load_tensors(path)


def test_a_broken_table_is_named(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"x\.parquet"):
        read_table(path)
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "y.parquet")


JSON = {
    "depth": ("[" * 100_000, "nested too deeply"),
    "depth of objects": ('{"a":' * 100_000, "nested too deeply"),
    "a key twice": ('{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' stands twice"),
    "NaN": ('{"a": NaN}', "NaN is no number"),
    "a number": ("[1e400]", "too large"),
    "digits": ("9" * 5000, "not a JSON file"),
    "half a character": ('["\\ud800"]', "not a JSON file"),
    "bytes": ("[" + "1, " * 400 + "1]", "more than the 1000 bytes"),
}


@pytest.mark.parametrize("kind", JSON)
def test_json_is_bounded(tmp_path, monkeypatch, kind):
    text, words = JSON[kind]
    if kind == "bytes":
        monkeypatch.setattr(store, "MAX_JSON_BYTES", 1000)
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"x\.json: .*{words}"):
        read_json(path)


def test_a_whole_character_in_two_halves_is_one(tmp_path):
    (tmp_path / "x.json").write_text('["\\ud83d\\ude00"]')
    assert read_json(tmp_path / "x.json") == ["\U0001f600"]


def test_rows_of_a_table_are_bounded_however_small_its_file(tmp_path):
    """A value that repeats takes a few bytes for millions of rows."""
    path, part = tmp_path / "x.parquet", pa.table({"a": pa.repeat(True, 3_000_000)})
    with pq.ParquetWriter(path, part.schema, compression="zstd") as writer:
        for _ in range(17):
            writer.write_table(part)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(InputError, match=r"x\.parquet: more than the 50000000 rows allowed"):
        read_table(path)


@pytest.mark.parametrize("read", [read_table, lambda path: read_shard(path, 0, 1)])
def test_values_that_are_read_at_once_are_bounded(tmp_path, monkeypatch, read):
    monkeypatch.setattr(store, "MAX_VALUES", 5)
    pd.DataFrame({"a": [1, 2, 3], "b": [1, 2, 3]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"x\.parquet: 3 rows of 2 columns are more than can be"):
        read(tmp_path / "x.parquet")


HEADERS = {
    "its length": struct.pack("<Q", 1 << 40) + b"{}",
    "a long header": struct.pack("<Q", 101_000_000) + b" " * 101_000_000,
    "a shape": {"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}},
    "an overflow": {"a": {"dtype": "F32", "shape": [1 << 62, 8], "data_offsets": [0, 4]}},
    "outside": {"a": {"dtype": "F32", "shape": [1], "data_offsets": [400, 404]}},
    "twice": {n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"},
    "a deep note": {"__metadata__": {"wood": "[" * 100_000}},
}


@pytest.mark.parametrize("kind", HEADERS)
def test_safetensors_are_bounded_by_their_own_size(tmp_path, kind):
    content = HEADERS[kind]
    if isinstance(content, dict):
        text = json.dumps(content).encode()
        content = struct.pack("<Q", len(text)) + text + bytes(4)
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.safetensors: not a whole safetensors file"):
        load_tensors(path)


def test_folders_are_collected_and_a_clash_is_an_error(tmp_path):
    for folder, name in (("1", "a"), ("2", "b"), ("3", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(folder)
        (tmp_path / folder / ".snakemake_timestamp").touch()
    collect_folders([tmp_path / "1", tmp_path / "2"], tmp_path / "all")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == ["a", "b"]
    with pytest.raises(InputError, match="3/b"):
        collect_folders([tmp_path / "2", tmp_path / "3"], tmp_path / "all")


def test_shards_cover_a_list_once():
    items = list(range(11))
    parts = [shard(items, index, 4) for index in range(4)]
    assert [item for part in parts for item in part] == items
    assert {len(part) for part in parts} == {2, 3}


def test_halves_do_not_depend_on_the_list():
    halves = [half(f"2007_{number:06d}") for number in range(2000)]
    assert 900 < halves.count("A") < 1100
    assert half("2007_000032") == "B"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a CSV"),
        ("image_id\na\n", "'path' is missing"),
        ("image_id,path\n", "names no image"),
        ("image_id,path\na,x\na,y\n", "'a' is listed twice"),
    ],
)
def test_a_bad_image_list_is_named(tmp_path, text, message):
    path = tmp_path / "list.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"list\.csv: .*{message}"):
        read_image_list(path)


def test_an_id_of_digits_stays_text(tmp_path):
    path = tmp_path / "list.csv"
    write_image_list(path, pd.DataFrame({"image_id": ["007"], "path": ["7.jpg"]}))
    assert read_image_list(path)["image_id"].tolist() == ["007"]


def example_maps(image_id="a", size=(10, 13)):
    maps = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    return LocalizationMaps(image_id, size, torch.tensor([1, 4]), maps)


def test_maps_come_back(tmp_path):
    path = tmp_path / "maps.safetensors"
    empty = LocalizationMaps("b", (5, 5), torch.tensor([], dtype=torch.int64), torch.zeros(0, 2, 2))
    write_maps(path, [example_maps(), empty], class_names=list("vwxyz"), source="test")
    first, second = read_maps(path, list("vwxyz"))
    assert (first.image_id, first.size, first.classes.tolist()) == ("a", (10, 13), [1, 4])
    torch.testing.assert_close(first.maps.float(), example_maps().maps, atol=1e-3, rtol=0)
    assert first.upsampled().shape == (2, 10, 13)
    assert second.upsampled().shape == (0, 5, 5)


def test_maps_of_other_classes_are_refused(tmp_path):
    path = tmp_path / "maps.safetensors"
    write_maps(path, [example_maps()], class_names=["cat", "dog"], source="test")
    with pytest.raises(InputError, match="made for the classes cat, dog, not for dog, cat"):
        read_maps(path, ["dog", "cat"])
    save_tensors(path, {"a": torch.zeros(1)}, {"kind": "weights"})
    with pytest.raises(InputError, match="does not hold localization maps"):
        read_maps(path)


def test_upsampling_keeps_a_ramp_in_place():
    """Half-pixel centres: the value at stride-4 cell i stands at pixel 4 i + 1.5."""
    ramp = torch.arange(8.0).expand(1, 4, 8)
    large = upsample(ramp, (16, 31))
    expected = (torch.arange(31) - 1.5) / 4
    torch.testing.assert_close(large[0, 8, 2:29], expected[2:29])
