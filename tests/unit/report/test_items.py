"""One table or figure at a time: who is in it, its data, and its page."""

import csv
import io
import json
import re

import numpy as np
import pytest
import torch
import yaml

from tests.places import ROOT
from tests.unit.report.small_run import CLASSES
from tests.unit.report.test_page import Reader
from tests.unit.report.test_scores import write_scores
from wood.report import builders, figures, item_tables, plots, tables
from wood.report.builders import class_that_loses_most
from wood.report.embedding import embed_epochs, points_table
from wood.report.experiment import build_experiment_pages
from wood.report.item import build_item
from wood.report.items import ITEMS, pattern
from wood.report.membership import experiments_of, what_to_add
from wood.report.page import build_page
from wood.report.paper import paper_rows
from wood.report.pictures import RANDOM, draw, most_lost
from wood.report.scores import Scores
from wood.report.spec import parse_spec
from wood.runtime.errors import InputError
from wood.runtime.store import save_tensors
from wood.workflow import resolve as settings
from wood.workflow.checks import check
from wood.workflow.grids import expanded


def entry(name, role="other", paper=None, family="CAM", panels=None):
    return {"name": name, "role": role, "paper": paper or {}, "family": family,
            "panels": panels or {}}  # fmt: skip


EXPERIMENTS = [
    entry("irn", "baseline", {"1": "IRN"}),
    entry("irn-more", "control"),
    entry("irn-wood", "wood", {"1": "IRN + W-OoD", "4": "K-means, K = 50"}),
    entry("k20", paper={"4": "K-means, K = 20"}),
    entry("ablated", "control", {"5": "(a)"}),
    entry("alone", "baseline", family="SEAM"),
    entry("part", panels={"a": {"in": None, "ood": 5}}),
]


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("table1", ["irn", "irn-more", "irn-wood", "alone"]),
        ("table4", ["irn-wood", "k20"]),
        ("table5", ["ablated"]),
        ("tableA2", []),
        ("figure3", ["irn", "irn-more", "irn-wood"]),
        ("figure5", ["part"]),
        ("figure2", []),
    ],
)
def test_an_item_has_the_experiments_that_carry_it(key, names):
    assert experiments_of(ITEMS[key], EXPERIMENTS) == names


def test_every_item_has_a_builder():
    for key, item in ITEMS.items():
        assert key == item.key
        assert callable(getattr(builders, item.builder))
    assert len([key for key in ITEMS if key.startswith(("table", "figure"))]) == 18


def test_the_rules_share_the_items():
    rules = [pattern(*formats) for formats in (("csv",), ("csv", "svg"), ())]
    assert [[bool(re.fullmatch(rule, key)) for rule in rules].count(True) for key in ITEMS] == (
        [1] * len(ITEMS)
    )
    assert re.fullmatch(pattern("csv", "svg"), "figure5")
    assert not re.fullmatch(pattern("csv"), "figure5")


def test_an_item_without_experiments_says_what_to_add():
    assert what_to_add(ITEMS["table4"]) == (
        'an experiment that names table "4" (paper) and runs to seeds (until)'
    )
    assert "runs to segmentation" in what_to_add(ITEMS["figure4"])
    for key in ("figure2", "figure5", "figure7", "figureA2"):
        assert what_to_add(ITEMS[key]) == ITEMS[key].lacks


def rows_of_ours(table):
    """The published rows of methods that W-OoD is compared with here."""
    rows = paper_rows(table)
    if table in ("1", "4", "5", "A1", "A2"):
        return set(rows)
    # SEAM's masks and networks are in no comparison of the paper; IRN's network is its ResNet-50.
    return {row for row in rows if row.startswith(("IRN", "AdvCAM", "W-OoD"))}


def papers_configuration():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for name in ("voc12", "paper"):
        overlay = yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text())
        config = settings.merge(config, overlay)
    check(config)
    return expanded(config)


