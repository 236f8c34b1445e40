"""Each kind of addition of docs/architecture.md, made here in the places that it names."""

import csv
import dataclasses
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.unit.report.test_items import only
from tests.unit.report.test_page import Reader
from tests.unit.seeds.photographs import CLASSES, SIZES
from tests.unit.seeds.test_localize import CAM, make
from tests.unit.workflow.test_targets import BASE
from wood.data.prepare import prepare_csv, prepare_list
from wood.models.architectures import ARCHITECTURES, Architecture
from wood.models.backbone import Backbone
from wood.models.backbones import FAMILIES
from wood.models.cam import CamClassifier
from wood.models.classifiers import build_classifier, load_classifier, save_classifier
from wood.models.deeplab import DeepLabV2
from wood.models.irnet import IRNet
from wood.report.columns import SEED
from wood.report.entry import Item
from wood.report.item import build_item
from wood.report.items import ITEMS, documented, pattern
from wood.report.page import build_page
from wood.report.spec import parse_spec
from wood.runtime.errors import InputError
from wood.runtime.store import read_json
from wood.scoring.seeds import score_seeds
from wood.seeds.methods import METHODS, POSITIVE, Method
from wood.seeds.pyramid import level
from wood.workflow import costs, start
from wood.workflow import resolve as settings
from wood.workflow.checks import check
from wood.workflow.grids import expanded
from wood.workflow.inputs import Inputs
from wood.workflow.targets import Targets

# A localization method: a function, and an entry of METHODS.


@torch.enable_grad()
def gradcam(model, images, classes, device, *, settings, max_batch_pixels):
    """Grad-CAM (Selvaraju et al., 2017): features weighted by the mean gradient of a score."""
    found = []
    for number, present in enumerate(classes):
        total = 0.0
        for scale in range(len(settings["scales"])):
            batch = level([images[number]], scale, model.backbone, device)
            for flip in (False, True):
                features = model.backbone(batch.flip(3) if flip else batch).requires_grad_()
                scores = model.head(features.mean(dim=(2, 3), keepdim=True))[0, :, 0, 0]
                weights = [
                    torch.autograd.grad(scores[c], features, retain_graph=True)[0].mean(dim=(2, 3))
                    for c in present
                ]
                maps = torch.einsum("nd,dhw->nhw", torch.cat(weights), features[0]).relu()
                total = total + (maps.flip(2) if flip else maps).detach() ** settings["power"]
        found.append(model.on_grid(total, batch.shape[2:], images[number].size))
    return found


GRADCAM = Method("Grad-CAM", lambda: gradcam, ("cam",), settings={"power": POSITIVE})


def test_a_localization_method(files, tmp_path, monkeypatch):
    """Of a linear head after the pooling, Grad-CAM is CAM but for a factor, which cancels."""
    monkeypatch.setitem(METHODS, "gradcam", GRADCAM)
    own = {"method": "gradcam", "scales": [1.0], "power": 1.0}
    found = make(files, tmp_path / "gradcam", own)
    expected = make(files, tmp_path / "cam", {**CAM, "scales": [1.0]})
    assert list(found) == list(expected)
    for image_id, maps in found.items():
        assert torch.allclose(maps.maps.float(), expected[image_id].maps.float(), atol=2e-3)


def test_a_localization_methods_settings_are_checked(monkeypatch):
    monkeypatch.setitem(METHODS, "gradcam", GRADCAM)
    own = {"method": "gradcam", "scales": [1.0], "power": 1.0}

    def checked(classifier, **changes):
        experiment = {"classifier": classifier, "localization": "gradcam"}
        localization = {"gradcam": {**own, **changes}}
        added = {"localizations": localization, "experiments": {"mine": experiment}}
        added["classifiers"] = {"seam": {"architecture": "seam"}}
        check(settings.merge(BASE, added))

    checked("cam")
    with pytest.raises(InputError, match=r"localizations\.gradcam\.powre is not a known key"):
        checked("cam", powre=2)
    with pytest.raises(InputError, match=r"localizations\.gradcam\.power: 0 is less"):
        checked("cam", power=0)
    with pytest.raises(InputError, match="takes Grad-CAM of a classifier of architecture 'seam'"):
        checked("seam")


