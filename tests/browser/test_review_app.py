"""The review for real: MongoDB, FiftyOne and its App, and a headless Chromium that presses keys."""

import csv
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from PIL import Image
from selenium.webdriver.common.keys import Keys

from tests.browser.review_page import ReviewCommand, ReviewPage, chromium, free_port, post, until
from wood.maps import LocalizationMaps, write_maps
from wood.ood.decisions import Decision, append_decisions, now, read_history
from wood.runtime.store import save_tensors

CLASSES = ["cat", "猫", "tv monitor", "tv-monitor"]  # three have one name or none in addresses
LOG_KEYS = """
window.pressed = [];
window.addEventListener("keydown", (event) => {
  const pictures = [...document.querySelectorAll(".wood-box img:first-child")];
  const stage = document.querySelector("[data-cy=wood-stage]");
  if (pictures.length !== 1 || !stage.dataset.drawn) return;
  const file = new URL(pictures[0].src).searchParams.get("filepath");
  const seen = pictures[0].complete && pictures[0].naturalWidth > 0;
  window.pressed.push([file.split("/").at(-1).split(".")[0], event.key, seen]);
}, true);
"""
MAPS_THERE = "return document.querySelectorAll('.wood-map').length"


def image_id(number: int) -> str:
    return f"{number:016x}"


def write_ranking(folder: Path, count: int, first: int = 0) -> Path:
    """Write a ranking of made-up photographs with their features, twenty of a kind."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(first, first + count):
        image = folder / "images" / f"{image_id(number)}.jpg"
        pixels = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((128, 96)).save(image)
        rows.append(
            {
                "rank": number - first + 1,
                "image_id": image.stem,
                "split": "validation",
                "class": CLASSES[number % len(CLASSES)],
                "score": 1 - (number - first) / (2 * count),
                "path": str(image.relative_to(folder)),
                "labels": "House; Window",
                "license": "CC BY 2.0",
                "author": f"author {number}",
                "url": "",
            }
        )
    pd.DataFrame(rows).to_parquet(folder / "ranking.parquet")
    kinds = np.random.default_rng(0).normal(size=(count // 20 + 1, 16))
    noise = np.random.default_rng(1).normal(size=(count, 16)) / 100
    features = (kinds[np.arange(count) // 20] + noise).astype(np.float16)
    ids = {"image_ids": [row["image_id"] for row in rows]}
    save_tensors(folder / "features.safetensors", {"features": features}, ids)
    return folder


def write_cams(folder: Path, count: int) -> Path:
    images = [
        LocalizationMaps(
            image_id(number), (96, 128), torch.tensor([number % 4]), torch.rand(1, 24, 32)
        )
        for number in range(count)
    ]
    write_maps(folder / "maps.safetensors", images, class_names=CLASSES, source="test")
    return folder / "maps.safetensors"


def answers(path: Path) -> list[tuple[int, str]]:
    """(number of the image, decision) of every line of the file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [(int(row["image_id"], 16), row["decision"]) for row in csv.DictReader(file)]


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch):
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "1")


@pytest.fixture(scope="module")
def page():
    with chromium() as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LOG_KEYS})
        yield ReviewPage(driver)


@pytest.fixture
def start():
    """Start review commands in a project's folder; what still runs at the end is killed."""
    commands = []

    def run(folder: Path, *options: str, reviewer: str = "ann") -> ReviewCommand:
        files = ["--ranking", "ranking.parquet", "--classes", *CLASSES, "--reviewer", reviewer]
        if "--decisions" not in options:
            files += ["--decisions", "decisions.csv"]
        commands.append(ReviewCommand(folder, *files, *options))
        return commands[-1]

    yield run
    for command in commands:
        command.stop()


