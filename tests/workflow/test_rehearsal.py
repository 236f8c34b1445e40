"""The short form of `make rehearsal`: each network and stage of voc12.yaml once, on one photograph.

Networks, crops, scales, K, rates and thresholds are those of configs/voc12.yaml; iterations,
climbing steps and photographs are cut as in rehearsal.yaml, batches to one photograph. What the
whole rehearsal does beside: Wide ResNet-38's trainings, and everything between the stages.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.places import ROOT
from tests.workflow.published_world import BAND, OF_SBD, World, photograph, write_weights
from tests.workflow.rehearsal_times import Stage, duration, projections, table, write_scaling
from wood.affinity.ir_labels import make_ir_labels
from wood.affinity.pseudo_masks import make_pseudo_masks
from wood.affinity.train import train_irnet
from wood.crf import DEEPLAB_CRF
from wood.data.labels import write_labels
from wood.data.lists import write_image_list
from wood.data.masks import load_mask
from wood.ood.centers import make_centers
from wood.runtime.knobs import without_knobs
from wood.scoring.thresholds import with_margins
from wood.seeds.classifier import starting_point, train_classifier
from wood.seeds.features import extract_features
from wood.seeds.localize import localize
from wood.segmentation.inference import segment_images
from wood.segmentation.train import train_segmentation
from wood.workflow import resolve as settings
from wood.workflow.checks import check
from wood.workflow.grids import expanded
from wood.workflow.inputs import training_of_network

FILES = ("config.yaml", "configs/voc12.yaml", "tests/workflow/rehearsal.yaml")
PAPER_CUTS = "tests/workflow/rehearsal-paper.yaml"
CLASS = "cow"
IMAGE = "2008_002709"
ONE = {"batch_size": 1, "workers": 0}
ONCE = {"seed": 0, "max_failed_fraction": 0.0}


@dataclass
class Short:
    """A folder with one photograph, weights, and the configuration as it is resolved."""

    folder: Path
    config: dict

    @property
    def classes(self) -> list[str]:
        return self.config["classes"]

    @property
    def lists(self) -> dict[str, Path]:
        return {"images": self.folder / "train.csv", "labels": self.folder / "labels.parquet"}

    def classifier(self, name: str) -> dict:
        chosen = settings.classifier(self.config, name)
        chosen["training"] |= ONE
        if chosen["wood"]:
            chosen["wood"]["batch_size"] = 1
        return chosen

    def train(self, name: str, **more: Path) -> Path:
        output = self.folder / f"{name}.safetensors"
        train_classifier(
            **self.lists, output=output, log=self.folder / f"{name}.jsonl",
            epochs=self.folder / f"{name}-epochs", settings=self.classifier(name),
            class_names=self.classes, seed=0, checkpoint=self.folder / f".{name}", **more,
        )  # fmt: skip
        return output

    def features(self, images: Path, classifier: Path, name: str) -> Path:
        output = self.folder / name
        extract_features(images, classifier, output, long_side=self.config["ood"]["long_side"],
                         max_batch_pixels=200_000, max_failed_fraction=0.0)  # fmt: skip
        return output

    def maps(self, classifier: Path, name: str) -> Path:
        output = self.folder / f"{name}-maps.safetensors"
        localize(
            *self.lists.values(), classifier, output,
            settings=self.config["localizations"][name], shard_index=0, shard_count=1,
            class_names=self.classes, max_batch_pixels=200_000, max_failed_fraction=0.0,
        )  # fmt: skip
        return output


def merged(names: Sequence[str]) -> dict:
    """The configuration of these files, each over the ones before."""
    return reduce(settings.merge, (yaml.safe_load((ROOT / name).read_text()) for name in names))


def test_the_whole_rehearsal_cuts_every_training():
    """An experiment with iterations of its own would take days."""
    files = (FILES[0], FILES[1], "configs/paper.yaml", FILES[2], PAPER_CUTS)
    config = expanded(merged(files))
    assert "advcam-wood-wide" in config["experiments"]
    assert len(settings.experiments(config, "seeds")) > 40
    for name in settings.experiments(config, "segmentation"):
        chosen = settings.experiment(config, name)
        assert chosen["segmentation"]["training"]["iterations"] == 1, name
        assert chosen["pseudo"]["irnet"]["training"]["epochs"] == 1, name
    for name in (n for n, found in config["classifiers"].items() if found is not None):
        # figure 7 keeps the weights of each epoch
        allowed = 5 if settings.classifier(config, name)["keep_epochs"] else 1
        assert settings.classifier(config, name)["training"]["epochs"] <= allowed, name


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    folder = tmp_path_factory.mktemp("short")
    world = World(folder, write_weights(folder / "weights"))
    config = settings.merge(merged(FILES), world.weights_overlay(folder))
    check(config)
    image, _ = photograph(IMAGE, OF_SBD[IMAGE])
    image.save(folder / f"{IMAGE}.jpg")
    images = pd.DataFrame({"image_id": [IMAGE], "path": [str(folder / f"{IMAGE}.jpg")]})
    write_image_list(folder / "train.csv", images)
    labels = pd.DataFrame([[name == CLASS for name in config["classes"]]], index=[IMAGE])
    write_labels(folder / "labels.parquet", labels.set_axis(config["classes"], axis=1))
    # As many different images as there are clusters, low for the sake of time.
    rows = []
    for number in range(config["wood"]["clusters"]):
        path = folder / f"ood-{number}.png"
        image.rotate(number).crop((0, number, 500, number + 32)).save(path)
        rows.append({"image_id": f"ood-{number}", "path": str(path), "class": CLASS})
    write_image_list(folder / "ood.csv", pd.DataFrame(rows))
    return Short(folder, config)


def finite(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file, all of whose numbers are finite."""
    tensors = load_file(path)
    assert all(torch.isfinite(tensor.float()).all() for tensor in tensors.values())
    return tensors


