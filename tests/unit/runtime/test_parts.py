"""Files and folders are whole whatever is killed, and whoever else writes them."""

import errno
import fcntl
import json
import os
import random
import signal
import sys
import time

import pytest

from wood.runtime import parts
from wood.runtime.store import atomic_directory, atomic_path, read_json, write_json, write_text

FILES = 60


def fill(folder, content=b"x"):
    with atomic_directory(folder) as part:
        for number in range(FILES):
            (part / str(number)).write_bytes(content)


def contents(folder):
    return [path.read_bytes() for path in folder.iterdir()]


def process(action):
    """A process that does something and ends, with code 1 after an error."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return child


def exit_code(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def for_ever(action):
    while True:
        action()


def test_a_folder_is_whole_after_every_kill(tmp_path):
    folder = tmp_path / "masks"
    fill(folder)
    rng = random.Random(1)
    for _ in range(30):
        child = process(lambda: for_ever(lambda: fill(folder)))
        time.sleep(rng.uniform(0.002, 0.03))
        os.kill(child, signal.SIGKILL)
        assert exit_code(child) == -signal.SIGKILL
        assert len(contents(folder)) == FILES
    fill(folder)
    assert os.listdir(tmp_path) == ["masks"]


def test_a_file_is_whole_after_every_kill(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, [1] * 5000)
    rng = random.Random(2)
    for _ in range(30):
        child = process(lambda: for_ever(lambda: write_json(path, [1] * 5000)))
        time.sleep(rng.uniform(0.001, 0.01))
        os.kill(child, signal.SIGKILL)
        exit_code(child)
        assert read_json(path) == [1] * 5000
    write_json(path, [])
    assert os.listdir(tmp_path) == ["x.json"]


def test_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, [])

    def write(length):
        for _ in range(60):
            write_json(path, [length] * length)

    children = [process(lambda length=length: write(length)) for length in (1, 300, 9000)]
    for _ in range(300):
        value = json.loads(path.read_text())
        assert value == [len(value)] * len(value)
    assert [exit_code(child) for child in children] == [0, 0, 0]
    assert os.listdir(tmp_path) == ["x.json"]


def test_writers_of_one_folder_do_not_meet(tmp_path):
    folder = tmp_path / "masks"

    def write(content):
        for _ in range(15):
            fill(folder, content)

    children = [process(lambda content=content: write(content)) for content in (b"a", b"b", b"c")]
    assert [exit_code(child) for child in children] == [0, 0, 0]
    assert len(contents(folder)) == FILES
    assert len(set(contents(folder))) == 1
    fill(folder)
    assert os.listdir(tmp_path) == ["masks"]


def test_what_killed_writers_left_is_taken_over(tmp_path):
    (tmp_path / ".x.part").write_text("a long half of something else")
    write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"
    assert os.listdir(tmp_path) == ["x"]


def test_the_old_folder_is_never_missing_where_names_cannot_be_exchanged(tmp_path, monkeypatch):
    def refuse(_first, second):
        raise OSError(errno.EINVAL, "no exchange", str(second))

    folder = tmp_path / "masks"
    fill(folder, b"old")
    monkeypatch.setattr(parts, "_exchange", refuse)
    fill(folder, b"new")
    assert set(contents(folder)) == {b"new"}
    assert os.listdir(tmp_path) == ["masks"]


def test_a_file_system_without_locks_gives_each_writer_a_name(tmp_path, monkeypatch):
    def refuse(_handle, _kind):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with atomic_path(tmp_path / "x") as first, atomic_path(tmp_path / "x") as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    fill(tmp_path / "masks")
    fill(tmp_path / "masks")
    assert (tmp_path / "x").read_text() == "1"
    assert sorted(os.listdir(tmp_path)) == ["masks", "x"]


@pytest.mark.parametrize("name", ["x" * 250, "猫" * 80, "a b", "[x]", "{x}", "*", "-x", "'", "é"])
def test_any_name_can_be_written(tmp_path, name):
    write_text(tmp_path / name, "whole")
    with atomic_directory(tmp_path / "below" / name) as part:
        (part / "a").touch()
    assert (tmp_path / name).read_text() == "whole"
    assert os.listdir(tmp_path / "below") == [name]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux exchanges names")
def test_a_reader_never_misses_the_folder(tmp_path):
    folder = tmp_path / "masks"
    fill(folder)
    child = process(lambda: [fill(folder) for _ in range(30)])
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        assert folder.is_dir()
    assert len(contents(folder)) == FILES
