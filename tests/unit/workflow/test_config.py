"""The configuration: bad keys and values are named before anything runs."""

import re

import pytest
import yaml

from tests.places import ROOT
from wood.ood.metadata import FILES
from wood.runtime.errors import InputError
from wood.runtime.web import USER_AGENT
from wood.scoring.thresholds import has_margins
from wood.workflow import resolve as settings
from wood.workflow.checks import check
from wood.workflow.files import check_files
from wood.workflow.grids import expanded
from wood.workflow.overlays import read_overlays


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def overlaid(config, *names):
    for name in names:
        overlay = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text())
        config = settings.merge(config, overlay)
    return config


# Overlays that lie over another.
UNDER = {
    "voc-mini-train": ["voc-mini"],
    "voc-mini-study": ["voc-mini", "voc-mini-train"],
    "paper": ["voc12"],
    "tables/tableA1": ["voc12"],
}
OVERLAYS = [
    str(path.relative_to(ROOT / "configs").with_suffix(""))
    for path in (ROOT / "configs").glob("**/*.yaml")
]


@pytest.mark.parametrize("name", [None, *OVERLAYS])
def test_shipped_configurations_are_complete(config, name):
    if name:
        config = overlaid(config, *UNDER.get(name, []), name)
    check(config)


def test_variants_of_the_study_have_one_budget(config):
    """The same extra epochs, rate and augmentation; what differs is how OoD images are used."""
    study = overlaid(config, *UNDER["voc-mini-study"], "voc-mini-study")
    control = settings.classifier(study, "cam-more")
    assert control["training"]["epochs"] == 2
    variants = [
        settings.experiment(study, name)["classifier"]
        for name in settings.experiments(study, "seeds")
        if not name.startswith(("seam", "advcam", "more-"))
    ]
    assert len(variants) == 14
    for name in set(variants) - {"cam"}:
        different = settings.merge(settings.classifier(study, name), {"wood": None})
        assert different == settings.merge(control, {"wood": None})


def test_the_eight_combinations_of_losses_are_named(config):
    ablations = expanded(overlaid(config, "ablations"))
    found = {}
    for name in settings.experiments(ablations, "seeds"):
        chosen = settings.experiment(ablations, name)
        if "5" in chosen["paper"]:
            ood = settings.classifier(ablations, chosen["classifier"])["wood"]
            losses = frozenset(ood["losses"] if ood else ["cls_in"])
            found[losses] = chosen["paper"]["5"]
    assert len(found) == 8
    assert sorted(row or "" for row in found.values()) == [
        "", "", "(a)", "(b)", "(c)", "(d)", "(e)", "(f)"
    ]  # fmt: skip


def test_values_of_the_paper_stand_in_its_configuration(config):
    """Sec. 4.1: lambda 0.007, tau 20 %, K 50; IRN's training; DeepLab-v2's."""
    paper = overlaid(config, "voc12")
    wood = settings.classifier(paper, "cam-wood")
    ood = wood["wood"]
    assert (ood["distance_weight"], ood["top_fraction"], ood["clusters"]) == (0.007, 0.2, 50)
    assert (wood["backbone"], wood["crop"], wood["long_side"]) == ("resnet50", 512, [320, 640])
    cam = settings.classifier(paper, "cam")["training"]
    assert (cam["lr"], cam["head_lr_scale"], cam["momentum"]) == (0.1, 10, 0)
    assert (cam["batch_size"], cam["epochs"], cam["power"]) == (16, 5, 0.9)
    advcam = paper["localizations"]["advcam"]
    assert (advcam["iterations"], advcam["half_scale_iterations"]) == (27, 13)
    assert (advcam["step_size"], advcam["regularizer"], advcam["mask_threshold"]) == (0.08, 7, 0.5)
    assert advcam["scales"] == [0.5, 1, 1.5, 2]
    masks = settings.experiment(paper, "advcam-wood")["pseudo"]
    assert (masks["foreground_threshold"], masks["background_threshold"]) == (0.3, 0.15)
    assert (masks["mask_threshold"], masks["power"]) == (0.22, 1.5)
    seam = settings.classifier(paper, "seam")
    assert (seam["backbone"], seam["crop"], seam["long_side"]) == (
        "wide_resnet38", 448, [448, 768]
    )  # fmt: skip
    assert (seam["view_scale"], seam["color_jitter"]) == (0.3, [0.3, 0.3, 0.3, 0.1])
    assert (seam["training"]["lr"], seam["training"]["epochs"]) == (0.01, 8)
    assert (seam["training"]["batch_size"], seam["training"]["weight_decay"]) == (8, 5e-4)
    assert len(paper["classes"]) == 20