def test_screens_keys_and_a_dead_server(tmp_path, page, start):
    """One review from its first screen to Ctrl-C: every way to answer, in one start of the App."""
    folder = write_ranking(tmp_path / "project", 560)
    decisions = folder / "decisions.csv"
    cams = write_cams(tmp_path, 560)
    port = str(free_port())
    options = ["--features", "features.safetensors", "--maps", cams]
    command = start(folder, *options, "--port", port)
    page.open(command.page())
    assert page.text("wood-question").startswith("Is one of these in the picture? 1 cat2 猫")
    assert page.text("wood-status") == "0 of 560 done (0 %)"
    assert page.text("wood-counts").startswith("cat 0 accepted, 0 rejected, 140 left")
    assert command.listens_at() == {"127.0.0.1"}

    screen_of_similar_images(page, decisions)
    one_by_one(page, decisions)
    fiftyone_grid(page, decisions)
    assert page.asked_hosts() == {"127.0.0.1"}
    keys_at_random_intervals(page, decisions)

    # The server dies: the page says so before an answer is given, and takes none.
    for server in command.servers():
        server.kill()
    until(lambda: page.text("wood-trouble").startswith("NOTHING IS RECORDED"), "the trouble")
    written = decisions.read_bytes()
    page.press("a")
    page.wait_for_report("Nothing is recorded at present")
    assert decisions.read_bytes() == written
    assert command.process.wait(timeout=90) == 1
    assert command.last_line().startswith("Error: The App stopped; every answer")

    # The same page goes on when the command runs again, and Ctrl-C ends with the counts.
    command = start(folder, *options, "--port", port)
    command.page()
    until(lambda: not page.text("wood-trouble"), "the server again")
    done = len({image for image, _ in answers(decisions)})
    command.stop(signal.SIGINT)
    assert command.process.returncode == 0
    assert "cat: " in command.output().strip().splitlines()[-4]
    assert done > 500


