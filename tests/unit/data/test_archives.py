"""Archives that come from elsewhere: unpacked whole, inside their folder, within bounds."""

import contextlib
import gzip
import io
import resource
import struct
import tarfile
import zipfile

import pytest

from tests.places import CASES
from wood.data.archives import unpack
from wood.runtime.errors import InputError


def make_tar(path, members, mode="w:gz"):
    """`members`: name -> bytes, None for a folder, or a TarInfo type and link name."""
    with tarfile.open(path, mode) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, tuple):
                member.type, member.linkname = content
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "zip"])
def test_archives_of_every_kind_are_unpacked(tmp_path, mode):
    content = {"VOCdevkit/a.txt": b"a\n", "./VOCdevkit/b/c.jpg": bytes(range(256))}
    path = tmp_path / "archive"
    if mode == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("VOCdevkit/b/", b"")
            for name, data in content.items():
                archive.writestr(name, data)
    else:
        make_tar(path, [("VOCdevkit/b", None), *content.items()], mode)
    unpack(path, tmp_path / "out")
    assert files(tmp_path / "out") == {
        "VOCdevkit/a.txt": b"a\n", "VOCdevkit/b/c.jpg": bytes(range(256))
    }  # fmt: skip


def test_links_within_the_archive_become_copies(tmp_path):
    path = make_tar(
        tmp_path / "a.tar.gz",
        [
            ("d/a.txt", b"data"),
            ("d/soft.txt", (tarfile.SYMTYPE, "a.txt")),
            ("d/hard.txt", (tarfile.LNKTYPE, "d/a.txt")),
        ],
    )
    unpack(path, tmp_path / "out")
    assert set(files(tmp_path / "out").values()) == {b"data"}
    assert len(files(tmp_path / "out")) == 3
    assert not any(file.is_symlink() for file in (tmp_path / "out").rglob("*"))


@pytest.mark.parametrize(
    "member",
    [
        ("../evil.txt", b"x"),
        ("a/../../evil.txt", b"x"),
        ("/tmp/evil.txt", b"x"),
        ("a\\..\\evil.txt", b"x"),
        ("evil", (tarfile.SYMTYPE, "/etc/passwd")),
        ("evil", (tarfile.SYMTYPE, "../../outside")),
        ("evil", (tarfile.LNKTYPE, "/etc/passwd")),
        ("evil", (tarfile.SYMTYPE, "evil")),
        ("evil", (tarfile.FIFOTYPE, "")),
        ("evil", (tarfile.CHRTYPE, "")),
    ],
)
def test_members_that_reach_outside_are_refused(tmp_path, member):
    (tmp_path / "work").mkdir()
    path = make_tar(tmp_path / "evil.tar.gz", [("good.txt", b"good"), member])
    with pytest.raises(InputError, match=r"evil\.tar\.gz"):
        unpack(path, tmp_path / "work" / "out")
    assert not list((tmp_path / "work").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.tar.gz", "work"]


def test_zip_members_that_reach_outside_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    for number, member in enumerate(["../evil.txt", "/evil.txt", link]):
        path = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, "/etc/passwd")
        with pytest.raises(InputError, match=rf"{number}\.zip"):
            unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_archive_larger_than_allowed_is_refused(tmp_path):
    path = make_tar(tmp_path / "a.tar.gz", [("zeros", bytes(5000)), ("more", bytes(5000))])
    with pytest.raises(InputError, match=r"a\.tar\.gz.*9999"):
        unpack(path, tmp_path / "out", max_bytes=9999)
    assert not (tmp_path / "out").exists()
    unpack(path, tmp_path / "out", max_bytes=10_000)


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "zip", "text", "missing"])
def test_damaged_archive_is_named_and_leaves_nothing(tmp_path, kind):
    path = tmp_path / f"broken.{kind}"
    data = b"".join(str(number).encode() for number in range(20_000))
    if kind == "text":
        path.write_text("<html>404</html>")
    elif kind != "missing":
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("a", data)
        else:
            make_tar(path, [("a", data)], {"tar.gz": "w:gz", "tar": "w"}[kind])
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=f"broken.{kind}"):
        unpack(path, tmp_path / "out")
    assert [file.name for file in tmp_path.iterdir()] == ([] if kind == "missing" else [path.name])


def test_nothing_is_unpacked_over_what_is_there(tmp_path):
    path = make_tar(tmp_path / "a.tar", [("a", b"new")], "w")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="out"):
        unpack(path, tmp_path / "out")
    assert files(tmp_path / "out") == {"mine.txt": b"mine"}


def refused(path, folder, match=None, **settings):
    with pytest.raises(InputError, match=match) as caught:
        unpack(path, folder / "out", **settings)
    assert path.name in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not (folder / "out").exists()


@pytest.mark.parametrize("path", sorted((CASES / "archives").iterdir()), ids=lambda path: path.name)
def test_odd_shapes_are_refused(path, tmp_path):
    refused(path, tmp_path)


