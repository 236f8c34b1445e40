"""Comparisons, the summary table, and the report's specification."""

import re

import pandas as pd
import pytest

from wood.report.columns import SEED
from wood.report.comparison import SEED_CLAIM, compare, headlines
from wood.report.entry import STAGES
from wood.report.scores import Measure, Scores
from wood.report.spec import parse_spec
from wood.report.summary import find_experiments, main, summary_table
from wood.runtime.errors import InputError
from wood.runtime.store import read_json, write_json


def one(value):
    return Measure({0: value})


def summary(miou, classes=("background", "cat")):
    per_class = {name: {"iou": miou, "precision": miou, "recall": miou} for name in classes}
    return {"miou": miou, "precision": miou, "recall": miou, "f1": miou, "per_class": per_class}


def write_scores(folder, name, seed, seeds, mask, network, crf=None):
    for kind, score in {
        "seeds": {
            "split": "train",
            "images": 8,
            "threshold": 0.3,
            "configured": summary(seeds),
            "oracle": {"threshold": 0.4, "summary": summary(seeds + 0.05)},
            "curve": [],
            "halves": {
                "A": {"images": 4, "configured": summary(seeds + 0.1)},
                "B": {"images": 4, "configured": summary(seeds - 0.1)},
            },
        },
        "pseudo_masks": {"split": "train", "images": 8, **summary(mask)},
        "segmentation": {
            "split": "val",
            "images": 6,
            **summary(network),
            "crf": crf and summary(crf),
            "halves": {"B": {"images": 3, **summary(0.01)}},
        },
    }.items():
        write_json(folder / "scores" / kind / name / f"seed-{seed}.json", score)


def reported(folder, **roles):
    """The specification of experiments of one family, and the long table that a report leaves."""
    experiments = [
        {"name": name, "title": name, "role": role,
         "runs": [{"seed": 0, **{kind: str(path) for kind in STAGES if (
             path := folder / "scores" / kind / name / "seed-0.json").exists()}}]}
        for name, role in roles.items()
    ]  # fmt: skip
    spec = parse_spec({"dataset": "x", "class_names": ["cat"], "experiments": experiments})
    Scores(spec).write(folder / "report" / "scores.csv")
    return spec


IRN = {"irn": "baseline", "irn-wood": "wood"}


@pytest.mark.parametrize(
    ("wood", "baseline", "control", "word", "against", "points"),
    [
        (53.3, 49.5, 50.0, "gain", "the control", 3.3),
        (53.3, 49.5, 52.5, "no clear difference", "the control", 0.8),
        (49.0, 49.5, 48.0, "no clear difference", "the baseline", -0.5),
        (48.0, 49.5, 48.0, "loss", "the baseline", -1.5),
    ],
)
def test_single_runs_are_compared_with_the_better_reference(
    wood, baseline, control, word, against, points
):
    result = compare(one(wood), one(baseline), one(control))
    assert (result.word, result.against) == (word, against)
    assert result.difference == pytest.approx(points)
    assert "One run, no spread known" in result.sentence


def test_without_a_control_the_sentence_says_so():
    assert "longer training alone" in compare(one(53), one(50), None).sentence
    assert "longer training alone" not in compare(one(53), one(50), one(51)).sentence


def test_nothing_is_claimed_where_a_score_is_missing():
    for wood, baseline in ((None, one(50)), (one(50), None)):
        result = compare(wood, baseline, None)
        assert result.word == "unknown"
        assert result.difference is None
    assert compare(one(50), Measure({1: 40.0}), None).word == "unknown"


def test_seeds_are_paired():
    reference = Measure({0: 40.0, 1: 50.0, 2: 60.0})
    wood = Measure({2: 63.0, 0: 41.0, 1: 52.0, 3: 90.0})
    result = compare(wood, reference, None)
    # Differences 1, 2, 3: mean 2, standard deviation 1; t of 2 degrees of freedom is 4.3027.
    assert result.difference == pytest.approx(2)
    assert result.margin == pytest.approx(4.3027 / 3**0.5, abs=1e-3)
    assert result.word == "no clear difference"
    assert "95 % interval -0.5 to +4.5 over 3 seeds" in result.sentence
    steady = Measure({0: 42.0, 1: 52.1, 2: 61.9})
    assert compare(steady, reference, None).word == "gain"