@pytest.mark.parametrize("over", [[], ["paper"]])
def test_no_threshold_of_the_demo_reaches_the_papers_configuration(config, over):
    paper = expanded(overlaid(config, "voc12", *over))
    experiments = settings.experiments(paper, "seeds")
    thresholds = {name: settings.experiment(paper, name)["threshold"] for name in experiments}
    assert thresholds == dict.fromkeys(experiments, "half-a")


def test_irns_values_stand_in_the_papers_configuration(config):
    """IRN's published code: thresholds, IRNet's training and the random walk; W-OoD's 0.15."""
    paper = overlaid(config, "voc12")
    for name, background in (("irn", 0.05), ("irn-wood", 0.15)):
        pseudo = settings.experiment(paper, name)["pseudo"]
        thresholds = [pseudo[f"{kind}_threshold"] for kind in ("foreground", "background", "mask")]
        assert thresholds == [0.30, background, 0.25]
        assert (pseudo["power"], pseudo["gt_prob"]) == (1, 0.7)
        assert (pseudo["radius"], pseudo["beta"], pseudo["exp_times"]) == (5, 10, 8)
        irnet = pseudo["irnet"]
        assert (irnet["backbone"], irnet["radius"], irnet["crop"]) == ("resnet50", 10, 512)
        assert irnet["scale"] == [0.5, 1.5]
        training = irnet["training"]
        assert (training["epochs"], training["batch_size"], training["lr"]) == (3, 32, 0.1)
        # Weight decay in the place of momentum: no momentum.
        assert (training["momentum"], training["power"]) == (0, 0.9)


def test_advcams_thresholds_stand_in_the_papers_configuration(config):
    """The published code of AdvCAM, IRN, and W-OoD with either."""
    paper = overlaid(config, "voc12")
    published = {
        "advcam": (0.35, 0.15, 0.25, 1.5),
        "advcam-wood": (0.30, 0.15, 0.22, 1.5),
        "advcam-more": (0.30, 0.15, 0.22, 1.5),  # a control differs by its classifier alone
        "irn": (0.30, 0.05, 0.25, 1.0),
        "irn-wood": (0.30, 0.15, 0.25, 1.0),
        "irn-more": (0.30, 0.15, 0.25, 1.0),
    }
    for name, values in published.items():
        pseudo = settings.experiment(paper, name)["pseudo"]
        keys = ("foreground_threshold", "background_threshold", "mask_threshold", "power")
        assert tuple(pseudo[key] for key in keys) == values


