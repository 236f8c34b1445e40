"""What a run fetches, from a loopback server that stands for the hosts of the data sets."""

import io
import os
import subprocess
import sys
import tarfile

import pandas as pd
import pytest
import torch
import yaml

from tests.devkit import make_devkit
from tests.places import ROOT
from tests.server import File, good


def archive(folder, name, mode):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        file.add(folder, name)
    return buffer.getvalue()


@pytest.fixture
def hosts(server, tmp_path):
    """The archives of VOC and SBD, and weights, all tiny."""
    images = {f"2007_{number:06d}": ["cat" if number % 2 else "dog"] for number in range(8)}
    names = list(images)
    sets = {"train": names[:3], "val": names[3:5], "trainval": names[:5]}
    voc = make_devkit(tmp_path / "hosts", images, sets, names[:5])
    sbd = tmp_path / "hosts" / "benchmark_RELEASE" / "dataset"
    (sbd / "img").mkdir(parents=True)
    (sbd / "train.txt").write_text("\n".join(names[4:7]))
    (sbd / "val.txt").write_text(names[7])
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(3)}, buffer)
    whole = archive(voc.parent, "VOCdevkit", "w")
    server.answers |= {
        "/voc.tar": File(whole, [len(whole) // 2]),
        "/sbd.tgz": good(archive(sbd.parent, "benchmark_RELEASE", "w:gz")),
        "/net.pth": good(buffer.getvalue()),
    }
    return server


def overlay(server, folder):
    def entry(name):
        return {"addresses": [f"{server.base}/{name}"], "checksum": None, "gigabytes": None}

    config = {
        "dataset": "tiny",
        "classes": ["cat", "dog"],
        "data": {"source": "voc", "voc_root": "data/VOC2012", "sbd_root": "data/sbd"},
        "ood": {"source": "none"},
        "classifier": {"weights": "data/net.pth"},
        "classifiers": {"cam-wood": None, "cam-cls-ood": None},
        "experiments": {
            **dict.fromkeys(["irn-wood", "irn-cls-ood", "irn-more", "advcam", "advcam-wood"]),
            "irn": {"until": "seeds", "threshold": 0.5},
        },
        "downloads": {
            "voc2012": entry("voc.tar"),
            "sbd": entry("sbd.tgz"),
            "weights": {"net": {"file": "net.pth", **entry("net.pth")}},
        },
    }
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def snakemake(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--cores", "1"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, "--configfile", folder / "overlay.yaml", "--directory", folder, *arguments],
        capture_output=True, text=True, env=environment, timeout=300, check=False,
    )  # fmt: skip


TARGETS = ["results/tiny/data/train.csv", "results/tiny/data/val.csv", "data/net.pth"]


def test_a_run_fetches_what_is_not_there_and_nothing_twice(hosts, tmp_path):
    overlay(hosts, tmp_path)
    run = snakemake(tmp_path, "--", *TARGETS)
    assert run.returncode == 0, run.stderr
    train = pd.read_csv(tmp_path / TARGETS[0])
    val = pd.read_csv(tmp_path / TARGETS[1])
    # SBD's images and VOC's train, without VOC's val.
    assert len(train) == 6
    assert len(val) == 2
    assert dict(hosts.asked) == {"/voc.tar": 2, "/sbd.tgz": 1, "/net.pth": 1}
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [
        "VOC2012",
        "net.pth",
        "net.pth.sha256",
        "sbd",
    ]
    assert sorted(path.name for path in (tmp_path / "data/sbd").glob("[!.]*")) == [
        "train.txt",
        "val.txt",
    ]
    # What was fetched is now what a user could have put there; nothing runs again.
    hosts.answers.clear()
    again = snakemake(tmp_path, "--", *TARGETS[:2])
    assert again.returncode == 0, again.stderr
    assert "Nothing to be done" in again.stdout + again.stderr


def test_the_target_preflight_says_what_is_to_come_and_fetches_nothing(hosts, tmp_path):
    overlay(hosts, tmp_path)
    said = snakemake(tmp_path, "--", "preflight").stdout
    assert "data/VOC2012: size unknown" in said
    assert "data/net.pth: size unknown" in said
    assert not hosts.asked
    assert not (tmp_path / "data").exists()


def test_voc_small_takes_its_lists_from_the_archive_that_it_fetches(server, tmp_path):
    """configs/voc-small.yaml as it is, but for the address."""
    small = ROOT / "configs" / "voc-small.yaml"
    classes = yaml.safe_load(small.read_text())["classes"]
    listed = {
        name: (ROOT / "configs" / "voc-small" / f"{name}.txt").read_text().split()
        for name in ("train", "val")
    }
    names = [*listed["train"], *listed["val"], "2007_000001"]
    images = {name: [classes[number % 6]] for number, name in enumerate(names)}
    sets = dict.fromkeys(["train", "val", "trainval"], names[-1:])  # not those of configs/voc-small
    voc = make_devkit(tmp_path / "hosts", images, sets, names[-1:])
    server.answers["/voc.tar"] = good(archive(voc.parent, "VOCdevkit", "w"))
    entry = {"addresses": [f"{server.base}/voc.tar"], "checksum": None}
    changes = {
        "data": {"image_sets": str(ROOT / "configs" / "voc-small")},
        "downloads": {"voc2012": entry},
    }
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(changes))
    lists = [f"results/voc-small/data/{name}.csv" for name in listed]
    run = snakemake(tmp_path, "--configfile", small, tmp_path / "overlay.yaml", "--", *lists)
    assert run.returncode == 0, run.stderr
    for path, ids in zip(lists, listed.values(), strict=True):
        table = pd.read_csv(tmp_path / path)
        assert sorted(table["image_id"]) == sorted(ids)
        assert all((tmp_path / name).is_file() for name in table["path"])
    assert dict(server.asked) == {"/voc.tar": 1}


def test_weights_without_file_and_address_show_at_the_start(hosts, tmp_path):
    path = overlay(hosts, tmp_path)
    config = yaml.safe_load(path.read_text())
    config["classifier"]["weights"] = "data/other.pth"
    path.write_text(yaml.safe_dump(config))
    run = snakemake(tmp_path, "--dry-run")
    assert run.returncode == 1
    assert "weights is data/other.pth, which does not exist" in run.stderr
    assert not hosts.asked


def test_a_local_archive_is_used_where_it_is(hosts, tmp_path):
    path = overlay(hosts, tmp_path)
    config = yaml.safe_load(path.read_text())
    local = tmp_path / "mine.tar"
    local.write_bytes(hosts.answers["/voc.tar"].content)
    config["downloads"]["voc2012"]["addresses"] = [str(local)]
    path.write_text(yaml.safe_dump(config))
    run = snakemake(tmp_path, "--", TARGETS[1])
    assert run.returncode == 0, run.stderr
    assert local.exists()
    assert not hosts.asked