def test_a_localization_methods_cost_is_its_own(monkeypatch):
    def passes(method, **own):
        monkeypatch.setitem(METHODS, "cam", method)
        stages = costs.stages(expanded(settings.merge(BASE, own)))
        return next(stage.tflop for stage in stages if stage.name == "localization maps")

    once, advcam = METHODS["cam"], METHODS["advcam"]
    only_cam = {"experiments": {"advcam": None, "advcam-wood": None}}
    assert advcam.passes({"iterations": 4, "half_scale_iterations": 2}, 0.5) == 7
    thrice = dataclasses.replace(once, passes=lambda settings, scale: 3)
    assert passes(thrice, **only_cam) == pytest.approx(3 * passes(once, **only_cam))


# An architecture of classifiers: a class, and an entry of ARCHITECTURES.


class ScaledClassifier(CamClassifier):
    """Its logits are twice those of CAM."""

    def forward(self, images):
        logits, features = super().forward(images)
        return 2 * logits, features


def test_an_architecture(tmp_path, monkeypatch):
    chosen = settings.merge(BASE, {"classifiers": {"mine": {"architecture": "scaled"}}})
    with pytest.raises(InputError, match=r"classifiers\.mine\.architecture is 'scaled', which"):
        check(chosen)
    monkeypatch.setitem(ARCHITECTURES, "scaled", Architecture(lambda: ScaledClassifier))
    check(chosen)
    about = {"backbone": "test_resnet", "class_names": CLASSES, "output_stride": 16}
    model = build_classifier(**about, weights=None, architecture="scaled").eval()
    save_classifier(tmp_path / "scaled.safetensors", model, about)
    found, metadata = load_classifier(tmp_path / "scaled.safetensors")
    assert (type(found), metadata["architecture"]) == (ScaledClassifier, "scaled")


# A table: an entry of ITEMS.

RECALL_OF_HALF_B = Item(
    "recall-b",
    "Table Z. Recall per class on half B",
    "the seeds' recall on half B",
    "class_columns",
    ("seeds",),
    table="Z",
    file="recall-b",
    caption="Seeds at the configured threshold on half B of {where}.",
    per_class={"recall": SEED.on("B").of("recall")},
)