@pytest.mark.parametrize(
    "members",
    [
        [("a", b"file"), ("a/b", b"below a file")],
        [("a/b", b"file"), ("a", b"where a folder is")],
        [("a", b"one"), ("a", b"two")],
        [("a", b"one"), ("./a", b"two")],
        [("a", None), ("a", b"file")],
        [("x" * 300, b"a long name")],
        [("d/" * 20 + "\u732b" * 100, b"300 bytes in 100 letters")],
        [("d/" * 40 + "a", b"deep")],
        [("d/" * 5000 + "a", b"deeper than a path may be")],
    ],
)
def test_names_that_no_folder_can_hold_are_refused(members, tmp_path):
    refused(make_tar(tmp_path / "a.tar", members, "w"), tmp_path)


def header(kind, size, name="a"):
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf()


LONG = {
    "pax": tarfile.XHDTYPE,
    "global pax": tarfile.XGLTYPE,
    "old pax": tarfile.SOLARIS_XHDTYPE,
    "long name": tarfile.GNUTYPE_LONGNAME,
    "long link": tarfile.GNUTYPE_LONGLINK,
}


@pytest.mark.parametrize("kind", LONG)
def test_a_long_header_is_refused_before_it_is_read(kind, tmp_path):
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for number in range(2):
            size = 200_000_000 if number else 100
            file.write(header(LONG[kind] if number else tarfile.REGTYPE, size))
            for _ in range(-(-size // 1_000_448) if number else 0):
                file.write(bytes(1_000_448))
            file.write(b"" if number else bytes(512))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, tmp_path, "1000000 bytes of a header")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize(
    "records",
    [
        b"30 GNU.sparse.map=not,numbers\n",
        b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n",
        b"12 size=-99\n",
        b"99999 path=a\n",
        b"0 path=a\n",
        b"x path=a\n",
        b"21 path=\xff\xfe\xfd\xfc/../a\n",
        b"17 path=../evil\n",
        b"22 mtime=not a number\n",
    ],
)
def test_odd_attributes_do_no_harm(records, tmp_path):
    """Refused in one sentence, or without a meaning: the member lies where it says."""
    path = tmp_path / "a.tar"
    body = records.ljust(512, b"\0")
    content = header(tarfile.XHDTYPE, len(records)) + body + header(tarfile.REGTYPE, 3)
    path.write_bytes(content + b"abc".ljust(512, b"\0") + bytes(1024))
    with contextlib.suppress(InputError):
        unpack(path, tmp_path / "out")
    assert {file.name for file in tmp_path.iterdir()} <= {"a.tar", "out"}


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE, b"Z"])
def test_sparse_and_unknown_members(kind, tmp_path):
    """Sparse files grow; the unknown are files to tar, and to us."""
    path = tmp_path / "a.tar"
    path.write_bytes(header(kind, 3) + b"abc".ljust(512, b"\0") + bytes(1024))
    if kind == tarfile.GNUTYPE_SPARSE:
        refused(path, tmp_path, "sparse")
    else:
        unpack(path, tmp_path / "out")
        assert files(tmp_path / "out") == {"a": b"abc"}


def test_members_are_bounded(tmp_path):
    members = [(f"d/{number}", b"") for number in range(10)]
    tar = make_tar(tmp_path / "a.tar", members, "w")
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members:
            file.writestr(name, content)
    for path in (tar, archive):
        refused(path, tmp_path, "more than the 9 members", max_members=9)
    # Where the directory of a zip file is large, it is not even read.
    content = bytearray(archive.read_bytes())
    struct.pack_into("<I", content, content.rindex(b"PK\5\6") + 12, 2**31)
    archive.write_bytes(content)
    refused(archive, tmp_path, "members")


def test_skipped_members_are_bounded_too(tmp_path):
    """What is left out has to be decompressed all the same."""
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header(b"V", 30_000_000) + bytes(30_000_128))
        file.write(header(tarfile.REGTYPE, 0, "b") + bytes(1024))
    refused(path, tmp_path, "more than the 1000000 bytes", max_bytes=1_000_000)


def test_time_is_bounded(tmp_path):
    path = make_tar(tmp_path / "a.tar.gz", [(str(n), bytes(10)) for n in range(5)])
    refused(path, tmp_path, "more than the 0 seconds", max_seconds=0)


def test_a_part_of_an_archive(tmp_path):
    members = [
        ("top/set/a.txt", b"a"),
        ("top/set/d/b.txt", b"b"),
        ("top/set/other", b"left out"),
        ("top/else", b"left out"),
    ]
    path = make_tar(tmp_path / "a.tar", members, "w")
    unpack(path, tmp_path / "all", below="top/set")
    assert set(files(tmp_path / "all")) == {"a.txt", "d/b.txt", "other"}
    unpack(path, tmp_path / "some", below="top/set", only=["a.txt", "d"])
    assert set(files(tmp_path / "some")) == {"a.txt", "d/b.txt"}
    refused(path, tmp_path, "no top/set/c", below="top/set", only=["a.txt", "c"])
    refused(path, tmp_path, "no top/nowhere", below="top/nowhere")
