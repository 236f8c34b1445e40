"""Bad input of the collection: one sentence, exit code 1, nothing lost or written elsewhere."""

import logging

import pandas as pd
import pytest

from tests.unit.ood.test_download import bomb
from tests.unit.openimages import IMAGE_HEADER, Mirror, write_csv, write_image
from wood.ood.candidates import CANDIDATES, filter_candidates
from wood.ood.download import download_images
from wood.ood.hard_ood import select_hard_ood
from wood.ood.metadata import fetch_metadata
from wood.runtime.jobs import job

CLASSES = "v6/oidv6-class-descriptions.csv"
HUMAN = "v5/validation-annotations-human-imagelabels.csv"
IMAGES = "2018_04/validation/validation-images-with-rotation.csv"


@pytest.fixture(autouse=True)
def log_handlers():
    """A job takes the root logger's handlers away."""
    before = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = before


@pytest.fixture
def ends(tmp_path, capsys):
    """Runs an action as a rule's script does; insists on exit code 1 and returns the sentence.

    Every file outside the folder `out` is as before.
    """

    def files():
        kept = (path for path in tmp_path.rglob("*") if path.is_file())
        return {
            path: path.read_bytes()
            for path in kept
            if tmp_path / "out" not in path.parents and path.name != "job.log"
        }

    def run(action):
        before = files()
        with pytest.raises(SystemExit) as ended, job(tmp_path / "job.log"):
            action()
        assert ended.value.code == 1
        assert files() == before
        said = capsys.readouterr().err.strip()
        assert said.startswith("Error: ")
        assert len(said.splitlines()) == 1
        return said

    return run


@pytest.fixture
def root(tmp_path):
    mirror = Mirror(tmp_path / "mirror")
    mirror.add([("Cat", 1)])
    mirror.add([("Room", 1)], [("Forest", 0.8)])
    return mirror.write()


def collect(root):
    out = root.parent / "out"
    metadata = fetch_metadata(out, base=root, splits=["validation"])
    filter_candidates(metadata, out / "candidates.parquet", out / "why.parquet", classes=["cat"])


def append(file, line):
    """Append a line of bytes to a file of the mirror."""

    def change(root):
        with (root / file).open("ab") as handle:
            handle.write(line + b"\n")

    return change


def listed_again(root):
    path = root / IMAGES
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")


def empty_list(root):
    write_csv(root / IMAGES, [IMAGE_HEADER])


def only_cats(root):
    path = root / IMAGES
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))


def other_version(root):
    (root / CLASSES).write_text("LabelName,DisplayName\n/m/1,Old cat\n/m/2,Old room\n")


@pytest.mark.parametrize(
    ("change", "file", "words"),
    [
        (append(IMAGES, b"../../x" + b"," * 11), IMAGES, "the image id '../../x' is not a plain"),
        (append(IMAGES, b".." + b"," * 11), IMAGES, "the image id '..' begins with a point"),
        (append(IMAGES, b"Zo\xeb" + b"," * 11), IMAGES, "is not all UTF-8"),
        (append(IMAGES, b"0123456789abcdef"), IMAGES, "row 4 has 1 columns, not 12"),
        (append(HUMAN, b"0123456789abcdef,verification"), HUMAN, "row 4 has 2 columns, not 4"),
        (append(CLASSES, b"/m/1"), CLASSES, "has 1 columns, not a label id and a name"),
        (append(CLASSES, b"/m/1,Zo\xeb"), CLASSES, "not text in UTF-8"),
        (other_version, CLASSES, "'Cat' (/m/01yrx) of the class 'cat' is not in the class"),
        (listed_again, IMAGES, "is listed twice"),
        (empty_list, IMAGES, "no image is listed, so there is no candidate"),
        (only_cats, IMAGES, "no image is without a foreground label"),
    ],
)
def test_bad_metadata(root, ends, change, file, words):
    collect(root)
    candidates = root.parent / "out/candidates.parquet"
    before = candidates.read_bytes()
    change(root)
    said = ends(lambda: collect(root))
    assert str(root / file) in said
    assert words in said
    assert candidates.read_bytes() == before
    assert {path.name for path in (root.parent / "out").iterdir()} == {
        "candidates.parquet",
        "why.parquet",
        "metadata.json",
    }


def test_an_image_of_900_million_pixels(tmp_path, ends):
    (tmp_path / "pool/validation").mkdir(parents=True)
    (tmp_path / "pool/validation/a.jpg").write_bytes(bomb())
    table = pd.DataFrame({"image_id": ["a"], "split": "validation", "rotation": 0})
    table = table.reindex(columns=CANDIDATES.names, fill_value="")
    table.to_parquet(tmp_path / "candidates.parquet")
    said = ends(
        lambda: download_images(
            tmp_path / "candidates.parquet",
            tmp_path / "out/images",
            tmp_path / "out/manifest.parquet",
            base=tmp_path / "pool",
        )
    )
    assert "not one of 1 images could be had" in said
    assert "a.jpg: more pixels than the 64000000 allowed" in said


def test_a_wrong_word_in_a_decisions_file(tmp_path, ends):
    write_image(tmp_path / "a.jpg")
    row = {"rank": 1, "image_id": "a", "class": "cat", "score": 0.9, "path": "a.jpg"}
    pd.DataFrame([row]).to_parquet(tmp_path / "ranking.parquet")
    decisions = tmp_path / "decisions.csv"
    decisions.write_text(
        "image_id,decision,class,reviewer,time\na,yes,cat,Ann,2026-01-01T00:00:00Z\n"
    )
    said = ends(
        lambda: select_hard_ood(
            tmp_path / "ranking.parquet",
            tmp_path / "out/hard_ood.csv",
            tmp_path / "out/review_stats.json",
            policy="decisions",
            answers=decisions,
        )
    )
    assert f"{decisions}, line 2: 'yes' is not a decision, write accept, reject, undo" in said
