"""The downloader against a real server that misbehaves, and local folders."""

import gzip
import hashlib
import io
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
import urllib.parse
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.places import ROOT
from tests.server import (
    drop_half_way,
    first,
    good,
    hang,
    not_found,
    raw,
    redirect,
    reply,
    reset,
    status,
)
from tests.unit.openimages import write_image
from wood.data.images import load_image
from wood.ood.candidates import CANDIDATES
from wood.ood.download import download_images
from wood.ood.metadata import fetch_metadata
from wood.ood.parquet import read_shard
from wood.runtime.errors import InputError
from wood.runtime.store import write_table
from wood.runtime.web import is_transient, web_address

QUICK = {"rate_limit": None, "backoff": 0.01, "timeout": 0.5, "retries": 3, "connections": 8}


def jpeg(size=(40, 30), seed=0, **options):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=90, **options)
    return file.getvalue()


def truncated(content):
    """Half a JPEG, with a Content-Length that hides it."""
    return good(content[: len(content) // 2])


def candidates(path, names, **columns):
    table = pd.DataFrame({"image_id": names})
    table["split"] = "validation"
    for field in CANDIDATES:
        if field.name not in table.columns:
            table[field.name] = columns.get(field.name, None if field.name == "rotation" else "")
    table["rotation"] = table["rotation"].astype("Int16")
    write_table(path, table[CANDIDATES.names])
    return path


def download(server, folder, names, *, columns=None, **settings):
    path = candidates(folder / "candidates.parquet", names, **(columns or {}))
    options = QUICK | {"base": f"{server.base}/images", "max_failed_fraction": 1.0} | settings
    manifest = download_images(path, folder / "images", folder / "manifest.parquet", **options)
    return manifest.set_index("image_id")


def test_a_server_that_misbehaves(server, tmp_path):
    """Every good image is there once and intact, every bad one is listed with its reason."""
    contents = {name: jpeg(seed=number) for number, name in enumerate("abcdefghijkl")}
    for name in "abc":
        server.serve(name, good(contents[name]))
    server.serve("d", first(drop_half_way(contents["d"]), contents["d"]))
    server.serve("e", first(truncated(contents["e"]), contents["e"]))
    server.serve("f", first(status(500), contents["f"], times=2))
    server.serve("g", first(reset, contents["g"]))
    server.serve("h", first(hang, contents["h"]))
    server.serve("i", first(status(429, Retry_After="0"), contents["i"]))
    server.serve("html", good(b"<html>Not here any more</html>"))
    server.serve("broken", status(503))
    server.serve("short", truncated(contents["a"]))
    server.serve("forbidden", status(403))
    server.serve("drops", drop_half_way(contents["b"]))
    names = [*"abcdefghi", "html", "broken", "short", "forbidden", "gone", "drops"]
    manifest = download(server, tmp_path, names)

    assert list(manifest.index) == names
    for name in "abcdefghi":
        row = manifest.loc[name]
        assert (row["status"], row["reason"]) == ("ok", "")
        assert (row["width"], row["height"]) == (40, 30)
        assert Path(row["path"]).read_bytes() == contents[name]
    for name, expected, reason, asked in [
        ("html", "failed", "not a readable image", 1),
        ("broken", "failed", "HTTP 503, 4 times", 4),
        ("short", "failed", "truncated JPEG, 4 times", 4),
        ("forbidden", "missing", "HTTP 403", 1),
        ("gone", "missing", "HTTP 404", 1),
        ("drops", "failed", "RemoteProtocolError", 4),
    ]:
        row = manifest.loc[name]
        assert row["status"] == expected
        assert reason in row["reason"]
        assert row["path"] == ""
        assert server.count(name) == asked
    files = sorted(path.name for path in (tmp_path / "images").rglob("*") if path.is_file())
    assert files == [f"{name}.jpg" for name in "abcdefghi"]


def test_a_second_run_asks_only_for_what_is_not_there(server, tmp_path):
    for name in "ab":
        server.serve(name, good(jpeg()))
    server.serve("c", status(500))
    before = download(server, tmp_path, list("abc"), retries=0)
    server.serve("c", good(jpeg()))
    after = download(server, tmp_path, list("abc"), retries=0)
    assert [server.count(name) for name in "abc"] == [1, 1, 2]
    assert list(before["status"]) == ["ok", "ok", "failed"]
    assert list(after["status"]) == ["ok", "ok", "ok"]
    columns = ["path", "width", "height", "rotation"]
    pd.testing.assert_frame_equal(before.loc[["a", "b"], columns], after.loc[["a", "b"], columns])


def test_a_killed_run_loses_nothing_and_downloads_nothing_twice(server, tmp_path):
    """SIGKILL at several moments; whole files are never asked for again."""
    contents = {f"{number:04x}": jpeg(seed=number) for number in range(80)}
    path = candidates(tmp_path / "candidates.parquet", list(contents))

    def slowly(content):
        def answer(handler, before):
            time.sleep(0.02)
            reply(handler, content)

        return answer

    for name, content in contents.items():
        server.serve(name, slowly(content))
    script = textwrap.dedent(f"""
        from wood.ood.download import download_images
        download_images({str(path)!r}, {str(tmp_path / "images")!r},
                        {str(tmp_path / "manifest.parquet")!r}, base={server.base + "/images"!r},
                        rate_limit=None, connections=4)
    """)
    for arrived in (5, 40):
        run = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
        while len(list((tmp_path / "images").rglob("*.jpg"))) < arrived and run.poll() is None:
            time.sleep(0.002)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        time.sleep(0.1)
        there = {file.stem for file in (tmp_path / "images").rglob("*.jpg")}
        for name in there:
            server.serve(name, status(500))  # whoever asks again gets nothing
            assert (tmp_path / f"images/validation/{name}.jpg").read_bytes() == contents[name]
    manifest = download(server, tmp_path, list(contents))
    assert (manifest["status"] == "ok").all()
    for name, content in contents.items():
        assert (tmp_path / f"images/validation/{name}.jpg").read_bytes() == content
    assert not list((tmp_path / "images").rglob("*.part"))


def test_what_a_killed_run_left_of_an_image_that_is_gone_is_removed(server, tmp_path):
    server.serve("a", good(jpeg()))
    folder = tmp_path / "images/validation"
    folder.mkdir(parents=True)
    for name in ("gone", "of-another-shard"):
        (folder / f".{name}.jpg.part").write_bytes(b"half")
    download(server, tmp_path, ["a", "gone"])
    assert {path.name for path in folder.iterdir()} == {"a.jpg", ".of-another-shard.jpg.part"}


def test_what_is_worth_another_attempt():
    codes = [200, 301, 400, 403, 404, 408, 410, 429, 500, 503, 507, 522, 529]
    assert [code for code in codes if is_transient(code)] == [408, 429, 500, 503, 507, 522, 529]


def test_further_sources_are_asked_in_turn(server, tmp_path):
    server.answers["/thumbnails/a.jpg"] = good(jpeg(seed=1))
    server.answers["/originals/b.jpg"] = good(jpeg(seed=2))
    server.answers["/thumbnails/c.jpg"] = status(500)
    columns = {
        "thumbnail_url": [f"{server.base}/thumbnails/{name}.jpg" for name in "abc"],
        "original_url": [f"{server.base}/originals/{name}.jpg" for name in "abc"],
    }
    manifest = download(server, tmp_path, list("abc"), columns=columns, retries=0)
    assert list(manifest["status"]) == ["ok", "ok", "failed"]
    assert manifest.loc["c", "reason"].count("HTTP") == 3
    only = download(server, tmp_path / "o", list("ab"), columns={
        name: values[:2] for name, values in columns.items()
    }, sources=["original"])  # fmt: skip
    assert list(only["status"]) == ["missing", "ok"]


def test_addresses_that_are_not_of_the_web_are_never_opened(server, tmp_path):
    secret = tmp_path / "secret.jpg"
    write_image(secret)
    columns = {"thumbnail_url": [f"file://{secret}"], "original_url": ["ftp://example.org/a"]}
    with pytest.raises(InputError, match="not one of 1 images"):
        download(server, tmp_path, ["a"], columns=columns)


def test_redirects_stay_within_the_web(server, tmp_path):
    server.answers["/elsewhere"] = good(jpeg())
    server.serve("a", redirect("/elsewhere"))
    server.serve("b", redirect("file:///etc/passwd"))
    server.serve("c", redirect("ftp://127.0.0.1/a.jpg"))
    server.serve("d", redirect("/images/validation/d.jpg"))
    server.serve("e", redirect("/photo_unavailable.png"))
    server.serve("f", redirect(server.base.replace("http", "https") + "/elsewhere"))
    manifest = download(server, tmp_path, list("abcdef"))
    assert list(manifest["status"]) == ["ok", "failed", "failed", "failed", "missing", "failed"]
    for name, scheme in {"b": "file", "c": "ftp"}.items():
        assert manifest.loc[name, "reason"].endswith(f"redirected to {scheme}")
    assert "SSL" in manifest.loc["f", "reason"]  # a safer scheme is followed
    assert "more than 5 redirects" in manifest.loc["d", "reason"]


def bomb():
    """The header of a 30,000 x 30,000 pixel JPEG, on a small body."""
    content = bytearray(jpeg())
    start = content.index(b"\xff\xc0") + 5
    content[start : start + 4] = (30_000).to_bytes(2, "big") * 2
    return bytes(content)


def test_bytes_and_pixels_are_bounded(server, tmp_path):
    def endless(handler, before):
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            pass

    server.serve("a", good(jpeg()))
    server.serve("bomb", good(bomb()))
    server.serve("declared", good(b"x" * 20_000))
    server.serve("endless", endless)
    names = ["a", "bomb", "declared", "endless"]
    manifest = download(server, tmp_path, names, max_bytes=10_000)
    assert list(manifest["status"]) == ["ok", "failed", "failed", "failed"]
    assert "pixels" in manifest.loc["bomb", "reason"]
    assert "more than 10000 bytes" in manifest.loc["declared", "reason"]
    assert "more than 10000 bytes" in manifest.loc["endless", "reason"]


def test_one_bad_address_is_one_failure(server, tmp_path):
    """Whatever it is, the other photographs come."""
    hosts = ["127.0.0.1:99999", "127.0.0.1:0", "xn--a", "[::1", "a..b", "\u2603.\u0000", "x" * 300]
    bad = [f"http://{host}/x.jpg" for host in hosts] + [
        "http://",
        "https:///x",
        "http://127.0.0.1:1/",
    ]
    names = [f"{number:02d}" for number in range(len(bad) + 4)]
    server.serve(names[-4], redirect("http://127.0.0.1:99999/"))
    server.serve(names[-3], redirect("http://xn--a/"))
    server.serve(names[-2], status(503, Retry_After="\xb2"))
    server.serve(names[-1], good(jpeg()))
    columns = {"original_url": [*bad, "", "", "", ""]}
    # No address here waits, so the time is only what a busy machine needs for the good one.
    settings = {"sources": ["original", "base"], "retries": 0, "timeout": 10}
    manifest = download(server, tmp_path, names, columns=columns, **settings)
    assert list(manifest["status"]) == ["failed"] * (len(names) - 1) + ["ok"]
    assert manifest["reason"].str.len().max() < 600


def test_compressed_photographs_are_not_unpacked(server, tmp_path):
    bomb = gzip.compress(gzip.compress(bytes(200_000_000), 9))
    for number, encoding in enumerate(["gzip", "gzip, gzip", "deflate", "br", "zstd", "GZIP"]):
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(bomb)}"
        server.serve(str(number), raw(f"{head}\r\n\r\n".encode() + bomb))
    server.serve("a", good(jpeg()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    manifest = download(server, tmp_path, [*"012345", "a"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert list(manifest["status"]) == ["failed"] * 6 + ["ok"]
    assert manifest["reason"].str.contains("compressed").sum() == 6


def test_images_are_stored_upright(server, tmp_path):
    """By the list's rotation, and by EXIF where the file has its own."""
    landscape = io.BytesIO()
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 10, 20))  # white at the left
    image.save(landscape, format="JPEG", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    tagged = io.BytesIO()
    image.save(tagged, format="JPEG", quality=95, exif=exif)
    for name, content in {"plain": landscape, "listed": landscape, "tagged": tagged}.items():
        server.serve(name, good(content.getvalue()))
    columns = {"rotation": [0, 90, None]}
    manifest = download(server, tmp_path, ["plain", "listed", "tagged"], columns=columns)
    assert Path(manifest.loc["plain", "path"]).read_bytes() == landscape.getvalue()

    def pixels(name):
        return np.asarray(load_image(manifest.loc[name, "path"])).mean(axis=2)

    assert manifest.loc["listed", ["width", "height"]].tolist() == [20, 40]
    assert pixels("listed")[-5:].mean() > 200  # counter-clockwise: the left comes to the bottom
    assert pixels("tagged").shape == (40, 20)
    assert pixels("tagged")[:5].mean() > 200  # clockwise: the left comes to the top
    again = download(server, tmp_path, ["plain", "listed", "tagged"], columns=columns)
    assert again.loc["listed", ["width", "height"]].tolist() == [20, 40]
    assert list(again["rotation"]) == [0, 90, 0]


def test_a_picture_that_is_no_jpeg_is_stored_as_one(server, tmp_path):
    file = io.BytesIO()
    Image.new("RGBA", (8, 6), (255, 0, 0, 255)).save(file, format="PNG")
    server.serve("a", good(file.getvalue()))
    path = download(server, tmp_path, ["a"]).loc["a", "path"]
    with Image.open(path) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (8, 6))


def test_requests_are_paced_and_introduced(server, tmp_path):
    for name in "abcdefgh":
        server.serve(name, good(jpeg()))
    started = time.monotonic()
    download(server, tmp_path, list("abcdefgh"), rate_limit=8, user_agent="a polite robot")
    assert max(server.starts) - started >= 7 / 8
    assert server.headers["/images/validation/a.jpg"]["User-Agent"] == "a polite robot"


def test_a_server_that_asks_for_time_gets_it(server, tmp_path):
    server.serve("a", first(status(429, Retry_After="1"), jpeg()))
    download(server, tmp_path, ["a"])
    assert np.diff(server.starts)[0] >= 0.95


def test_too_many_failures_stop_the_stage_and_keep_what_came(server, tmp_path):
    server.serve("a", good(jpeg()))
    server.serve("b", good(b"no image"))
    with pytest.raises(InputError, match=r"1 of 2 images failed, more than .* 0\.4 allows"):
        download(server, tmp_path, ["a", "b"], max_failed_fraction=0.4)
    assert not (tmp_path / "manifest.parquet").exists()
    assert (tmp_path / "images/validation/a.jpg").exists()


def test_missing_images_are_counted_but_are_no_failures(server, tmp_path):
    server.serve("a", good(jpeg()))
    manifest = download(server, tmp_path, list("abcd"), max_failed_fraction=0)
    assert Counter(manifest["status"]) == {"ok": 1, "missing": 3}


def test_a_wrong_base_is_noticed(server, tmp_path):
    with pytest.raises(InputError, match="not one of 2 images could be had"):
        download(server, tmp_path, ["a", "b"], base=f"{server.base}/wrong")


@pytest.mark.parametrize("bad", ["../x", "a/b", "..", "a\\b", "", ".x", "a\nb"])
def test_ids_that_leave_the_folder_are_refused(server, tmp_path, bad):
    with pytest.raises(InputError, match="the image id"):
        download(server, tmp_path, ["a", bad])
    assert not server.asked


@pytest.mark.parametrize("name", ["a#b", "a?b=1", "100%", "a%20b", "a b", "Zoë", "a+b&c;d", "[a]"])
def test_an_id_is_quoted_in_its_address(server, tmp_path, name):
    server.serve(urllib.parse.quote(name, safe=""), good(jpeg()))
    row = download(server, tmp_path, [name]).loc[name]
    assert (row["status"], Path(row["path"]).name) == ("ok", f"{name}.jpg")


def test_a_local_folder_is_used_in_place(tmp_path):
    source = tmp_path / "source/validation"
    for name in ("a", "b"):
        write_image(source / f"{name}.jpg")
    (source / "c.jpg").write_bytes(jpeg()[:-300])
    (source / "d.jpg").write_bytes(bomb())
    path = candidates(tmp_path / "c.parquet", list("abcde"), rotation=[0, 90, None, None, None])
    settings = {"base": tmp_path / "source", "max_failed_fraction": 1.0}
    output = tmp_path / "m.parquet"
    manifest = download_images(path, tmp_path / "images", output, **settings)
    manifest = manifest.set_index("image_id")
    assert list(manifest["status"]) == ["ok", "ok", "failed", "failed", "missing"]
    assert manifest.loc["a", "path"] == str(source / "a.jpg")
    assert manifest.loc["a", ["width", "height"]].tolist() == [32, 24]
    # A rotated image alone is written anew, upright, so that every later step can just open it.
    assert manifest.loc["b", "path"] == str(tmp_path / "images/validation/b.jpg")
    upright = np.asarray(load_image(manifest.loc["b", "path"])).mean(axis=2)
    assert upright.shape == (32, 24)
    assert upright[-8:, :6].mean() > 200 > upright[:8, :6].mean()
    assert sorted(path.name for path in (tmp_path / "images").rglob("*.*")) == ["b.jpg"]


def test_file_addresses_are_local_folders(tmp_path):
    write_image(tmp_path / "source/validation/a.jpg")
    path = candidates(tmp_path / "c.parquet", ["a"])
    base = f"file://{tmp_path}/source"
    manifest = download_images(path, tmp_path / "images", tmp_path / "m.parquet", base=base)
    assert list(manifest["status"]) == ["ok"]


def test_shards_together_are_all_candidates(tmp_path):
    names = [f"{number:03d}" for number in range(50)]
    path = candidates(tmp_path / "c.parquet", names)
    parts = [list(read_shard(path, number, 7)["image_id"]) for number in range(7)]
    assert [name for part in parts for name in part] == names
    assert {len(part) for part in parts} == {7, 8}


def test_a_candidates_file_that_is_none_is_named(tmp_path):
    (tmp_path / "c.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match=r"c\.parquet: not a readable Parquet file"):
        download_images(tmp_path / "c.parquet", tmp_path, tmp_path / "m.parquet", base=tmp_path)


def test_s3_is_read_over_https_without_signing():
    assert web_address("s3://open-images-dataset") == (
        "https://open-images-dataset.s3.amazonaws.com"
    )
    assert web_address("s3://bucket/a/b/") == "https://bucket.s3.amazonaws.com/a/b"


# Metadata


FILES = {
    "classes": "classes.csv",
    "hierarchy": "hierarchy.json",
    "human": {"validation": "human.csv"},
    "machine": {"validation": "machine.csv"},
    "images": {"validation": "images.csv"},
}


def metadata(server, folder, **settings):
    return fetch_metadata(
        folder / "metadata",
        base=f"{server.base}/v",
        splits=["validation"],
        files=FILES,
        **({"timeout": 1, "retries": 2} | settings),
    )


def serve_metadata(server):
    for name in ("classes.csv", "hierarchy.json", "human.csv", "machine.csv", "images.csv"):
        server.answers[f"/v/{name}"] = good(name.encode() * 1000)


def test_metadata_is_fetched_once_and_checked(server, tmp_path):
    serve_metadata(server)
    checksums = tmp_path / "checksums.json"
    index = metadata(server, tmp_path, checksums=checksums)
    assert Path(index["human"]["validation"]).read_bytes() == b"human.csv" * 1000
    recorded = pd.read_json(checksums, typ="series")
    assert recorded["human.csv"] == hashlib.sha256(b"human.csv" * 1000).hexdigest()
    assert metadata(server, tmp_path, checksums=checksums) == index
    assert set(server.asked.values()) == {1}
    Path(index["classes"]).write_bytes(b"something else")
    with pytest.raises(InputError, match=r"classes\.csv: its SHA-256 is"):
        metadata(server, tmp_path, checksums=checksums)


def test_metadata_goes_on_where_it_was_cut_off(server, tmp_path):
    serve_metadata(server)
    body = bytes(range(256)) * 4000
    ranges = []

    def with_ranges(handler, before):
        asked = handler.headers.get("Range")
        ranges.append(asked)
        start = int(asked.split("=")[1][:-1]) if asked else 0
        handler.send_response(206 if asked else 200)
        handler.send_header("ETag", '"1"')
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        handler.wfile.write(body[start:] if before else body[: len(body) // 2])
        if not before:
            handler.close_connection = True
            handler.connection.close()

    server.answers["/v/machine.csv"] = with_ranges
    index = metadata(server, tmp_path)
    assert Path(index["machine"]["validation"]).read_bytes() == body
    assert ranges[0] is None
    assert ranges[1].startswith("bytes=")
    assert int(ranges[1][6:-1]) > 0
    assert sorted(path.name for path in (tmp_path / "metadata").iterdir()) == sorted(
        [
            "classes.csv",
            "hierarchy.json",
            "human.csv",
            "images.csv",
            "machine.csv",
            "metadata.json",
        ]
    )


@pytest.mark.parametrize(
    "rest",
    [
        b'HTTP/1.1 206 P\r\nETag: "v1"\r\nContent-Length: 3\r\n'
        b"Content-Range: bytes 50-52/100\r\n\r\nabc",
        b'HTTP/1.1 206 P\r\nETag: "v2"\r\nContent-Length: 50\r\n'
        b"Content-Range: bytes 50-99/100\r\n\r\n" + bytes(50),
        b'HTTP/1.1 206 P\r\nETag: "v1"\r\nContent-Length: 3\r\n'
        b"Content-Range: bytes 0-2/100\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n\r\n" + bytes(70),
    ],
)
def test_metadata_in_pieces_that_do_not_fit_is_an_error(server, tmp_path, rest):
    """Neither the stump nor a mixture is kept, and no checksum of one is recorded."""
    serve_metadata(server)
    half = b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: 100\r\n\r\n' + bytes(50)
    server.answers["/v/human.csv"] = lambda handler, before: raw(rest if before else half)(
        handler, before
    )
    checksums = tmp_path / "checksums.json"
    with pytest.raises(InputError, match=r"human\.csv: could not be fetched"):
        metadata(server, tmp_path, checksums=checksums)
    assert not (tmp_path / "metadata" / "human.csv").exists()
    assert "human.csv" not in checksums.read_text()


def test_metadata_that_is_not_there_is_named(server, tmp_path):
    serve_metadata(server)
    server.answers["/v/images.csv"] = not_found
    with pytest.raises(InputError, match=r"/v/images\.csv: HTTP 404"):
        metadata(server, tmp_path)


def test_local_metadata_is_used_in_place(tmp_path):
    for name in ("classes.csv", "hierarchy.json", "human.csv", "machine.csv", "images.csv"):
        (tmp_path / name).write_text("x")
    out = tmp_path / "out"
    index = fetch_metadata(out, base=tmp_path, splits=["validation"], files=FILES)
    assert index["classes"] == str(tmp_path / "classes.csv")
    assert [path.name for path in out.iterdir()] == ["metadata.json"]
    (tmp_path / "human.csv").unlink()
    with pytest.raises(InputError, match=r"human\.csv: no such metadata file"):
        fetch_metadata(out, base=tmp_path, splits=["validation"], files=FILES)


@pytest.mark.parametrize(
    ("splits", "files", "message"),
    [
        ([], {}, "name at least one split"),
        (["extra"], {}, "no file for the split 'extra'"),
        (["train"], {"lables": "x"}, "the key 'lables'"),
    ],
)
def test_impossible_metadata_settings_are_named(tmp_path, splits, files, message):
    with pytest.raises(InputError, match=message):
        fetch_metadata(tmp_path, base=tmp_path, splits=splits, files=files)


def test_names_of_metadata_stay_in_their_folder(server, tmp_path):
    serve_metadata(server)
    with pytest.raises(InputError, match="leaves its folder"):
        fetch_metadata(
            tmp_path,
            base=f"{server.base}/v",
            splits=["validation"],
            files=FILES | {"classes": "../outside.csv"},
        )