def test_a_table(written, tmp_path, monkeypatch):
    """Its page, its place on the page of all, its target's rule, its row in the documentation."""
    monkeypatch.setitem(ITEMS, "recall-b", RECALL_OF_HALF_B)
    values = only(written, RECALL_OF_HALF_B.files)
    build_item("recall-b", values, tmp_path / "a.html", csv=tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [row["Method"] for row in rows] == [
        f"title of {name}" for name in ("irn", "irn-more", "irn-wood")
    ]
    for row, experiment in zip(rows, written["experiments"], strict=True):
        score = read_json(experiment["runs"][0]["seeds"])["halves"]["B"]["configured"]
        for name, expected in score["per_class"].items():
            recall = expected["recall"]
            shown = None if row[name] == "" else float(row[name])
            assert shown == (None if recall is None else pytest.approx(100 * recall, abs=1e-4))
    build_page({**written, "dataset": "tiny"}, tmp_path / "index.html")
    pages = [Reader((tmp_path / page).read_text()) for page in ("a.html", "index.html")]
    assert pages[0].tables["tiny-recall-b.csv"] == pages[1].tables["tiny-recall-b.csv"]
    assert re.fullmatch(pattern("csv"), "recall-b")
    assert "| `recall-b` | none | the seeds' recall on half B |" in documented()
    experiment = {**written["experiments"][0], "paper": {"Z": "IRN"}}
    with pytest.raises(InputError, match="Table Z has no row 'IRN'"):
        parse_spec({**written, "experiments": [experiment]})
    parse_spec({**written, "experiments": [{**experiment, "paper": {"Z": None}}]})


# A data set with masks of its own: an overlay, here over two photographs.


def test_a_data_set(tmp_path, files, monkeypatch):
    for name, value in {"a": 1, "b": 0, "d": 1}.items():
        mask = np.full(SIZES[name][::-1], value, np.uint8)
        for folder, pixels in (("masks", mask), ("images", Image.open(files / f"{name}.png"))):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(np.asarray(pixels)).save(tmp_path / folder / f"{name}.png")
    (tmp_path / "labels.csv").write_text("image_id,otter,heron\na,1,0\nb,0,1\nd,1,1\n")
    (tmp_path / "scored.txt").write_text("a\nd\n")
    overlay = {
        "classes": ["otter", "heron"],
        "data": {
            "source": "csv",
            "labels_csv": str(tmp_path / "labels.csv"),
            "images": str(tmp_path / "images"),
            "masks": str(tmp_path / "masks"),
            "image_sets": str(tmp_path),
            "evaluation": "scored",
            "val": None,
        },
        "ood": {"source": "none"},
        "classifiers": dict.fromkeys(["cam-wood", "cam-cls-ood"]),
        "experiments": dict.fromkeys(["irn-wood", "irn-cls-ood", "advcam-wood"]),
    }
    targets = Targets(start.configuration(settings.merge(BASE, overlay), {}))
    assert targets.scores("seeds")
    assert not targets.scores("segmentation")
    inputs = Inputs(targets)

    data = targets.config["data"]
    prepare_csv(
        data["labels_csv"], data["images"], classes=targets.config["classes"],
        output_list=tmp_path / "images.csv", output_labels=tmp_path / "labels.parquet",
    )  # fmt: skip
    [image_set] = inputs.image_set_files("evaluation")
    prepare_list(image_set, data["images"], output_list=tmp_path / "evaluation.csv")
    torch.manual_seed(0)
    model = build_classifier("tf_efficientnet_lite0", ["otter", "heron"], 16, None)
    metadata = {"backbone": "tf_efficientnet_lite0", "output_stride": 16}
    metadata["class_names"] = targets.config["classes"]
    save_classifier(tmp_path / "model.safetensors", model, metadata)
    make(tmp_path, tmp_path / "maps", CAM, class_names=targets.config["classes"])
    score_seeds(
        [tmp_path / "maps"], targets.paths.masks, tmp_path / "evaluation.csv", threshold=0.3,
        output=tmp_path / "seeds.json", **inputs.scoring,
    )  # fmt: skip
    score = read_json(tmp_path / "seeds.json")
    assert (score["split"], score["images"]) == ("scored", 2)
    assert score["configured"]["per_class"]["otter"]["precision"] == 1  # its masks are all otter


# A family of backbones: a class, and a line of FAMILIES.


class Plain(Backbone):
    """Four convolutions of stride 2: maps at strides 2, 4, 8 and 16."""

    def __init__(self):
        super().__init__()
        self.stage_channels, self.stage_strides = [8, 16, 24, 32], [2, 4, 8, 16]
        self.num_features = 32
        widths = [3, *self.stage_channels]
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU())
            for a, b in pairwise(widths)
        )

    def stages(self, images):
        maps = [images]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps[1:]


def test_a_family_of_backbones(files, tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, "plain", lambda name, stride, weights, detach: Plain())
    check(settings.merge(BASE, {"classifier": {"backbone": "plain", "weights": None}}))
    torch.manual_seed(0)
    model = build_classifier("plain", CLASSES, 16, None)
    metadata = {"backbone": "plain", "output_stride": 16, "class_names": CLASSES}
    for name in ("images.csv", "labels.parquet"):
        (tmp_path / name).symlink_to(files / name)
    save_classifier(tmp_path / "model.safetensors", model, metadata)
    assert type(load_classifier(tmp_path / "model.safetensors")[0].backbone) is Plain
    assert len(make(tmp_path, tmp_path / "maps", CAM)) == 5
    photographs = torch.zeros(1, 3, 64, 96)
    boundary, displacement = IRNet(Plain())(photographs)
    assert (boundary.shape, displacement.shape) == ((1, 1, 16, 24), (1, 2, 16, 24))
    assert DeepLabV2(Plain(), 4, (3, 6))(photographs).shape == (1, 4, 4, 6)