def test_every_stage_of_voc12_runs_at_its_real_size(short):
    folder, classes = short.folder, short.classes
    f_in = short.train("cam")
    assert finite(f_in)["head.weight"].shape == (20, 2048, 1, 1)
    inside = short.features(folder / "train.csv", f_in, "in.safetensors")
    outside = short.features(folder / "ood.csv", f_in, "out.safetensors")
    chosen = short.classifier("cam-wood")
    centers = folder / "centers.safetensors"
    make_centers(*short.lists.values(), folder / "ood.csv", inside, outside, centers,
                 wood=chosen["wood"], data=chosen["data"], seed=0)  # fmt: skip
    assert finite_rows(load_file(centers)["ood"]) == (50, 2048)
    wood = short.train("cam-wood", init=f_in, ood_list=folder / "ood.csv", centers=centers)
    assert not torch.equal(finite(wood)["head.weight"], finite(f_in)["head.weight"])
    for name in ("cam", "advcam"):
        maps = [tensor for tensor in finite(short.maps(wood, name)).values() if tensor.ndim == 3]
        assert [tuple(tensor.shape) for tensor in maps] == [(1, BAND // 4, 125)]
    irn = settings.experiment(short.config, "irn-wood")
    pseudo = irn["pseudo"]
    sides = {k: v for k, v in pseudo.items() if k.startswith(("foreground_", "background_"))}
    make_ir_labels(
        folder / "cam-maps.safetensors", folder / "train.csv", folder / "ir", class_names=classes,
        **with_margins(sides | {"gt_prob": pseudo["gt_prob"]}, 0.1),
        workers=1, max_failed_fraction=0.0,
    )  # fmt: skip
    assert load_mask(folder / "ir" / f"{IMAGE}.png").shape == (BAND, 500)
    net = pseudo["irnet"]
    train_irnet(
        [folder / "ir"], folder / "train.csv", folder / "irnet.safetensors", folder / "irnet.jsonl",
        backbone=net["backbone"], weights=net["weights"], radius=net["radius"], crop=net["crop"],
        scale_range=net["scale"], settings=net["training"] | ONE, checkpoint=folder / ".irnet",
        **ONCE,
    )  # fmt: skip
    finite(folder / "irnet.safetensors")
    keys = ("radius", "beta", "exp_times", "mask_threshold", "power")
    make_pseudo_masks(
        folder / "cam-maps.safetensors", folder / "train.csv", folder / "irnet.safetensors",
        folder / "masks", class_names=classes, **{key: pseudo[key] for key in keys},
        max_failed_fraction=0.0,
    )  # fmt: skip
    values = set(np.unique(load_mask(folder / "masks" / f"{IMAGE}.png")))
    assert values <= {0, classes.index(CLASS) + 1}
    segment(short, irn["segmentation"])


def finite_rows(tensor: torch.Tensor) -> tuple[int, ...]:
    assert torch.isfinite(tensor).all()
    return tuple(tensor.shape)


def segment(short: Short, chosen: dict) -> None:
    """Train DeepLab-v2 with ResNet-101 on the pseudo-mask, and predict the photograph."""
    folder = short.folder
    own = without_knobs(training_of_network(chosen))
    train_segmentation(
        folder / "train.csv", [folder / "masks"], folder / "network.safetensors",
        folder / "network.jsonl", class_names=short.classes,
        settings=own | {"training": own["training"] | ONE}, checkpoint=folder / ".network", **ONCE,
    )  # fmt: skip
    segment_images(
        folder / "train.csv", folder / "network.safetensors", folder / "plain", shard_index=0,
        shard_count=1, class_names=short.classes, **chosen["inference"], crf=DEEPLAB_CRF,
        crf_output=folder / "crf", max_failed_fraction=0.0,
    )  # fmt: skip
    for name in ("plain", "crf"):
        assert load_mask(folder / name / f"{IMAGE}.png").shape == (BAND, 500)


def test_seam_reads_the_published_file_and_takes_its_crop(short):
    model, _ = starting_point(short.classifier("seam"), short.classes, None)
    crop = short.config["classifiers"]["seam"]["crop"]
    with torch.inference_mode():
        features = model.eval().backbone(torch.zeros(1, 3, crop, crop))
    assert features.shape == (1, 4096, crop // 8, crop // 8)
    assert torch.isfinite(features).all()


def test_times_grow_with_the_work_and_stand_on_the_page(tmp_path):
    stages = [
        Stage("seeds/score_seeds/irn-0", 3, 2, 500),
        Stage("seeds/train_classifier/cam-0", 8, 14, 2500),
        Stage("segmentation/train_segmentation/irn-0", 53, 104, 4500),
    ]
    # 8 - 3 seconds for 5 images; 5 epochs of 10,582.
    assert "| 5.0 s for 5 images | 2.5 GB | 15 h | 7 GB |" in projections(stages)
    assert "| 50.0 s for 2 images | 4.5 GB | 58 days | 20 GB |" in projections(stages)
    assert "3 jobs, 1 minutes one after another, at most 4.5 GB" in table(stages)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- rehearsal: begin -->\nold\n<!-- rehearsal: end -->\nafter\n")
    write_scaling(page, stages)
    text = page.read_text()
    assert text.startswith("before\n<!-- rehearsal: begin -->\n")
    assert text.endswith("<!-- rehearsal: end -->\nafter\n")
    assert "old" not in text
    assert projections(stages) in text


@pytest.mark.parametrize(("seconds", "text"), [(20, "20 s"), (600, "10 min"), (8_000, "2.2 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text
