"""How a review starts, and the one sentence where it cannot: a real MongoDB, no browser."""

import socket
import subprocess
from pathlib import Path

import pandas as pd
import pymongo
import pytest
from fiftyone.constants import FIFTYONE_DB_BIN_DIR
from packaging.version import Version

from tests.browser.review_page import ReviewCommand
from tests.browser.test_review_app import CLASSES, write_ranking
from wood.review.database import check_answer
from wood.runtime.errors import InputError


@pytest.fixture
def start(tmp_path):
    commands = []

    def run(*options: str, environment=None) -> ReviewCommand:
        files = ["--ranking", "ranking.parquet", "--decisions", "decisions.csv"]
        options = (*files, "--reviewer", "ann", "--classes", *CLASSES, *options)
        commands.append(ReviewCommand(tmp_path, *options, environment=environment))
        return commands[-1]

    write_ranking(tmp_path, 2)
    yield run
    for command in commands:
        command.stop()


@pytest.fixture
def own_database(tmp_path):
    """A MongoDB that somebody else runs; the fixture is its address."""
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


def ends_with_one_sentence(command: ReviewCommand) -> str:
    assert command.process.wait(timeout=90) == 1
    output = command.output().strip()
    assert "Traceback" not in output
    return output.splitlines()[-1].removeprefix("Error: ")


def test_a_database_that_does_not_start_is_one_sentence(tmp_path, start):
    folder = tmp_path / "database"
    (folder / "mongod.lock").mkdir(parents=True)  # where the database wants a file
    sentence = ends_with_one_sentence(start("--database", "database"))
    assert sentence.startswith(f"{folder}: the review's database did not start (it stopped, saying")


def test_a_database_that_does_not_answer_is_one_sentence(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, never listening
        uri = f"mongodb://ann:secret@127.0.0.1:{taken.getsockname()[1]}"
        sentence = ends_with_one_sentence(start(environment={"FIFTYONE_DATABASE_URI": uri}))
    assert sentence.startswith("FIFTYONE_DATABASE_URI: no database answers at mongodb://127.0.0.1")
    assert "secret" not in sentence


def test_a_database_of_ones_own_is_used_and_every_class_has_a_view(start, own_database):
    command = start("--no-wait", environment={"FIFTYONE_DATABASE_URI": own_database})
    assert command.process.wait(timeout=90) == 0, command.output()
    assert "cat: 0 accepted, 0 rejected, 1 to review" in command.output()
    client = pymongo.MongoClient(own_database)
    name = client["fiftyone"]["datasets"].find_one()["name"]
    assert "-decisions-ann-" in name
    views = set(client["fiftyone"]["views"].distinct("name"))
    assert {f"{number} {name} to review" for number, name in enumerate(CLASSES, 1)} < views
    assert {"to review", "accepted", "rejected", "disputed", "answered by nobody"} < views


def test_a_database_that_is_too_old_is_one_sentence(own_database, monkeypatch):
    monkeypatch.setattr("fiftyone.constants.MONGODB_MIN_VERSION", Version("99.0"))
    with pytest.raises(InputError, match=r"MongoDB [\d.]+ answers at .* FiftyOne needs 99.0"):
        check_answer(own_database)


def test_a_decisions_file_with_a_wrong_word_is_one_sentence(tmp_path, start):
    decisions = tmp_path / "decisions.csv"
    text = "image_id,decision,class,reviewer,time\n0,maybe,cat,ann,2024-05-01T10:00:00Z\n"
    decisions.write_text(text)
    sentence = ends_with_one_sentence(start())
    assert f"{decisions}, line 2: 'maybe' is not a decision" in sentence
    assert decisions.read_text() == text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda table: table.assign(image_id="../escape"),
            "the image id '../escape' is not a plain file name",
        ),
        (lambda table: table.assign(image_id="same"), "the image same is ranked twice"),
        (lambda table: table.assign(path="/nowhere.jpg"), "no ranked candidate has an image file"),
        (lambda table: table.drop(columns="score"), "the column 'score' is missing"),
    ],
)
def test_a_bad_ranking_is_one_sentence(tmp_path, start, change, words):
    ranking = tmp_path / "ranking.parquet"
    change(pd.read_parquet(ranking)).to_parquet(ranking)
    sentence = ends_with_one_sentence(start())
    assert sentence.startswith("ranking.parquet: ")
    assert words in sentence