def test_a_difference_must_survive_the_images_too():
    asked = []

    def over_images(role, seeds):
        asked.append((role, seeds))
        return ends

    for ends, word in (((0.4, 6.0), "gain"), ((-0.8, 7.0), "no clear difference")):
        result = compare(one(53.3), one(49.5), one(50.0), over_images)
        assert result.word == word
        assert f"Over images: 95 % interval {ends[0]:+.1f} to {ends[1]:+.1f}." in result.sentence
    assert asked == [("control", [0])] * 2
    ends = (-6.0, -0.4)
    assert compare(one(48.0), one(49.5), None, over_images).word == "loss"
    # Far above over the images, but below what a single run must exceed.
    ends = (0.2, 1.2)
    assert compare(one(50.2), one(49.5), None, over_images).word == "no clear difference"


def test_spread_is_shown_for_several_seeds_only():
    assert one(50.04).text == "50.0"
    assert Measure({0: 49.0, 1: 51.0}).text == "50.0 ± 1.4"


def test_an_empty_half_is_no_half(tmp_path):
    write_scores(tmp_path, "irn", 0, 0.5, 0.6, 0.55)
    path = tmp_path / "scores" / "seeds" / "irn" / "seed-0.json"
    whole = read_json(path)
    for halves in ({"B": {"images": 0, "configured": {"miou": None}}}, {}):
        write_json(path, {**whole, "halves": halves})
        spec = reported(tmp_path, irn="baseline")
        scores = Scores(spec)
        assert scores.measure(spec.experiments[0], SEED.on("B")) is None
        assert scores.measure(spec.experiments[0], SEED_CLAIM).mean == pytest.approx(50)
        assert scores.scope(SEED_CLAIM, spec.experiments) == "train, 8 images"


def test_claims_rest_on_half_b_and_on_the_last_step(tmp_path):
    write_scores(tmp_path, "irn", 0, 0.5, 0.6, 0.55, crf=0.58)
    write_scores(tmp_path, "irn-wood", 0, 0.6, 0.61, 0.54, crf=0.56)
    spec = reported(tmp_path, **IRN)
    seed, mask, network = headlines(Scores(spec), spec.experiments)
    assert seed.measures["wood"].mean == pytest.approx(50)
    assert seed.scope == "train, half B, 4 images"
    assert mask.measures["wood"].mean == pytest.approx(61)
    assert mask.scope == "train, 8 images"
    assert network.measures["baseline"].mean == pytest.approx(58)
    assert network.scope == "val, 6 images"
    assert network.comparison.word == "loss"


def test_summary_table_reads_the_results_folder(tmp_path, capsys):
    write_scores(tmp_path, "irn", 0, 0.5, 0.6, 0.55)
    write_scores(tmp_path, "irn-more", 0, 0.51, 0.63, 0.552)
    write_scores(tmp_path, "irn-wood", 0, 0.6, 0.61, 0.554)
    reported(tmp_path, **{**IRN, "irn-more": "control"})
    assert main([str(tmp_path)]) == 0
    lines = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:4] == ["mIoU (%)", "without", "control", "with W-OoD"]
    assert lines[1][:6] == ["Initial seed", "40.0", "41.0", "50.0", "+9.0", "gain"]
    assert lines[2][:6] == ["Pseudo-mask", "60.0", "63.0", "61.0", "-2.0", "loss"]
    assert lines[3][:6] == ["Segmentation", "55.0", "55.2", "55.4", "+0.2", "no clear difference"]


def test_summary_table_lacks_what_is_not_there(tmp_path):
    write_scores(tmp_path, "irn", 0, 0.5, 0.6, 0.55)
    write_scores(tmp_path, "irn-wood", 0, 0.6, 0.61, 0.554)
    reported(tmp_path, **IRN)
    (tmp_path / "scores/segmentation/irn-wood/seed-0.json").unlink()
    line = summary_table(find_experiments(tmp_path)).splitlines()[-1]
    assert re.split(r"\s{2,}", line)[:6] == ["Segmentation", "55.0", "-", "-", "-", "no comparison"]


