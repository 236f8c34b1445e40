"""The review for real: MongoDB, FiftyOne and its App, and a headless Chromium that presses keys."""

import csv
import signal
import socket
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pymongo
import pytest
import torch
from packaging.version import Version
from PIL import Image
from selenium.webdriver.common.by import By

from tests.browser.review_page import ReviewCommand, ReviewPage, chromium, until
from wood.maps import LocalizationMaps, write_maps
from wood.ood.decisions import Decision, append_decision, now
from wood.review.database import check_answer
from wood.runtime.errors import InputError

CLASSES = ["cat", "dog"]
IMAGES = 12


def write_ranking(folder: Path, order: list[int], classes: dict[int, str]) -> Path:
    """Write a ranking of the numbered images in `order`, one made-up photograph each."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for rank, number in enumerate(order, start=1):
        image = folder / f"{number:016x}.jpg"
        pixels = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((128, 96)).save(image)
        rows.append(
            {
                "rank": rank,
                "image_id": image.stem,
                "split": "validation",
                "class": classes[number],
                "score": 1 - rank / 100,
                "path": str(image),
                "labels": "House; Window",
                "license": "CC BY 2.0",
                "author": f"author {number}",
                "url": "",
            }
        )
    path = folder / "ranking.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


def write_cams(folder: Path, count: int) -> Path:
    images = [
        LocalizationMaps(f"{number:016x}", (96, 128), torch.tensor([0]), torch.rand(1, 24, 32))
        for number in range(count)
    ]
    write_maps(folder / "maps.safetensors", images, class_names=CLASSES, source="test")
    return folder / "maps.safetensors"


def answers(path: Path) -> list[tuple[str, str]]:
    """(last hexadecimal digit of the image id, decision) of every line of the file."""
    with path.open(newline="") as file:
        return [(row["image_id"][-1], row["decision"]) for row in csv.DictReader(file)]


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch):
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "1")


@pytest.fixture(scope="module")
def page():
    with chromium() as driver:
        yield ReviewPage(driver)


@pytest.fixture
def start(tmp_path):
    """Start review commands on one decisions file; what still runs at the end is killed."""
    commands = []

    def run(ranking: Path, *options: str, environment=None) -> ReviewCommand:
        files = ["--ranking", ranking, "--decisions", tmp_path / "decisions.csv"]
        commands.append(
            ReviewCommand(tmp_path, *files, "--reviewer", "ann", *options, environment=environment)
        )
        return commands[-1]

    yield run
    for command in commands:
        command.stop()


def test_keys_and_buttons_write_the_decisions_file(tmp_path, page, start):
    decisions = tmp_path / "decisions.csv"
    classes = {number: CLASSES[number % 2] for number in range(IMAGES)}
    ranking = write_ranking(tmp_path / "images", list(range(IMAGES)), classes)
    cams = write_cams(tmp_path, IMAGES)
    command = start(ranking, "--maps", cams, "--wanted", "3")
    address = command.page()
    assert address.startswith("http://127.0.0.1:")
    page.open(address)
    counts = "cat 0/3 accepted, 0 rejected, 6 left dog 0/3 accepted, 0 rejected, 6 left"
    assert page.counts() == counts
    assert not decisions.exists()
    assert command.listens_at() == {"127.0.0.1"}

    # One key for the image under the pointer, the hardest first.
    page.point_at(page.wait_for_images(12)[0])
    page.press("a", "Accepted: 0000000000000000")
    assert answers(decisions) == [("0", "accept")]
    page.point_at(page.wait_for_images(11)[0])
    page.press("d", "Rejected: 0000000000000001")
    assert answers(decisions)[1:] == [("1", "reject")]
    assert page.counts() == (
        "cat 1/3 accepted, 0 rejected, 5 left dog 0/3 accepted, 1 rejected, 5 left"
    )

    # A selection by one click, taken back by one key.
    for thumbnail in page.wait_for_images(10)[:3]:
        page.select(thumbnail)
    page.click("wood-accept", "Accepted: 3 images")
    assert sorted(answers(decisions)[2:]) == [("2", "accept"), ("3", "accept"), ("4", "accept")]
    page.wait_for_images(7)
    page.press("u", "Undone: 3 images")
    assert sorted(answers(decisions)[5:]) == [("2", "undo"), ("3", "undo"), ("4", "undo")]
    page.wait_for_images(10)

    # In the opened image a key goes on to the next one, and u comes back.
    page.open_image(page.loaded()[0])
    until(lambda: "0000000000000002" in page.opened(), "image 2")
    assert "House; Window" in page.opened()
    assert "CC BY 2.0" in page.opened()
    assert "cam 1" in " ".join(page.opened().split())  # one heatmap
    page.press("a", "Accepted: 0000000000000002")
    until(lambda: "0000000000000003" in page.opened(), "image 3")
    page.press("d", "Rejected: 0000000000000003")
    until(lambda: "0000000000000004" in page.opened(), "image 4")
    page.press("u", "Undone: 0000000000000003")
    until(lambda: "0000000000000003" in page.opened(), "image 3 again")
    page.press("a", "Accepted: 0000000000000003")
    assert answers(decisions)[8:] == [
        ("2", "accept"),
        ("3", "reject"),
        ("3", "undo"),
        ("3", "accept"),
    ]
    page.close_image()
    page.wait_for_images(8)
    assert page.counts() == (
        "cat 2/3 accepted, 0 rejected, 4 left dog 1/3 accepted, 1 rejected, 4 left"
    )

    # Letters typed into a field of the App are no answers.
    before = decisions.read_bytes()
    page.driver.find_element(By.CSS_SELECTOR, '[data-cy="input-view-stage"]').send_keys("adu")
    assert decisions.read_bytes() == before

    # No telemetry; the App's own style sheet names a font of the web.
    assert page.asked_hosts() <= {"127.0.0.1", "fonts.googleapis.com"}

    # A browser dies at once after the report of an answer; another one goes on from there.
    with chromium() as driver:
        dying = ReviewPage(driver)
        dying.open(address)
        dying.point_at(dying.wait_for_images(8)[0])
        dying.press("d", "Rejected: 0000000000000004")
        dying.kill()
    assert answers(decisions)[-1] == ("4", "reject")
    page.open(address)
    page.wait_for_images(7)

    command.stop()
    assert "cat: 2 accepted of 3 wanted, 1 rejected, 3 to review" in command.output()


def test_nothing_is_lost_to_kills_nor_to_another_ranking(tmp_path, page, start):
    decisions = tmp_path / "decisions.csv"
    classes = {number: "cat" for number in range(6)}
    command = start(write_ranking(tmp_path / "images", list(range(6)), classes))
    page.open(command.page())
    page.point_at(page.wait_for_images(6)[0])
    page.press("a", "Accepted: 0000000000000000")
    page.point_at(page.wait_for_images(5)[0])
    page.press("d", "Rejected: 0000000000000001")
    # The database dies at once after the report of an answer: the file has it, the command ends.
    command.mongod().kill()
    written = decisions.read_bytes()
    assert answers(decisions) == [("0", "accept"), ("1", "reject")]
    assert command.process.wait(timeout=90) == 1
    last = command.output().strip().splitlines()[-1]
    assert last.startswith("The review's database stopped; every answer given is in")
    command.stop()

    # Another reviewer's file lines, more candidates, another order and other classes.
    append_decision(decisions, Decision("0000000000000002", "reject", "cat", "bob", now()))
    written = decisions.read_bytes()
    classes = {number: CLASSES[number % 2] for number in range(8)}
    command = start(write_ranking(tmp_path / "images", list(range(8))[::-1], classes))
    page.open(command.page())
    page.wait_for_images(5)
    assert page.counts() == "cat 1 accepted, 1 rejected, 2 left dog 0 accepted, 1 rejected, 3 left"
    assert decisions.read_bytes() == written

    # The hardest is now image 7; the App, its server and the database die together.
    page.point_at(page.loaded()[0])
    page.press("a", "Accepted: 0000000000000007")
    written = decisions.read_bytes()
    for process in [command.process, *command.servers(), command.mongod()]:
        process.kill()
    command.stop(signal.SIGKILL)
    assert decisions.read_bytes() == written
    assert answers(decisions)[-1] == ("7", "accept")

    # Answers that the killed database never saw are shown again from the file.
    command = start(tmp_path / "images" / "ranking.parquet")
    page.open(command.page())
    page.wait_for_images(4)
    assert page.counts() == "cat 1 accepted, 1 rejected, 2 left dog 1 accepted, 1 rejected, 2 left"
    assert decisions.read_bytes() == written


def ends_with_one_sentence(command: ReviewCommand) -> str:
    assert command.process.wait(timeout=90) == 1
    output = command.output().strip()
    assert "Traceback" not in output
    return output.splitlines()[-1]


@pytest.fixture
def ranking(tmp_path):
    return write_ranking(tmp_path / "images", [0, 1], {0: "cat", 1: "dog"})


def test_a_database_that_does_not_start_is_one_sentence(tmp_path, start, ranking):
    folder = tmp_path / "fiftyone"
    (folder / "mongod.lock").mkdir(parents=True)  # where the database wants a file
    sentence = ends_with_one_sentence(start(ranking))
    assert sentence.startswith(f"{folder}: the review's database did not start (it stopped, saying")


def test_a_database_that_does_not_answer_is_one_sentence(start, ranking):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, never listening
        uri = f"mongodb://ann:secret@127.0.0.1:{taken.getsockname()[1]}"
        sentence = ends_with_one_sentence(
            start(ranking, environment={"FIFTYONE_DATABASE_URI": uri})
        )
    assert sentence.startswith("FIFTYONE_DATABASE_URI: no database answers at mongodb://127.0.0.1")
    assert "secret" not in sentence


@pytest.fixture
def own_database(tmp_path):
    """A MongoDB that somebody else runs; the fixture is its address."""
    from fiftyone.constants import FIFTYONE_DB_BIN_DIR

    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--dbpath", folder, "--port", str(port), "--logpath", tmp_path / "mongo.log"]
    mongod = subprocess.Popen([Path(FIFTYONE_DB_BIN_DIR, "mongod"), *options, "--nounixsocket"])
    yield f"mongodb://127.0.0.1:{port}"
    mongod.kill()
    mongod.wait()


def test_a_database_of_ones_own_is_used(tmp_path, start, ranking, own_database):
    environment = {"FIFTYONE_DATABASE_URI": own_database}
    command = start(ranking, "--no-wait", environment=environment)
    assert command.process.wait(timeout=90) == 0
    assert "cat: 0 accepted, 0 rejected, 1 to review" in command.output()
    assert not (tmp_path / "fiftyone").exists()
    client = pymongo.MongoClient(own_database)
    assert client["fiftyone"]["datasets"].find_one()["name"] == "hard-ood-review"
    views = {"to review", "cat to review", "dog to review", "accepted", "rejected"}
    assert set(client["fiftyone"]["views"].distinct("name")) == views


def test_a_database_that_is_too_old_is_one_sentence(own_database, monkeypatch):
    monkeypatch.setattr("fiftyone.constants.MONGODB_MIN_VERSION", Version("99.0"))
    with pytest.raises(InputError, match=r"MongoDB [\d.]+ answers at .* FiftyOne needs 99.0"):
        check_answer(own_database)


def test_a_taken_port_is_one_sentence(start, ranking):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = ends_with_one_sentence(start(ranking, "--port", str(port)))
    assert sentence.startswith(f"The App cannot listen at 127.0.0.1, port {port}")


def test_a_decisions_file_with_a_wrong_word_is_one_sentence(tmp_path, start, ranking):
    decisions = tmp_path / "decisions.csv"
    text = "image_id,decision,class,reviewer,time\n0,maybe,cat,ann,2024-05-01T10:00:00Z\n"
    decisions.write_text(text)
    sentence = ends_with_one_sentence(start(ranking))
    assert f"{decisions}, line 2: 'maybe' is not a decision" in sentence
    assert decisions.read_text() == text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda table: table.assign(image_id="../escape"),
            "the image id '../escape' is not a plain name",
        ),
        (lambda table: table.assign(image_id="same"), "the image same is ranked twice"),
        (lambda table: table.assign(path="/nowhere.jpg"), "no ranked candidate has an image file"),
        (lambda table: table.drop(columns="score"), "not a readable Parquet file"),
    ],
)
def test_a_bad_ranking_is_one_sentence(start, ranking, change, words):
    change(pd.read_parquet(ranking)).to_parquet(ranking)
    sentence = ends_with_one_sentence(start(ranking))
    assert sentence.startswith(f"{ranking}: ")
    assert words in sentence