def test_table_3_has_a_wide_resnet38_on_the_same_masks(config):
    paper = overlaid(config, "voc12")
    assert settings.owners(paper)["advcam-wood-wide"] == "advcam-wood"
    network = settings.experiment(paper, "advcam-wood-wide")["segmentation"]
    assert (network["backbone"], network["crop"]) == ("wide_resnet38", 448)
    assert network["output_stride"] == 8
    # YudeWang/semantic-segmentation-codebase, experiment/seamv1-pseudovoc/config.py
    training = network["training"]
    assert (training["lr"], training["iterations"], training["batch_size"]) == (1e-3, 20000, 10)
    assert (network["scale"], network["scale_step"]) == ([0.5, 1.5], None)
    assert network["inference"]["scales"] == [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


def test_deeplabs_published_values_stand_in_the_papers_configuration(config):
    """kazuto1011/deeplab-pytorch, configs/voc12.yaml, and AdvCAM's author in AdvCAM issue 9."""
    paper = overlaid(config, "voc12")
    published = overlaid(paper, "deeplab-pytorch")
    check(published)
    advcams, network = (
        settings.experiment(each, "advcam-wood")["segmentation"] for each in (paper, published)
    )
    assert (advcams["backbone"], network["backbone"]) == ("resnet101", "resnet101_caffe")
    assert (advcams["scale"], network["scale"]) == ([0.5, 2.0], [0.5, 1.5])
    assert (advcams["loss"], network["loss"]) == ("balanced", "cross-entropy")
    differs = {"iterations": 20000, "accumulate": 2}
    assert advcams["training"] | differs == network["training"]
    assert advcams["training"]["iterations"] == 30000
    assert (network["scale_step"], network["loader"]) == (0.25, "deeplab")
    assert (network["output_stride"], network["alignment"]) == (8, "stretched")
    assert network["atrous_rates"] == [6, 12, 18, 24]
    assert network["crop"] == 321
    assert network["multi_scale_training"]
    training = network["training"]
    assert (training["iterations"], training["batch_size"], training["lr"]) == (20000, 10, 2.5e-4)
    assert (training["momentum"], training["weight_decay"]) == (0.9, 5e-4)
    assert (training["power"], training["update_lr_every"]) == (0.9, 10)
    assert network["inference"] == {"scales": [1.0, 0.75, 0.5], "flip": False, "merge": "max"}


def test_a_test_set_is_for_the_server_and_its_classes(config):
    config["data"] |= {"source": "voc", "voc_root": "devkit", "test": "test"}
    config["ood"]["openimages"]["base"] = "pool"
    with pytest.raises(InputError, match="VOC's 20 classes only"):
        check(config)
    config["classes"] = settings.data_set_classes(config)
    check(config)


def test_the_names_of_open_images_files_are_the_library_s_own(config):
    assert config["ood"]["openimages"]["files"] == FILES
    assert config["ood"]["openimages"]["user_agent"] == USER_AGENT


def test_the_steps_of_a_scale_lead_from_its_lowest_to_its_highest(config):
    config["experiment"]["segmentation"] |= {"scale": [0.5, 2.0], "scale_step": 0.25}
    check(config)
    config["experiment"]["segmentation"]["scale_step"] = 0.4
    with pytest.raises(InputError, match=r"irn\.segmentation\.scale_step is 0\.4, which does not"):
        check(config)


def change(config, path, value):
    *folders, key = path.split(".")
    for folder in folders:
        config = config[folder]
    config[key] = value


def test_advcam_is_for_the_architecture_that_it_is_derived_for(config):
    config["experiments"]["irn"]["localization"] = "advcam"
    check(config)
    config["classifier"]["architecture"] = "seam"
    with pytest.raises(InputError, match=r"experiments\.irn takes AdvCAM of a classifier .*'seam'"):
        check(config)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("sedes", [1], "sedes is not a known key; did you mean 'seeds'?"),
        ("classifiers.cam-wood.wood", {"lambda": 1}, "cam-wood.wood.lambda is not a known key"),
        (
            "ood.threshold",
            {"cot": 0.6},
            "ood.threshold names 'cot', which is not one of the classes",
        ),
        ("wood.top_fraction", 20, "wood.top_fraction: 20 is greater than the maximum of 1"),
        ("wood.distance_weight", -1, "wood.distance_weight: -1 is less than the minimum"),
        ("wood.losses", ["cls_ood"], "wood.losses"),
        ("classes", [], "classes"),
        ("classes", ["cat", "cat"], "classes"),
        ("seeds", "0", "seeds: '0' is not of type 'array'"),
        ("ood.review.policy", "trust", "ood.review.policy: 'trust' is not one of"),
        ("classifiers.cam-wood.init", "resnet", "cam-wood.init is 'resnet', which is not one"),
        ("classifiers.cam.init", "cam-wood", "leads back to itself"),
        ("classifier.color_jitter", [0.3, 0.3, 0.3, 0.6], "0.6 is greater than the maximum"),
        (
            "classifiers.cam-wood.architecture",
            "seam",
            "cam-wood.architecture is 'seam', but that of cam, which it starts from, is 'cam'",
        ),
        ("classifiers.cam-wood.published", "x.pth", "is `published`, so it takes no `init`"),
        ("experiments.irn.classifier", "vgg", "experiments.irn.classifier is 'vgg'"),
        ("experiments.irn.localization", "gradcam", "experiments.irn.localization is 'gradcam'"),
        ("localizations.cam.iterations", 27, "localizations.cam.iterations is not a known key"),
        ("localizations.cam.method", "advcam", "'iterations' is a required property"),
        ("localizations.advcam.step_size", 0, "localizations.advcam.step_size: 0 is"),
        ("experiments", {"../x": {}}, "experiments"),
        ("ood.classifier", "cam-wood", "itself needs OoD images"),
        ("classifiers.cam-wood.like", "cam-x", "cam-wood.like is 'cam-x', which is not another"),
        ("classifiers.cam-wood.like", "cam-wood", "cam-wood.like is 'cam-wood', which is not"),
        (
            "classifiers.cam-wood",
            {"preset": "theirs"},
            "classifiers.cam-wood.preset is 'theirs', which is not one of the presets",
        ),
        (
            "classifiers.cam-wood.wood",
            {"leave_out": ["rail"]},
            "leave_out names 'rail', which is no",
        ),
        (
            "classifiers.cam-wood.wood",
            {"position_weight": 0.3, "target": "uniform"},
            "cam-wood.wood.position_weight tells OoD images",
        ),
        ("classifiers.cam-wood.data", {"in": 5}, "cam-wood.data.in is not that of its init 'cam'"),
        (
            "classifiers.cam-wood.data",
            {"ood": 5},
            "data.ood is 5, fewer images than the 20 clusters",
        ),
        ("presets.paper", {"wood": {"lamda": 1}}, "presets.paper.wood.lamda is not a known key"),
        ("ood.source", "none", "cam-wood uses OoD images, but ood.source is none"),
        ("ood.source", "list", "ood.list is needed"),
        ("data.source", "voc", "data.voc_root is needed"),
        ("data.source", "csv", "data.labels_csv is needed"),
        ("data.test", "test", "data.test is an image set of a devkit"),
        ("experiment.pseudo.instances", "yes", "experiment.pseudo.instances"),
    ],
)
def test_a_wrong_value_is_one_sentence_with_its_key(config, path, value, message):
    change(config, path, value)
    with pytest.raises(InputError) as error:
        check(config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["shards", "wood.clusters", "experiment.pseudo.irnet.crop"])
