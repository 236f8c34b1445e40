"""Kills of what is no run of the workflow: reviews, downloads, writers of folders and files.

Each function kills a process so many times at random moments and goes on as a user would, with the
same command. It asserts that nothing which was reported is lost, that every file is whole at any
moment, and that the end is the same as without kills.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.browser.review_page import ReviewCommand, post
from tests.browser.test_review_app import CLASSES, image_id, write_ranking
from tests.places import ROOT
from tests.server import File, Server, reply
from tests.unit.ood.test_download import candidates, download, jpeg
from tests.unit.runtime.test_parts import FILES, contents, exit_code, fill, for_ever, process
from wood.ood.decisions import read_history
from wood.runtime.store import read_json, write_json

PRESSES = 12  # between two kills of a review
PATIENCE = 600  # seconds for the App to start, on a machine with other work
START = datetime(2026, 1, 1, tzinfo=UTC)


def reviews(folder: Path, kills: int, rng: random.Random) -> None:
    """Kill the command, the App's server or the database while presses come in."""
    write_ranking(folder, kills * PRESSES)
    decisions = folder / "decisions.csv"
    presses = [
        {
            "answers": [{"image": image_id(number), "word": rng.choice(["accept", "reject"])}],
            "time": (START + timedelta(seconds=number)).isoformat(),
        }
        for number in range(kills * PRESSES)
    ]
    reported = 0
    options = ["--ranking", "ranking.parquet", "--decisions", "decisions.csv", "--reviewer", "ann"]
    for number in range(kills):
        command = ReviewCommand(folder, *options, "--classes", *CLASSES)
        address = command.page(PATIENCE)
        name = address.split("/datasets/")[1].split("?")[0]
        victims = {"command": command.process, "server": command.servers()[0],
                   "database": command.mongod()}  # fmt: skip
        who = sorted(victims)[number % len(victims)]
        timer = threading.Timer(rng.uniform(0, 1), victims[who].kill)
        # A page goes on sending what has no report, until it gets none any more.
        end = min((number + 1) * PRESSES, len(presses))
        while reported < end and "images" in _result(post(address, name, [presses[reported]])):
            reported += 1
            if timer.ident is None:  # the first answer takes seconds
                timer.start()
        timer.join()
        command.stop(signal.SIGKILL)
        _recorded_once(decisions, presses[:reported], presses[: reported + 1])
    command = ReviewCommand(folder, *options, "--classes", *CLASSES)
    address = command.page(PATIENCE)
    for press in presses[max(reported - 1, 0) :]:
        assert "images" in _result(post(address, name, [press])), "a review does not go on"
    command.stop()
    _recorded_once(decisions, presses, presses)


def _result(answer: dict) -> dict:
    return answer.get("result") or {}


def _recorded_once(decisions: Path, least: list[dict], most: list[dict]) -> None:
    """Assert that the file has each reported press once, and at most the one under way besides."""
    history = read_history(decisions)
    rows = list(zip(history["image_id"], history["decision"], strict=True))
    expected = [(line["image"], line["word"]) for press in most for line in press["answers"]]
    assert rows in (expected, expected[: len(least)]), f"{len(rows)} rows, {len(least)} reported"


def photographs(folder: Path, kills: int, rng: random.Random) -> None:
    """Kill the download of candidates; what came is whole, and is never asked for again."""
    server = _quiet_server()
    images = {f"{number:04x}": jpeg(seed=number) for number in range(40 * kills)}
    path = candidates(folder / "candidates.parquet", list(images))
    for name, content in images.items():
        server.serve(name, _slowly(content))
    script = (
        "from wood.ood.download import download_images; download_images("
        f"{str(path)!r}, 'images', 'manifest.parquet', base={server.base + '/images'!r}, "
        "rate_limit=None, connections=4)"
    )
    place = folder / "images" / "validation"
    for _ in range(kills):
        before = len(list(place.glob("*.jpg")))
        _kill(script, folder, rng, lambda before=before: len(list(place.glob("*.jpg"))) > before)
        time.sleep(0.2)  # answers that are under way
        for file in place.glob("*.jpg"):
            assert file.read_bytes() == images[file.stem], f"{file} is not whole"
            server.serve(file.stem, lambda handler, before: reply(handler, b"", 500))
    manifest = download(server, folder, list(images))
    assert (manifest["status"] == "ok").all()
    assert all((place / f"{name}.jpg").read_bytes() == images[name] for name in images)
    assert not list(place.rglob(".*")), "parts remain"
    server.close()