def test_every_published_row_that_can_be_ours_is_named_by_an_experiment():
    config = papers_configuration()
    named = {}
    for name in settings.experiments(config, "seeds"):
        for table, row in settings.experiment(config, name)["paper"].items():
            named.setdefault(table, set()).add(row)
    for table in ("1", "2", "4", "5", "A1", "A2"):
        assert named[table] - {None} == rows_of_ours(table), table
    short = {row.split(" (ResNet-50")[0] for row in rows_of_ours("3")}
    assert named["3"] == short
    assert named["A3"] == rows_of_ours("A3-val") == rows_of_ours("A3-test")


def test_ablations_are_the_papers():
    """The tables that configs/paper.yaml shares with configs/ablations.yaml are the same."""
    paper, ablations = (
        yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text())
        for name in ("paper", "ablations")
    )
    assert set(ablations["items"]) <= set(paper["items"])
    found = dict(paper["experiments"]["irn-cls-ood"])
    assert found.pop("until") == "seeds"
    assert found == ablations["experiments"]["irn-cls-ood"]


def test_fig_5_of_the_paper_has_its_sizes():
    config = papers_configuration()
    few = settings.classifier(config, "part-in-2000-ood-100-4")
    assert few["data"] == {"in": 2000, "ood": 100, "subset_seed": 4, "rejects": False}
    total = settings.classifier(config, "part-in-10082-ood-500-0")["data"]
    assert total["in"] + total["ood"] == 10582


@pytest.fixture
def amounts(tmp_path):
    """Two parts of five OoD images, none and all, with two training seeds each."""
    described = []
    for number, (name, panels) in enumerate(
        {
            "all": {"a": {"in": None, "ood": None}},
            "part-ood-5-1": {"a": {"in": None, "ood": 5}},
            "part-ood-5-0": {"a": {"in": None, "ood": 5}},
            "none": {"a": {"in": None, "ood": 0}, "c": {"in": None, "ood": 0}},
            "part-in-9-0": {"c": {"in": 9, "ood": 0}},
        }.items()
    ):
        runs = []
        for seed in (0, 1):
            write_scores(tmp_path, name, seed, 0.5 + 0.01 * number + 0.001 * seed, 0.5, 0.5)
            score = str(tmp_path / "scores" / "seeds" / name / f"seed-{seed}.json")
            runs.append({"seed": seed, "seeds": score})
        described.append({"name": name, "title": name, "role": "other", "runs": runs,
                          "panels": panels})  # fmt: skip
    return parse_spec({"dataset": "x", "class_names": ["cat"], "experiments": described})


def test_boxes_hold_all_parts_and_seeds_of_one_number(amounts):
    boxes = figures.amounts(amounts, Scores(amounts))
    assert list(boxes) == ["a", "c"]
    assert [label for label, _ in boxes["a"]] == ["0", "5", "all"]
    # Half B lies 0.1 below in these files.
    assert boxes["a"][1][1] == pytest.approx([41.0, 41.1, 42.0, 42.1])
    assert boxes["a"][0][1] == pytest.approx([43.0, 43.1])
    assert [label for label, _ in boxes["c"]] == ["9 + 0", "all + 0"]