def test_a_missing_key_is_named(config, path):
    *folders, key = path.split(".")
    part = config
    for folder in folders:
        part = part[folder]
    del part[key]
    with pytest.raises(InputError, match=rf"Configuration: {path} is missing"):
        check(config)


def test_a_distance_loss_needs_a_classifier_to_start_from(config):
    config["classifiers"]["cam-wood"]["init"] = None
    with pytest.raises(InputError, match="cam-wood has a distance loss, so it needs `init`"):
        check(config)


def test_overrides_reach_deep_and_leave_the_base_alone(config):
    resolved = settings.classifier(config, "cam-wood")
    assert resolved["training"]["epochs"] == 2
    assert resolved["training"]["momentum"] == 0.9
    assert resolved["wood"]["clusters"] == 20
    assert settings.classifier(config, "cam")["wood"] is None
    assert config["classifier"]["training"]["epochs"] == 5


def test_a_preset_comes_over_the_base_and_under_what_a_classifier_says(config):
    config["classifiers"]["cam-wood"] |= {"preset": "reference-code", "wood": {"ood_weight": 2.0}}
    ood = settings.classifier(config, "cam-wood")["wood"]
    assert (ood["perturbation"], ood["ood_weight"], ood["clusters"]) == (0.07, 2.0, 20)
    assert ood["kmeans"] == {"start": "first", "starts": 1, "iterations": 10}
    check(config)  # bottle is none of the classes: the preset suits any