def files(folder: Path, kills: int, rng: random.Random) -> None:
    """Kill the download of one large file; it goes on where it was."""
    content = random.Random(0).randbytes(1_000_000 * (kills + 1))
    server = _quiet_server()
    server.answers["/file"] = _SlowFile(content)
    script = f"from wood.runtime.download import fetch; fetch('{server.base}/file', 'file')"
    for _ in range(kills):
        sent = server.answers["/file"].sent
        _kill(script, folder, rng, lambda: server.answers["/file"].sent > sent + 200_000)  # noqa: B023
        assert not (folder / "file").exists() or (folder / "file").read_bytes() == content
    subprocess.run([sys.executable, "-c", script], cwd=folder, env=_environment(), check=True)
    found = hashlib.sha256((folder / "file").read_bytes()).digest()
    assert found == hashlib.sha256(content).digest()
    assert os.listdir(folder) == ["file"], os.listdir(folder)
    assert server.answers["/file"].sent < 2 * len(content), "it began anew each time"
    server.close()


def folders(folder: Path, kills: int, rng: random.Random) -> None:
    """Kill writers of a folder and of a file; a reader finds the old or the new one, whole."""
    fill(folder / "masks")
    write_json(folder / "x.json", [1] * 5000)
    for number in range(kills):
        write = [
            lambda: fill(folder / "masks"),
            lambda: write_json(folder / "x.json", [1] * 5000),
        ][number % 2]
        child = process(lambda write=write: for_ever(write))
        time.sleep(rng.uniform(0.002, 0.05))
        os.kill(child, signal.SIGKILL)
        assert exit_code(child) == -signal.SIGKILL
        assert contents(folder / "masks") == [b"x"] * FILES
        assert read_json(folder / "x.json") == [1] * 5000
    fill(folder / "masks")
    write_json(folder / "x.json", [])
    assert sorted(os.listdir(folder)) == ["masks", "x.json"]


class _SlowFile(File):
    """A file with ranges that takes its time; `sent` counts its bytes over all requests."""

    sent = 0

    def __call__(self, handler, before):
        write, whole = handler.wfile.write, self

        def slowly(body: bytes) -> None:
            for start in range(0, len(body), 1 << 14):
                write(body[start : start + (1 << 14)])
                whole.sent += len(body[start : start + (1 << 14)])
                time.sleep(0.005)

        try:
            handler.wfile.write = slowly
            super().__call__(handler, before)
        except OSError:  # who asked is dead
            handler.close_connection = True


def _slowly(content: bytes):
    def answer(handler, before):
        time.sleep(0.02)
        try:
            reply(handler, content)
        except OSError:
            handler.close_connection = True

    return answer


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _kill(script: str, folder: Path, rng: random.Random, begun) -> None:
    """Start a script, and kill it a random time after `begun`."""
    with (folder.parent / "chaos.log").open("a") as log:
        running = subprocess.Popen(
            [sys.executable, "-c", script], cwd=folder, env=_environment(), stdout=log, stderr=log
        )
        while not begun() and running.poll() is None:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.2))
        assert running.poll() is None, "it ended before it was killed"
        running.kill()
        running.wait()


def _quiet_server() -> Server:
    """A server that says nothing of clients that die."""
    server = Server()
    server.http.handle_error = lambda request, address: None
    return server