def test_summary_table_shows_what_can_be_compared(tmp_path):
    """Neither an experiment without its W-OoD beside one with it, nor a stage without scores."""
    for name in ("irn", "irn-wood", "irn-cls-ood"):
        write_scores(tmp_path, name, 0, 0.5, 0.6, 0.55)
        for kind in ("pseudo_masks", "segmentation"):
            (tmp_path / "scores" / kind / name / "seed-0.json").unlink()
    reported(tmp_path, **IRN, **{"irn-cls-ood": "other"})
    table = summary_table(find_experiments(tmp_path))
    assert "irn-cls-ood" not in table
    assert [line.split()[0] for line in table.splitlines()] == ["mIoU", "Initial"]


def test_summary_of_nothing_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "no score files" in capsys.readouterr().err


def test_a_file_that_is_no_score_file_is_named(tmp_path):
    write_scores(tmp_path, "irn", 0, 0.5, 0.6, 0.55)
    reported(tmp_path, irn="baseline")
    write_json(tmp_path / "scores/seeds/irn/seed-0.json", {"miou": 0.5})
    with pytest.raises(InputError, match=r"seed-0\.json.*'configured'"):
        summary_table(find_experiments(tmp_path))


def test_the_long_table_has_every_number_once(tmp_path):
    write_scores(tmp_path, "irn", 0, 0.5, 0.6, 0.55, crf=0.58)
    spec = reported(tmp_path, irn="baseline")
    frame = Scores(spec).frame
    assert not frame.duplicated([c for c in frame.columns if c not in ("threshold", "value")]).any()
    found = frame[frame["metric"] == "miou"].set_index(["stage", "half", "step"])["value"]
    assert found.to_dict() == pytest.approx({
        ("seeds", "all", "configured"): 0.5, ("seeds", "all", "oracle"): 0.55,
        ("seeds", "A", "configured"): 0.6, ("seeds", "B", "configured"): 0.4,
        ("pseudo_masks", "all", "mask"): 0.6,
        ("segmentation", "all", "network"): 0.55, ("segmentation", "all", "crf"): 0.58,
        ("segmentation", "B", "network"): 0.01,
    })  # fmt: skip
    written = pd.read_csv(tmp_path / "report" / "scores.csv")
    assert list(written.columns[:6]) == ["stage", "family", "experiment", "role", "seed", "split"]
    cat = written[(written["class_name"] == "cat") & (written["metric"] == "recall")]
    assert sorted(cat["step"].unique()) == ["configured", "crf", "mask", "network", "oracle"]


def specification(**changes):
    experiment = {"name": "irn", "title": "CAM", "role": "baseline", "runs": [{"seed": 0}]}
    return {"dataset": "d", "class_names": ["cat"], "experiments": [experiment], **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": 1}, "does not know the key 'colour'"),
        ({"experiments": []}, "no experiment"),
        ({"class_names": []}, "no class"),
        ({"truth": "/nowhere/masks"}, "/nowhere/masks: no such"),
        ({"logs": [{"stage": "seeds", "name": "cam", "path": "/"}]}, "stage 'seeds'"),
        ({"ood": {"sheet": "x"}}, "ood: .*'sheet'"),
    ],
)
def test_a_wrong_specification_is_one_sentence(changes, message):
    with pytest.raises(InputError, match=message):
        parse_spec(specification(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"role": "best"}, "irn: the role 'best'"),
        ({"runs": []}, "no runs"),
        ({"paper": {"1": "IRM"}}, "Table 1 has no row 'IRM'"),
        ({"paper": {"9": "IRN"}}, "Table 9 has no row"),
        ({"paper": {"3": "AdvCAM + W-OoD"}}, "can be any of"),
    ],
)
def test_a_wrong_experiment_is_one_sentence(changes, message):
    experiment = specification()["experiments"][0] | changes
    with pytest.raises(InputError, match=message):
        parse_spec(specification(experiments=[experiment]))


def test_names_and_roles_are_unique():
    first = specification()["experiments"][0]
    with pytest.raises(InputError, match="named twice"):
        parse_spec(specification(experiments=[first, first]))
    with pytest.raises(InputError, match="more than one baseline"):
        parse_spec(specification(experiments=[first, first | {"name": "other"}]))


def test_a_row_of_table_3_may_leave_out_its_backbone():
    experiment = specification()["experiments"][0] | {"paper": {"3": "IRN"}}
    spec = parse_spec(specification(experiments=[experiment]))
    assert spec.experiments[0].paper == {"3": "IRN (ResNet-50)"}