def test_a_preset_holds_settings_of_any_part_and_comes_over_what_a_classifier_is_like(config):
    config["presets"]["short"] = {"wood": {"clusters": 7}, "training": {"epochs": 1, "lr": 0.3}}
    config["classifiers"]["x"] = {"like": "cam-more", "preset": "short", "training": {"lr": 0.4}}
    resolved = settings.classifier(config, "x")
    assert (resolved["wood"]["clusters"], resolved["init"]) == (7, "cam")
    assert (resolved["training"]["epochs"], resolved["training"]["lr"]) == (1, 0.4)
    assert not {"like", "preset"} & set(resolved), "how it is written changes no result"
    check(config)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("wood_presets", {}, "wood_presets is now called presets.<name>.wood."),
        ("wood.preset", None, "wood.preset is now called classifiers.<name>.preset."),
        ("classifier.ood", "none", "classifier.ood is now called classifier.wood."),
        ("classifiers.cam-wood.ood", {}, "classifiers.cam-wood.ood is now called classifiers.cam-"),
        ("classifiers.cam-wood.wood", {"preset": "x"}, "called classifiers.cam-wood.preset."),
        ("classifier.preset", "paper", "it is for one of the classifiers"),
        ("classifier.like", "cam", "it is for one of the classifiers"),
    ],
)
def test_an_old_key_is_named_with_the_new_one(config, path, value, message):
    change(config, path, value)
    with pytest.raises(InputError) as error:
        check(config)
    assert message in str(error.value)


def test_a_classifier_is_one_line_over_another(config):
    config["classifiers"]["k30"] = {"like": "cam-wood", "wood": {"clusters": 30}}
    config["classifiers"]["k30-short"] = {"like": "k30", "training": {"epochs": 1}}
    wood, short = (settings.classifier(config, name) for name in ("cam-wood", "k30-short"))
    assert short["init"] == "cam"
    assert (short["wood"]["clusters"], short["training"]["epochs"]) == (30, 1)
    assert short["training"]["lr"] == wood["training"]["lr"]
    check(config)


@pytest.mark.parametrize("images", ["random", "unreviewed"])
def test_other_than_hard_images_need_candidates_to_take(config, images):
    config["classifiers"]["cam-wood"]["wood"] = {"images": images}
    config["ood"] |= {"source": "list", "list": "a", "images": "b"}
    with pytest.raises(InputError, match=rf"images is {images}, but ood\.source is list"):
        check(config)


@pytest.mark.parametrize(
    ("paper", "message"),
    [({"7": None}, "Table 7 has no row None; the tables are 1, 2"), ({"1": "IRM"}, "no row 'IRM'")],
)
def test_a_row_that_the_papers_table_lacks_stops_before_the_work(config, paper, message):
    config["experiments"]["irn"]["paper"] = paper
    with pytest.raises(InputError, match=r"experiments\.irn\.paper: the paper's .*" + message):
        check(config)


def test_the_report_is_told_what_a_row_rests_on(config):
    assert settings.basis(config, "irn-wood") == []
    config["classifiers"]["cam-wood"]["preset"] = "paper"
    config["classifiers"]["cam-cls-ood"]["preset"] = "reference-code"
    assert settings.basis(config, "irn-wood") == ["preset paper"]
    assert settings.basis(config, "irn-cls-ood") == ["preset paper", "preset reference-code"]
    config["experiment"]["threshold"] = "half-a"
    assert settings.basis(config, "irn") == ["threshold chosen on the masks of half A"]
    config["experiment"]["threshold"] = "beside-ood"
    words = ["threshold chosen beside OoD images, without masks"]
    assert settings.basis(config, "irn") == words


def test_an_overlay_drops_a_name(config):
    config["experiments"]["irn-more"] = None
    check(config)
    assert settings.experiments(config, "seeds") == [
        "irn", "irn-wood", "irn-cls-ood", "advcam", "advcam-wood"
    ]  # fmt: skip