def screen_of_similar_images(page: ReviewPage, decisions: Path) -> None:
    """A screen of one kind, two of its images clicked, and its undo as a whole."""
    first = page.wait_until_drawn()
    assert len(first) == 20
    assert len({int(image, 16) // 20 for image in first}) == 1  # of one kind
    page.tile(first[3]).click()
    page.point_at(page.tile(first[5]))
    page.press("3")
    assert "tv monitor is there" in page.text("wood-stage")
    page.point_at(page.tile(first[0]))
    page.press("a")
    page.wait_for_report("20 images: 18 no object, 2 object")
    lines = read_history(decisions)
    assert lines["image_id"].tolist() == first
    assert len(set(lines["time"])) == 1
    assert lines["decision"].tolist() == ["reject" if i in (3, 5) else "accept" for i in range(20)]
    assert lines["look"].tolist() == ["single" if i in (3, 5) else "screen" for i in range(20)]
    assert lines["found"][5] == "tv monitor"
    assert len(set(lines["screen"])) == 1

    second = until(lambda: page.on_stage() != first and page.on_stage(), "the next screen")
    assert not set(second) & set(first)
    page.press("u")
    page.wait_for_report("Undone: 20 images")
    until(lambda: page.on_stage() == first, "the screen again")
    assert answers(decisions)[20:] == [(int(image, 16), "undo") for image in first]
    page.press("d")
    page.wait_for_report("20 images: 0 no object, 20 object")


def one_by_one(page: ReviewPage, decisions: Path) -> None:
    written = len(answers(decisions))
    page.press("o")
    page.press("h")
    first = until(lambda: len(page.on_stage()) == 1 and page.on_stage()[0], "one image")
    until(lambda: page.run(MAPS_THERE) == 1, "the heatmap")
    page.press("h")
    assert page.run(MAPS_THERE) == 0
    page.press("2")
    page.wait_for_report(f"Object (猫): {first}")
    assert read_history(decisions)["found"].iloc[-1] == "猫"
    assert page.on_stage() != [first]
    page.press("u")
    page.wait_for_report(f"Undone: {first}")
    until(lambda: page.on_stage() == [first], "the image again")
    page.press("a")
    page.wait_for_report(f"No object: {first}")
    words = ["reject", "undo", "accept"]
    assert answers(decisions)[written:] == [(int(first, 16), word) for word in words]


def fiftyone_grid(page: ReviewPage, decisions: Path) -> None:
    """A selection in FiftyOne's own grid, answered and taken back by one key each."""
    written = len(answers(decisions))
    page.press("g")
    until(lambda: len(page.thumbnails()) > 5, "the grid")
    place = "return document.querySelector('[data-cy=\"fo-grid\"]').firstElementChild.scrollTop"
    for number in range(3):
        page.select(number)
    before = page.run(place)
    page.press("a")
    page.wait_for_report("No object: 3 images", "wood-strip-said")
    assert page.run(place) == before
    chosen = answers(decisions)[written:]
    assert [word for _, word in chosen] == ["accept"] * 3
    page.press("u")
    page.wait_for_report("Undone: 3 images", "wood-strip-said")
    assert sorted(answers(decisions)[written + 3 :]) == sorted((n, "undo") for n, _ in chosen)

    # The opened image, and the one after it.
    page.open_image(page.thumbnails()[0])
    written = len(answers(decisions))
    seen = ""
    for number, (word, key) in enumerate([("accept", "a"), ("reject", "d")], start=1):
        seen = until(lambda before=seen: page.opened() not in ("", before) and page.opened(), "it")
        page.press(key)
        until(lambda end=written + number: len(answers(decisions)) == end, "the answer")
        assert answers(decisions)[-1] == (int(seen, 16), word)
    # While FiftyOne opens the next image it takes no key, so a person presses Escape again.
    until(lambda: page.press(Keys.ESCAPE) or not page.text("modal"), "the grid again")
    page.press("g")
    page.wait_until_drawn()


def keys_at_random_intervals(page: ReviewPage, decisions: Path) -> None:
    """500 answers, 10 to 400 ms apart: each belongs to the image that was on the screen.

    The page takes no key while the next picture is not there yet, as on a busy machine.
    """
    page.press("o")
    until(lambda: len(page.on_stage()) == 1, "one image")
    written = len(answers(decisions))
    page.run("window.pressed = []")
    draw = random.Random(0)

    def ten_keys() -> bool:
        for _ in range(10):
            began = time.monotonic()
            page.key_down(draw.choice("ad"))
            interval = 0.01 * 40 ** draw.random()
            time.sleep(max(0.0, interval - (time.monotonic() - began)))
        return page.run("return window.pressed.length") >= 500

    until(ten_keys, "500 keys that the page takes", seconds=200)
    until(lambda: not page.waiting(), "all answers recorded")
    words = {"a": "accept", "d": "reject"}
    pressed = page.run("return window.pressed")
    assert all(seen for _, _, seen in pressed)
    recorded = answers(decisions)[written:]
    assert recorded == [(int(image, 16), words[key]) for image, key, _ in pressed]
    assert len(dict(recorded)) == len(recorded)  # one answer an image


def test_a_class_leaves_when_it_has_its_wanted_images(tmp_path, page, start):
    folder = write_ranking(tmp_path, 12)
    command = start(folder, "--wanted", "2")
    page.open(command.page())
    for number in range(8):
        assert page.on_stage() == [image_id(number)]
        page.press("d" if number == 0 else "a")  # of cat one is accepted, of the others two
        page.wait_for_report("Object" if number == 0 else "No object")
    assert "猫 2/2 accepted, 0 rejected, enough" in page.text("wood-counts")
    assert page.on_stage() == [image_id(8)]  # of cat
    assert page.text("wood-status").startswith("8 of 9 done")
    page.press("a")
    until(lambda: "3 images of classes that have enough" in page.text("wood-stage"), "the end")
    assert "Ctrl-C" in page.text("wood-stage")
    page.press("w")
    until(lambda: page.on_stage() == [image_id(9)], "an image that is not needed")
    page.press("u")
    page.wait_for_report(f"Undone: {image_id(8)}")


def test_a_page_outlives_silence_and_another_ranking(tmp_path, page, start):
    """A silent server's answer still counts, nothing is done twice, a new ranking is shown."""
    folder = write_ranking(tmp_path, 6)
    decisions, port = folder / "decisions.csv", str(free_port())
    command = start(folder, "--port", port, "--maps", write_cams(tmp_path, 6))
    page.open(command.page())
    page.press("a")
    page.wait_for_report(f"No object: {image_id(0)}")
    for keys, answer in (("hd", (1, "reject")), ("u", (1, "undo"))):
        (server,) = command.servers()
        server.suspend()
        page.press(keys)
        until(lambda: page.text("wood-trouble").startswith("NOTHING IS RECORDED"), "the trouble")
        server.resume()
        until(lambda: not page.waiting() and not page.text("wood-trouble"), "the server again")
        assert answers(decisions)[-1] == answer
        until(lambda: page.run(MAPS_THERE) == 1, "the heatmap that was asked for in the silence")
    assert answers(decisions) == [(0, "accept"), (1, "reject"), (1, "undo")]
    page.press("h")

    for server in command.servers():
        server.kill()
    page.press("a")
    until(page.waiting, "a press that waits")
    assert command.process.wait(timeout=90) == 1
    write_ranking(folder, 6, first=2)  # without the image that it was about
    command = start(folder, "--port", port)
    command.page()
    page.wait_for_report(f"NOT recorded, no images of this review any more: {image_id(1)}")
    assert answers(decisions)[3:] == []
    until(lambda: page.on_stage() == [image_id(2)], "the new ranking")
    page.press("a")
    page.wait_for_report(f"No object: {image_id(2)}")
    assert answers(decisions)[3:] == [(2, "accept")]


def test_two_projects_and_two_reviewers_at_once(tmp_path, page, start):
    """Each answer goes to its own project's and reviewer's file; foreign images are refused."""
    first = write_ranking(tmp_path / "first", 6)
    second = write_ranking(tmp_path / "second", 6, first=100)
    append_decisions(
        first / "decisions.csv", [Decision(image_id(0), "accept", "cat", "ann", now())]
    )
    ann = start(first, "--others", "bob.csv")
    other = start(second)
    bob = start(first, "--decisions", "bob.csv", "--others", "decisions.csv", reviewer="bob")
    pages = [command.page() for command in (ann, other, bob)]
    assert len({command.mongod().pid for command in (ann, other, bob)}) == 3

    page.open(pages[1])
    shown = page.on_stage()[0]
    assert shown == image_id(100)
    page.press("a")
    page.wait_for_report(f"No object: {shown}")
    assert answers(second / "decisions.csv") == [(100, "accept")]
    assert answers(first / "decisions.csv") == [(0, "accept")]

    page.open(pages[2])
    assert page.text("wood-status") == "0 of 6 done (0 %)"
    assert page.on_stage() == [image_id(0)]
    page.press("1")
    page.wait_for_report(f"Object (cat): {image_id(0)}")
    assert answers(first / "bob.csv") == [(0, "reject")]

    page.open(pages[0])
    assert page.text("wood-status") == "1 of 6 done (16 %)"
    assert "1 disputed: reject wins" in page.text("wood-counts")
    page.run("document.querySelector('[data-cy=wood-disputed]').click()")
    until(lambda: "bob: reject" in page.text("wood-stage"), "the other's answer")

    name = pages[0].split("/datasets/")[1].split("?")[0]
    press = {"answers": [{"image": image_id(100), "word": "accept"}]}
    refused = post(pages[0], name, [press])
    assert "is no image of this review" in refused["result"]["refused"]
    own = {"answers": [{"image": image_id(1), "word": "accept"}]}
    assert "not recorded" in post(pages[0], "another-dataset", [own])["result"]["refused"]
    assert answers(first / "decisions.csv") == [(0, "accept")]

    again = start(first)  # ann once more: her database is in use
    assert again.process.wait(timeout=60) == 1
    assert f"this is open already, at {pages[0]}" in again.output()


def test_a_killed_database_and_a_moved_folder(tmp_path, page, start):
    folder = write_ranking(tmp_path / "here", 8)
    decisions = folder / "decisions.csv"
    command = start(folder)
    page.open(command.page())
    page.press("a")
    page.wait_for_report(f"No object: {image_id(0)}")
    command.mongod().kill()
    page.press("d")
    until(lambda: len(answers(decisions)) == 2, "the answer, for which no database is needed")
    assert command.process.wait(timeout=90) == 1
    assert command.last_line().startswith("Error: The database stopped; every")
    command.stop(signal.SIGKILL)
    kept = answers(decisions)
    assert kept[0] == (0, "accept")

    # A copy elsewhere, the old folder's pictures still there: the copy shows its own.
    moved = tmp_path / "there"
    shutil.copytree(folder, moved)
    append_decisions(
        moved / "decisions.csv", [Decision(image_id(7), "reject", "cat", "ann", now())]
    )
    command = start(moved)
    page.open(command.page())
    assert page.text("wood-status") == f"{len(kept) + 1} of 8 done ({100 * (len(kept) + 1) // 8} %)"
    sources = page.run(
        "return [...document.querySelectorAll('.wood-box img')].map((image) => image.src)"
    )
    assert sources
    assert all("%2Fthere%2Fimages%2F" in source for source in sources)
    page.press("a")
    page.wait_for_report("No object")
    assert len(answers(moved / "decisions.csv")) == len(kept) + 2
    assert answers(decisions) == kept

    # Command, server and database die together: the file has what the page reported.
    for process in [command.process, *command.servers(), command.mongod()]:
        process.kill()
    psutil.wait_procs([command.process], timeout=30)
    assert len(answers(moved / "decisions.csv")) == len(kept) + 2
    command = start(moved, "--no-wait")
    assert command.process.wait(timeout=90) == 0
    assert "to review" in command.output()
