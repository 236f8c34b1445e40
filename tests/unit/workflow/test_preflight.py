"""What a run needs, beside what a machine has, on one screen."""

import re

import pytest
import yaml

from tests.devkit import make_devkit
from tests.places import ROOT
from wood.cli import main
from wood.workflow import costs
from wood.workflow.preflight import Machine, driver, read_configuration, screen, this_machine
from wood.workflow.resolve import merge
from wood.workflow.resources import LARGEST_MB, LARGEST_MB_OF_THREAD

SMALL = Machine(free=10**9, memory=4 * 10**9, cores=2)
LARGE = Machine(10**13, 10**12, 16, ["H200"], "NVIDIA's driver 1 for CUDA 13")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Nothing is there: no data, no results."""
    monkeypatch.chdir(tmp_path)


def config(name=None, changes=None):
    files = [ROOT / "configs" / f"{name}.yaml"] if name else []
    found = merge(read_configuration(files), changes or {})
    if name == "voc-small":
        found["data"]["image_sets"] = str(ROOT / "configs" / "voc-small")
    return found


def fits(text):
    lines = text.splitlines()
    return len(lines) <= 40 and max(map(len, lines)) <= 100


@pytest.mark.parametrize("name", [None, "voc-small", "voc12", "own-classes", "voc-mini"])
def test_it_is_one_screen_whatever_is_missing(name):
    text, _ = screen(config(name), SMALL)
    assert fits(text), text


def test_a_small_machine_is_told_what_the_paper_needs():
    text, status = screen(config("voc12"), SMALL)
    assert status == 1
    assert "10582 images to train on, 1449 of val" in text
    assert re.search(r"disk of results/voc12 has 1.0 GB free; the run needs about \d+ GB", text)
    assert "asks for 6.0 GB of memory; this machine has 4.0 GB" in text
    assert "gpus is 1, but 0 found (no driver)" in text
    assert "data/VOCdevkit/VOC2012: 2.0 GB, 2.7 min" in text
    assert "500,000 photographs: 150 GB, 2.8 h at 50 a second" in text
    assert "about 8,520 of them to be looked at: 7.1 h at 3 s" in text


def test_nothing_is_missing_on_a_large_machine():
    for name in (None, "voc-small", "voc12"):
        text, status = screen(config(name), LARGE)
        assert status == 0, text
        assert text.endswith("Nothing is missing.")


def test_the_demo_fetches_nothing_and_asks_nobody():
    text, _ = screen(config(), LARGE)
    assert re.search("^downloads +none$", text, re.MULTILINE)
    assert re.search("^review +none", text, re.MULTILINE)


def test_every_missing_file_is_named_with_its_key():
    changes = {"classifier": {"weights": "nowhere.pth"}, "data": {"sbd_root": None}}
    text, status = screen(config("voc12", changes), LARGE)
    assert status == 1
    assert "2 missing or wrong" in screen(config("own-classes"), LARGE)[0]
    assert "weights is nowhere.pth, which does not exist" in text
    assert "data.train is train_aug" in text


def test_what_is_there_is_neither_fetched_nor_counted(tmp_path):
    images = {f"2007_{number:06d}": ["cat"] for number in range(5)}
    names = list(images)
    voc = make_devkit(tmp_path / "devkit", images, {"train": names[:3], "val": names[3:]}, names)
    data = {"voc_root": str(voc), "image_sets": None}
    chosen = merge(config("voc-small"), {"data": data})
    folder = tmp_path / "results/voc-small/ood/images/validation"
    folder.mkdir(parents=True)
    for number in range(7):
        (folder / f"{number}.jpg").touch()
    text, status = screen(chosen, LARGE)
    assert status == 0, text
    assert "3 images to train on, 2 of val" in text
    assert str(voc) not in text
    assert "at most 1,993 photographs" in text
    (folder.parent / "large").write_bytes(bytes(10**6))
    assert costs.photographs_to_come(chosen) == 1993


def test_the_disk_that_is_needed_is_less_what_the_results_have(tmp_path):
    needed = sum(stage.gigabytes for stage in costs.stages(config()))
    folder = tmp_path / "results/demo"
    folder.mkdir(parents=True)
    with (folder / "made").open("wb") as file:
        file.truncate(int(needed * 1e9))  # a file of that length, whose bytes are not written
    assert "about 0 MB more" in screen(config(), LARGE)[0]


def test_the_projections_are_those_of_the_page():
    """docs/scaling.md, "The whole of Pascal VOC": one experiment, its rows by hand."""
    kept = dict.fromkeys(config("voc12")["experiments"]) | {
        "irn": config("voc12")["experiments"]["irn"]
    }
    whole = config("voc12")
    whole["experiments"] = kept
    whole["ood"]["source"] = "none"
    tflop = {stage.name: stage.tflop / 1000 for stage in costs.stages(whole)}
    assert tflop["classifiers"] == pytest.approx(11, rel=0.1)  # F_in
    assert tflop["localization maps"] == pytest.approx(8, rel=0.1)  # CAM
    assert tflop["pseudo-masks"] == pytest.approx(3 + 1.5, rel=0.1)  # IRNet and boundaries
    assert tflop["networks, predictions"] == pytest.approx(235 + 0.7, rel=0.1)  # DeepLab-v2
    whole["experiments"] |= {"irn": None, "advcam": config("voc12")["experiments"]["advcam"]}
    maps = next(stage for stage in costs.stages(whole) if stage.name == "localization maps")
    assert maps.tflop / 1000 == pytest.approx(630, rel=0.1)
    assert maps.seconds(cores=16, gpus=1) / 60 == pytest.approx(70, rel=0.1)
    assert maps.seconds(cores=2, gpus=0) / 86_400 == pytest.approx(73, rel=0.15)


def test_the_largest_memory_is_that_of_the_rules():
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    asked = re.findall(r"\*\*asks\((\d+), \d+(, per_thread=True)?", rules)
    assert max(int(size) for size, each in asked if not each) == LARGEST_MB
    assert max(int(size) for size, each in asked if each) == LARGEST_MB_OF_THREAD


def test_the_command_prints_the_screen(capsys, tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(yaml.safe_dump({"gpus": 2}))
    assert main(["preflight", "--configfile", str(overlay)]) == 1
    said = capsys.readouterr().out
    assert "gpus is 2, but 0 found" in said
    assert fits(said)
    assert main(["preflight", "--configfile", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml" in capsys.readouterr().err


def test_an_experiment_that_one_overlay_drops_and_another_sets_is_read_as_snakemake_reads_it():
    """`irn-more` is null in voc-mini-train and has a value in voc-mini-collection."""
    names = ("voc-mini", "voc-mini-train", "voc-mini-collection")
    config = read_configuration([ROOT / "configs" / f"{name}.yaml" for name in names])
    found = config["experiments"]["irn-more"]
    assert (found["classifier"], found["until"]) == ("cam-more", "seeds")


def test_the_driver_is_named_as_far_as_it_is_known(tmp_path):
    assert driver(tmp_path / "none").startswith("a driver of unknown version")
    for kind in ("NVIDIA UNIX x86_64 Kernel Module", "NVIDIA UNIX Open Kernel Module for x86_64"):
        (tmp_path / "version").write_text(f"NVRM version: {kind}  550.54.14  Thu Feb 22\nGCC")
        assert driver(tmp_path / "version").startswith("NVIDIA's driver 550.54.14")


def test_images_that_are_not_there_yet_are_no_small_number():
    assert "they count nothing" in screen(config("own-classes"), LARGE)[0]
    assert "they count nothing" not in screen(config("voc12"), LARGE)[0]


def test_this_machine_has_memory_disk_and_cores(tmp_path):
    machine = this_machine(tmp_path / "not" / "there")
    assert min(machine.free, machine.memory, machine.cores) > 0