def test_experiments_run_as_far_as_they_say(config):
    assert settings.experiments(config, "seeds") == [
        "irn", "irn-more", "irn-wood", "irn-cls-ood", "advcam", "advcam-wood"
    ]  # fmt: skip
    assert settings.experiments(config, "segmentation") == ["irn", "irn-more", "irn-wood"]


def test_experiments_with_equal_pseudo_masks_share_them(config):
    config["experiments"]["wide"] = {
        "classifier": "cam-wood",
        "segmentation": {"backbone": "wide_resnet38"},
    }
    assert settings.owners(config)["wide"] == "irn-wood"
    config["experiments"]["wide"]["pseudo"] = {"instances": True}
    assert settings.owners(config)["wide"] == "irn-wood"
    config["experiments"]["wide"]["pseudo"] = {"power": 1.5}
    assert settings.owners(config)["wide"] == "wide"


def test_a_path_that_is_not_there_is_named_with_its_key(config, tmp_path):
    config["data"]["masks"] = str(tmp_path / "masks")
    with pytest.raises(InputError, match=r"data\.masks is .*masks, which does not exist"):
        check_files(config)


def test_what_the_command_line_gives_has_types():
    """Snakemake reads all that stands in brackets as strings."""
    given = {"seeds": ["0", "1"], "figure5": {"total": "445", "few": "null"}, "dataset": "voc: x",
             "wood": {"distance_weight": "5.0e-4", "preset": "paper"}, "gpus": 2,
             "classifier": {"keep_epochs": "true", "long_side": ["1", "2.5"]}}  # fmt: skip
    assert settings.typed(given) == {
        "seeds": [0, 1], "figure5": {"total": 445, "few": None}, "dataset": "voc: x",
        "wood": {"distance_weight": 0.0005, "preset": "paper"}, "gpus": 2,
        "classifier": {"keep_epochs": True, "long_side": [1, 2.5]},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("classifier.training.lr", float("nan"), "classifier.training.lr is nan, which is no fini"),
        ("classifier.training.lr", float("inf"), "classifier.training.lr is inf"),
        ("experiment.threshold", float("nan"), "experiment.threshold is nan"),
        ("localizations.cam.scales", [1.0, float("inf")], "localizations.cam.scales is inf"),
        ("experiments.irn.paper", {"1": "IRNet"}, "experiments.irn.paper: the paper's Table 1 has"),
        ("experiments.irn-wood.role", "baseline", "is a second baseline of the family 'CAM'"),
        ("experiments.irn-wood.role", "control", "is a second control of the family 'CAM'"),
        ("experiment.published_sweep", [0.3, 0.1], "published_sweep is [0.3, 0.1], from high"),
        ("gpus", 3, "batch_size is 16, which does not divide by the 3 GPUs (gpus)"),
        ("items", ["table9"], "items names 'table9', which is not one of the overlays"),
        ("items", ["figure5"], "items names 'figure5', which has more than grids, classifiers"),
    ],
)
def test_what_only_the_last_rule_would_find_is_named_at_the_start(config, path, value, message):
    change(config, path, value)
    with pytest.raises(InputError) as error:
        check(config)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_thresholds_of_ir_labels_follow_the_seeds_threshold_by_their_margins(config):
    keys = ("foreground_threshold", "background_threshold")

    def thresholds(name):
        pseudo = settings.experiment(config, name)["pseudo"]
        assert not [key for key in pseudo if "margin" in key]
        return [pseudo[key] for key in keys]

    assert thresholds("irn") == [0.75, 0.51], "the demo's"
    assert thresholds("advcam") == [0.85, 0.61], "of its own threshold"
    config["experiments"]["advcam"]["pseudo"] = {"foreground_threshold": 0.3}
    assert thresholds("advcam") == [0.3, 0.61]
    config["experiments"]["advcam"]["threshold"] = 0.95
    config["experiments"]["advcam"]["pseudo"] = {"foreground_threshold": None}
    assert thresholds("advcam") == [1.0, 0.83], "a score is at most 1"