def test_runs_of_fig_5_as_csv(amounts):
    text = tables.csv_text(item_tables.amounts_of_seeds(ITEMS["figure5"], amounts, Scores(amounts)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 12
    part = [row for row in rows if row["Experiment"] == "part-ood-5-0"]
    assert [(row["Panel"], row["D_in"], row["D_ood"]) for row in part] == [("a", "all", "5")] * 2
    assert [float(row["mIoU: Half B"]) for row in part] == pytest.approx([42.0, 42.1])
    assert [float(row["mIoU: Oracle"]) for row in part] == pytest.approx([57.0, 57.1])


def test_fig_5_is_drawn_and_stands_alone(amounts):
    drawn = figures.amount_boxes(amounts, Scores(amounts))
    assert "var(--wood)" in drawn
    alone = plots.standalone(drawn)
    assert "var(" not in alone
    assert alone.startswith("<svg xmlns=")


def test_parts_of_fig_5_are_in_no_stage_table(amounts):
    assert amounts.main() == []


def write_epochs(path):
    """Two classes, two domains; from epoch 0 to 1 the OoD images move, the others stay."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 8)) * 6
    first = np.concatenate([centre + rng.normal(size=(10, 8)) for centre in centres])
    second = first.copy()
    domain = (["in"] * 10 + ["ood"] * 10) * 2
    moved = np.array(domain) == "ood"
    second[moved] += 40
    metadata = {
        "images": [f"i{n}" for n in range(40)],
        "domain_of": domain,
        "class_of": ["train"] * 20 + ["bird"] * 20,
        "classes": ["train", "bird"],
    }
    tensors = {f"epoch-{n}": torch.tensor(f).float() for n, f in enumerate((first, second))}
    save_tensors(path, tensors, metadata)
    return moved


def test_panels_of_fig_7_share_one_embedding(tmp_path):
    moved = write_epochs(tmp_path / "f.safetensors")
    embedding = embed_epochs(str(tmp_path / "f.safetensors"), 0)
    before, after = embedding.points[0], embedding.points[1]
    step = np.linalg.norm(after - before, axis=1)
    spread = np.linalg.norm(before - before.mean(axis=0), axis=1).mean()
    assert step[~moved].max() < 0.1 * spread, "what stays has its place in both panels"
    assert step[moved].min() > step[~moved].max()
    again = embed_epochs(str(tmp_path / "f.safetensors"), 0)
    np.testing.assert_array_equal(again.points[1], after)
    assert len(points_table(embedding).rows) == 80


def test_fig_7_is_a_page_with_its_data(tmp_path):
    write_epochs(tmp_path / "f.safetensors")
    values = {"dataset": "x", "class_names": ["train", "bird"], "experiments": [],
              "epoch_features": str(tmp_path / "f.safetensors")}  # fmt: skip
    paths = {kind: tmp_path / f"figure7.{kind}" for kind in ("html", "csv", "svg")}
    build_item("figure7", values, paths["html"], csv=paths["csv"], svg=paths["svg"])
    html = paths["html"].read_text()
    assert html.count("epoch 0") == html.count("epoch 1") > 0
    assert len(paths["csv"].read_text().splitlines()) == 81
    assert "train, hard OoD" in paths["svg"].read_text()


def only(written, files):
    """The specification with the files of each run that an item is made from."""
    experiments = [
        {
            **e,
            "runs": [{k: v for k, v in run.items() if k in ("seed", *files)} for run in e["runs"]],
        }
        for e in written["experiments"]
    ]
    return {**written, "experiments": experiments, "logs": [], "commands": {"x": "snakemake x"}}


@pytest.mark.parametrize("key", ["table1", "figure3", "figure4", "figure6", "figureA1",
                                 "figureA3", "figureA4", "figure2"])  # fmt: skip
def test_a_page_needs_only_its_files(written, tmp_path, key):
    build_item(key, only(written, ITEMS[key].files), tmp_path / "a.html", csv=(
        tmp_path / "a.csv" if key in ("table1", "figure6") else None))  # fmt: skip
    reader = Reader((tmp_path / "a.html").read_text())
    assert all(link.startswith(("data:", "#")) for link in reader.links)
    assert "snakemake x" in reader.text
    assert ITEMS[key].title in reader.text
    pictures = [link for link in reader.links if link.startswith("data:image")]
    assert bool(pictures) == (key not in ("table1", "figure6"))


def test_a_table_as_csv_has_all_digits(written, tmp_path):
    build_item("table1", only(written, ("seeds",)), tmp_path / "a.html", csv=tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert rows[0]["Paper, Table 1: mIoU"] == "49.5"
    assert rows[1]["Paper, Table 1: mIoU"] == ""
    assert "49.8" in (tmp_path / "a.html").read_text()


def test_the_class_that_loses_most(written):
    spec = parse_spec(written)
    scores = Scores(spec)
    name, change = class_that_loses_most(spec, scores, spec.experiments)
    gains = {row[0].text: row[4].value for row in
             item_tables.class_table(spec, scores, spec.experiments).rows}  # fmt: skip
    assert name in CLASSES
    assert change == pytest.approx(min(gains[c] for c in CLASSES), abs=1e-3)


def test_rules_of_the_pictures():
    gains = {"a": 3.0, "b": -2.0, "c": -5.0, "d": None}
    rng = np.random.default_rng(0)
    assert [c.image_id for c in most_lost(3)(gains, rng)] == ["c", "b"]
    drawn = draw(2)(gains, np.random.default_rng(0))
    assert drawn == draw(2)(dict(reversed(gains.items())), np.random.default_rng(0))
    assert len(drawn) == 2
    assert {c.rule for c in drawn} == {RANDOM}
    assert "d" not in {c.image_id for c in draw(9)(gains, rng)}


def test_the_servers_answer_stands_in_tables_3_and_a3(tmp_path):
    write_scores(tmp_path, "advcam", 0, 0.5, 0.5, 0.6)
    score = str(tmp_path / "scores" / "segmentation" / "advcam" / "seed-0.json")
    described = {"name": "advcam", "title": "AdvCAM", "role": "baseline",
                 "paper": {"3": "AdvCAM", "A3": "AdvCAM"}, "test_miou": 66.6,
                 "runs": [{"seed": 0, "segmentation": score}]}  # fmt: skip
    values = {"dataset": "x", "class_names": ["cat"], "experiments": [described]}
    for key, lines in (("table3", ["66.6"]), ("tableA3", ["66.6", "67.5", "67.1"])):
        build_item(key, values, tmp_path / "a.html", csv=tmp_path / "a.csv")
        text = (tmp_path / "a.csv").read_text()
        assert all(line in text for line in lines)
    del described["test_miou"]
    build_item("table3", values, tmp_path / "a.html", csv=tmp_path / "a.csv")
    assert "Test" not in (tmp_path / "a.csv").read_text()


def test_a_row_that_the_paper_lacks_is_named():
    run = {"name": "x", "title": "x", "role": "wood", "runs": [{"seed": 0}]}
    values = {"dataset": "x", "class_names": ["cat"]}
    with pytest.raises(InputError, match="Table A1 has no row '21'"):
        parse_spec({**values, "experiments": [{**run, "paper": {"A1": "21"}}]})


def test_a_control_of_ablations_is_in_no_stage_table():
    assert experiments_of(ITEMS["table1"], [entry("x", "control")]) == ["x"]
    assert experiments_of(ITEMS["table1"], [entry("x", "control", {"5": "(a)"})]) == []


def test_an_experiment_of_no_role_is_in_table_1_unless_it_is_an_ablation():
    assert experiments_of(ITEMS["table1"], [entry("mine")]) == ["mine"]
    assert experiments_of(ITEMS["table1"], [entry("mine", paper={"4": None})]) == []
    assert experiments_of(ITEMS["table1"], [entry("mine", paper={"4": None, "1": None})]) == [
        "mine"
    ]


def test_each_experiment_has_a_page_that_the_main_one_links(written, tmp_path):
    values = {**written, "experiment_pages": "experiments"}
    values["experiments"] = [
        {**e, "settings": {"classifier": {"wood": {"clusters": 7}}}} for e in written["experiments"]
    ]
    values["logs"] = [{**log, "name": "irn-wood"} for log in written["logs"]]
    spec = parse_spec(values)
    scores = Scores(spec)
    build_page(spec, tmp_path / "index.html", scores)
    build_experiment_pages(spec, scores, tmp_path / "experiments")
    links = Reader((tmp_path / "index.html").read_text()).links
    linked = {link for link in links if link.startswith("experiments/")}
    assert {str(p.relative_to(tmp_path)) for p in (tmp_path / "experiments").iterdir()} == linked
    assert len(linked) == 3
    page = Reader((tmp_path / "experiments" / "irn-wood.html").read_text())
    (rows,) = page.tables.values()
    score = json.loads((tmp_path / written["experiments"][2]["runs"][0]["seeds"]).read_text())
    assert rows[-1][:3] == [
        "Seed, configured threshold", "0", f"{100 * score['configured']['miou']:.1f}"
    ]  # fmt: skip
    assert "classifier.wood.clusters" in page.text
    assert "Classifiers." in page.text
    assert sum(link.startswith("data:image/jpeg") for link in page.links) == 5 * 4
    others = Reader((tmp_path / "experiments" / "irn.html").read_text())
    assert "No training log" in others.text


def test_recall_and_precision_stand_per_class_and_experiment(written, tmp_path):
    build_item("recall", only(written, ("seeds",)), tmp_path / "a.html", csv=tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [(row["Method"], row["Metric"]) for row in rows] == [
        (f"title of {name}", metric)
        for name in ("irn", "irn-more", "irn-wood")
        for metric in ("recall", "precision")
    ]
    run = written["experiments"][2]["runs"][0]
    score = json.loads((tmp_path / run["seeds"]).read_text())["configured"]
    for row, metric in zip(rows[4:], ("recall", "precision"), strict=True):
        assert float(row["Mean"]) == pytest.approx(100 * score[metric], abs=1e-4)
        for name in ("background", *CLASSES):
            expected = 100 * score["per_class"][name][metric]
            assert float(row[name]) == pytest.approx(expected, abs=1e-4)


def test_the_page_and_the_target_show_the_same_rows(written, tmp_path):
    """With an experiment of no role, an ablation, and one that stops before the masks."""
    baseline, control, wood = (dict(e) for e in written["experiments"])
    control["runs"] = [{k: v for k, v in control["runs"][0].items() if k in ("seed", "seeds")}]
    mine = {**wood, "name": "mine", "title": "mine", "role": "other", "paper": {}}
    ablation = {**mine, "name": "k30", "title": "K = 30", "paper": {"4": None}}
    for entry_ in (baseline, wood, mine):
        mask = tmp_path / entry_["name"] / "mask.json"
        mask.parent.mkdir()
        mask.write_text(json.dumps({"miou": 0.5, "per_class": {}}))
        entry_["runs"] = [{**entry_["runs"][0], "pseudo_masks": str(mask)}]
    values = {**written, "experiments": [baseline, control, wood, mine, ablation]}
    build_page(values, tmp_path / "index.html")
    page = Reader((tmp_path / "index.html").read_text()).tables
    for key, file, names in (
        ("table1", "tiny-table-1-seeds.csv", ["irn", "irn-more", "irn-wood"]),
        ("table2", "tiny-table-2-pseudo-masks.csv", ["irn", "irn-wood"]),
    ):
        build_item(key, only(values, ITEMS[key].files), tmp_path / "a.html")
        rows = Reader((tmp_path / "a.html").read_text()).tables[file]
        assert page[file] == rows
        assert [row[0] for row in rows[2:]] == [*(f"title of {name}" for name in names), "mine"]


def test_a_row_says_what_it_rests_on(written, tmp_path):
    experiment = {**written["experiments"][0], "basis": ["preset reference-code"]}
    values = {**written, "experiments": [experiment]}
    build_item("table1", only(values, ("seeds",)), tmp_path / "a.html", csv=tmp_path / "a.csv")
    html = (tmp_path / "a.html").read_text()
    assert 'title of irn <small class="tag">preset reference-code</small>' in html
    assert "title of irn," in (tmp_path / "a.csv").read_text()