def test_a_threshold_chosen_on_half_a_is_that_of_the_familys_baseline(config):
    config["experiment"]["threshold"] = "half-a"
    config["experiments"]["other"] = {"classifier": "cam-wood", "family": "of its own"}
    check(config)
    found = {name: settings.threshold_baseline(config, name) for name in config["experiments"]}
    assert found == {
        "irn": "irn", "irn-more": "irn", "irn-wood": "irn", "irn-cls-ood": "irn", "other": "irn",
        "advcam": None, "advcam-wood": None,
    }  # fmt: skip
    config["experiments"]["advcam-wood"]["threshold"] = "half-a"
    assert settings.threshold_baseline(config, "advcam-wood") == "advcam"
    assert has_margins(settings.experiment(config, "irn")["pseudo"])
    config["experiments"]["irn"] = None
    with pytest.raises(InputError, match="no baseline of its family"):
        check(config)


def test_without_masks_no_threshold_is_chosen(config, tmp_path):
    config["experiments"]["irn"]["threshold"] = "half-a"
    config["data"] |= {"evaluation": None}
    with pytest.raises(InputError, match=r"irn\.threshold is half-a, which needs the pixel masks"):
        check_files(config)


def test_a_threshold_beside_ood_images_needs_some(config):
    config["experiments"] = {"irn": config["experiments"]["irn"] | {"threshold": "beside-ood"}}
    config["ood"]["source"] = "none"
    with pytest.raises(InputError, match=r"irn\.threshold is beside-ood, which needs OoD images"):
        check_files(config)


def test_a_class_map_that_misspells_a_class_is_named(config):
    config["classes"] = ["bed"]
    config["ood"]["openimages"]["class_map"] = {"bd": ["Bed"]}
    with pytest.raises(InputError, match=r"openimages\.class_map: it names 'bd'"):
        check_files(config)


def test_a_review_that_stops_asking_too_soon_is_named(config):
    """It would accept `wanted` images of each class, and the run wait for more without end."""
    config["classes"] = ["bird"]
    config["ood"]["review"] |= {"policy": "decisions", "wanted": 10}
    needed = settings.needed_hard_ood(config)
    with pytest.raises(InputError, match=rf"ood\.review\.wanted is 10, .* the {needed} hard OoD"):
        check(config)
    config["ood"]["review"]["wanted"] = needed
    check(config)
    config["ood"]["cap_per_class"] = needed - 1
    with pytest.raises(InputError, match=r"ood\.cap_per_class is"):
        check(config)


def test_a_key_that_stands_twice_is_named_with_its_file_and_line(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("gpus: 1\nwood:\n  clusters: 3\n  clusters: 4\n")
    with pytest.raises(InputError, match=r"twice\.yaml: line 4: .* 'clusters' is in line 3 too"):
        read_overlays([ROOT / "config.yaml", path])
    path.write_text("base: &base {a: 1}\nother: {<<: *base, a: 2}\n")
    read_overlays([path])


BRACES = ["/a/{set}/x", "a}b", "{", "{b}", "a {0}"]


@pytest.mark.parametrize("text", BRACES)
@pytest.mark.parametrize(
    "key",
    ["data.labels_csv", "data.images", "data.masks", "data.voc_root", "ood.openimages.base",
     "ood.review.truth", "ood.openimages.class_map", "downloads.voc2012.file", "ood.list"],
)  # fmt: skip
def test_what_has_braces_is_named_by_its_key(config, key, text):
    change = text
    for part in reversed(key.split(".")):
        change = {part: change}
    with pytest.raises(InputError, match=rf"{re.escape(key)} is .*braces for a wildcard"):
        check_files(settings.merge(config, change))


@pytest.mark.parametrize("text", BRACES)
def test_a_class_with_braces_is_named(config, text):
    changed = settings.merge(config, {"classes": [*config["classes"], text]})
    with pytest.raises(InputError, match=r"classes is .*braces for a wildcard"):
        check_files(changed)
