"""The page as a whole, made from small real files, and what it is drawn from."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.unit.report.small_run import CLASSES, SIZE, object_mask
from wood.maps import LocalizationMaps
from wood.report import figures, item_tables, plots, tables
from wood.report.page import build_page
from wood.report.pictures import GAIN, LOSS, RANDOM, choose, seed_grids
from wood.report.render import flatten
from wood.report.scores import Measure, Scores, points
from wood.report.spec import parse_spec
from wood.runtime.errors import InputError
from wood.runtime.store import read_json, write_json
from wood.scoring.seeds import ThresholdCounts


class Reader(HTMLParser):
    """Collects what a browser would fetch, the pictures, and the tables' rows."""

    def __init__(self, html):
        super().__init__()
        self.links, self.tables, self.text = [], {}, ""
        self._table = None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.links += [attributes[key] for key in ("src", "href", "srcset") if key in attributes]
        if "data-file" in attributes:
            self._table = self.tables.setdefault(attributes["data-file"], [])
        if tag == "tr" and self._table is not None:
            self._table.append([])
        if tag in ("td", "th") and self._table:
            self._table[-1].append("")

    def handle_endtag(self, tag):
        if tag == "table":
            self._table = None

    def handle_data(self, data):
        self.text += data
        if self._table and self._table[-1]:
            self._table[-1][-1] += data.strip()


def built(values, folder):
    build_page(values, folder / "index.html")
    return (folder / "index.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_else(written, tmp_path):
    html = built(written, tmp_path)
    links = Reader(html).links
    assert any(link.startswith("data:image/jpeg") for link in links)
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", html)


def test_the_page_is_the_same_twice(written, tmp_path):
    assert built(written, tmp_path / "a") == built(written, tmp_path / "b")


def test_the_page_shows_the_scores_beside_the_papers(written, tmp_path):
    reader = Reader(built(written, tmp_path))
    rows = {row[0]: row for row in reader.tables["tiny-table-1-seeds.csv"] if row}
    scores = json.loads((tmp_path / written["experiments"][2]["runs"][0]["seeds"]).read_text())
    wood = rows["title of irn-wood"]
    assert wood[1] == f"{100 * scores['configured']['miou']:.1f}"
    assert wood[5] == f"{100 * scores['halves']['B']['configured']['miou']:.1f}"
    assert wood[-4:] == ["53.3", "66.5", "73.2", "69.7"]
    assert rows["title of irn-more"][-4:] == ["-"] * 4
    assert "gain" in reader.text
    assert "49.8 for IRN" in reader.text


def test_differences_have_intervals_over_images(written, tmp_path):
    reader = Reader(built(written, tmp_path))
    rows = reader.tables["tiny-differences.csv"][2:]
    assert [row[1:3] for row in rows if row[1] == "train, 6 images"] == [
        ["train, 6 images", name]
        for name in ("W-OoD - baseline", "W-OoD - control", "control - baseline")
    ]
    for row in rows:
        difference, low, high = map(float, row[3:6])
        assert low <= difference <= high
        assert row[6:8] == ["-", "-"]
        assert (row[8] == "gain") == (difference > 1 and low > 0)
    assert {row[8] for row in rows} > {"gain"}
    assert "Over images: 95 % interval" in reader.text
    assert "nothing about other training runs" in " ".join(reader.text.split())


def test_scores_without_counts_make_a_page_without_intervals(written, tmp_path):
    experiments = []
    for entry in written["experiments"]:
        (run,) = entry["runs"]
        score = tmp_path / entry["name"] / "seeds.json"
        write_json(score, read_json(run["seeds"]))
        experiments.append({**entry, "runs": [{**run, "seeds": str(score)}]})
    reader = Reader(built({**written, "experiments": experiments}, tmp_path))
    rows = reader.tables["tiny-differences.csv"][2:]
    assert all(row[4:8] == ["-"] * 4 for row in rows)
    assert rows
    assert "Over images: 95 % interval" not in reader.text


def test_an_experiment_of_no_role_is_compared_too_unless_it_is_an_ablation(written, tmp_path):
    baseline, control, wood = (dict(entry) for entry in written["experiments"])
    other = {**wood, "name": "irn-random", "title": "random images", "role": "other"}
    ablation = {**other, "name": "k30", "title": "K = 30", "paper": {"4": None}}
    family = [baseline, control, wood, {**other, "paper": {}}, ablation]
    reader = Reader(built({**written, "experiments": family}, tmp_path))
    rows = {(row[0], row[1], row[2]): row[3:] for row in reader.tables["tiny-differences.csv"][2:]}
    stage, scope, _ = next(iter(rows))
    for reference in ("baseline", "control"):
        found = rows[stage, scope, f"random images - {reference}"]
        assert found == rows[stage, scope, f"W-OoD - {reference}"]
    assert not any("K = 30" in name for _, _, name in rows)


def test_ablations_stand_in_their_tables_beside_the_papers(written, tmp_path):
    baseline, control, wood = (dict(entry) for entry in written["experiments"])
    ood = {"losses": ["cls_in", "dist_ood"], "distance_weight": 0.0005, "normalize": "sum",
           "top_fraction": 0.2, "grouping": "kmeans", "clusters": 30}  # fmt: skip
    wood |= {"wood": ood, "paper": {"1": "IRN + W-OoD", "4": "K-means, K = 30", "5": "(e)"}}
    control |= {"paper": {"5": None}}
    reader = Reader(built({**written, "experiments": [baseline, control, wood]}, tmp_path))
    score = json.loads((tmp_path / wood["runs"][0]["seeds"]).read_text())
    half_b = score["halves"]["B"]["configured"]["miou"]
    *found, oracle = [f"{100 * part['miou']:.1f}" for part in (
        score["configured"], score["halves"]["A"]["configured"],
        score["halves"]["B"]["configured"], score["oracle"]["summary"])]  # fmt: skip
    other = json.loads((tmp_path / control["runs"][0]["seeds"]).read_text())
    gain = points(100 * (half_b - other["halves"]["B"]["configured"]["miou"]))
    (clusters,) = reader.tables["tiny-table-4-ablation.csv"][2:]
    assert clusters == ["title of irn-wood", "0.0005", "20 %", "30", *found, "0.0", oracle, "53.1"]
    without, losses = reader.tables["tiny-table-5-ablation.csv"][2:]
    assert losses == ["title of irn-wood", "✓", "", "", "✓", *found, gain, oracle, "52.3", "0.82"]
    assert without[1:5] == ["✓", "", "", ""]
    assert without[-2:] == ["-", "-"]
    shown = [row[0] for row in reader.tables["tiny-table-1-seeds.csv"][2:]]
    assert shown == ["title of irn", "title of irn-wood"]
    assert "tiny-table-a2-ablation.csv" not in reader.tables


def test_rows_stand_by_family_and_role_and_in_the_papers_order(written, tmp_path):
    baseline, control, wood = (dict(entry) for entry in written["experiments"])
    wood |= {"paper": {"1": "IRN + W-OoD", "5": "(f)"}}
    both = {**wood, "name": "b", "title": "(b)", "role": "other", "paper": {"5": "(b)"}}
    neither = {**both, "name": "x", "title": "not in the paper", "paper": {"5": None}}
    control |= {"paper": {"1": None, "5": "(a)"}}
    seam = {**baseline, "name": "seam", "title": "SEAM", "family": "SEAM", "paper": {"1": "SEAM"}}
    mixed = [neither, wood, seam, both, control, baseline]
    reader = Reader(built({**written, "experiments": mixed}, tmp_path))
    shown = [row[0] for row in reader.tables["tiny-table-1-seeds.csv"][2:]]
    assert shown == ["title of irn", "title of irn-more", "title of irn-wood", "SEAM"]
    shown = [row[0] for row in reader.tables["tiny-table-5-ablation.csv"][2:]]
    assert shown == ["title of irn-more", "(b)", "title of irn-wood", "not in the paper"]


def test_the_thresholds_of_families_are_told_apart(written, tmp_path):
    baseline, control, wood = (dict(entry) for entry in written["experiments"])
    text = Reader(built(written, tmp_path)).text
    assert "fixed before scoring and shared by all methods" in text
    path = tmp_path / baseline["runs"][0]["seeds"]
    score = json.loads(path.read_text())
    other = path.with_name("other.json")
    other.write_text(json.dumps({**score, "threshold": 0.123}))
    run = {"seed": 0, "seeds": str(other)}
    seam = {**baseline, "name": "seam", "family": "SEAM", "paper": {}, "runs": [run]}
    text = Reader(built({**written, "experiments": [baseline, control, wood, seam]}, tmp_path)).text
    assert f"{score['threshold']:g} for CAM, 0.123 for SEAM, fixed before scoring." in text


def with_scores(written, folder, **changes):
    """The same with keys of each score file of the first experiment's seeds changed."""
    first, *others = (dict(entry) for entry in written["experiments"])
    path = folder / "seeds.json"
    write_json(path, {**read_json(first["runs"][0]["seeds"]), **changes})
    first["runs"] = [{**first["runs"][0], "seeds": str(path)}]
    return {**written, "experiments": [first, *others]}


def test_the_published_protocol_stands_in_a_column_of_its_own(written, tmp_path):
    html = built(written, tmp_path)
    assert "Published protocol" not in html
    summary = read_json(written["experiments"][0]["runs"][0]["seeds"])["configured"]
    swept = {"range": [0.1, 0.3], "threshold": 0.17, "summary": {**summary, "miou": 0.6543}}
    reader = Reader(built(with_scores(written, tmp_path, published=swept), tmp_path))
    _, names, first, *others = reader.tables["tiny-table-1-seeds.csv"]
    assert first[8:10] == ["65.4", "0.17"]
    assert names[8:10] == ["mIoU", "at"]
    assert all(row[8:10] == ["-", "-"] for row in others)
    assert "Published protocol" in reader.text


def test_images_without_a_result_are_named_on_the_page(written, tmp_path):
    assert "count as background" not in Reader(built(written, tmp_path)).text
    values = with_scores(written, tmp_path, missing=3, images=1200)
    text = Reader(built(values, tmp_path)).text
    assert (
        "Images without a result count as background: 3 of 1,200 images have no localization maps "
        "(title of irn, training seed 0)."
    ) in text


def test_a_training_that_experiments_share_is_drawn_once(written, tmp_path):
    (log,) = written["logs"]
    names = ("irn", "irn-more")
    shared = {**written, "logs": [{**log, "name": name} for name in names]}
    drawn = figures.training_curves(parse_spec(shared).logs, "classifier")
    apart = tmp_path / "log.jsonl"
    apart.write_text(Path(log["path"]).read_text(encoding="utf-8"))
    shared["logs"][1]["path"] = str(apart)
    assert len(re.findall("<path", drawn)) < len(
        re.findall("<path", figures.training_curves(parse_spec(shared).logs, "classifier"))
    )
    assert "irn, irn-more" in drawn


def test_a_stage_that_nothing_reaches_is_said_once(written, tmp_path):
    assert "Segmentation: no score yet." in Reader(built(written, tmp_path)).text
    entries = [dict(entry) for entry in written["experiments"]]
    for entry in entries:
        entry["runs"] = [{"seed": run["seed"], "seeds": run["seeds"]} for run in entry["runs"]]
    html = built({**written, "experiments": entries}, tmp_path)
    assert "Pseudo-mask and Segmentation: no score yet." in Reader(html).text
    assert html.count('<article class="card">') == 1


def test_a_difference_is_over_the_training_seeds_of_both():
    ours, reference = Measure({1: 45.0}), Measure({0: 50.0, 1: 40.0, 2: 60.0})
    assert tables.difference(ours, reference).text == "+5.0"
    assert tables.difference(reference, ours).hint == "over 1 training seed"
    assert tables.difference(ours, Measure({0: 50.0})).text == "-"


def test_identifiers_on_the_page_are_unique(written, tmp_path):
    found = re.findall(r'\sid="([^"]+)"', built(written, tmp_path))
    assert len(found) == len(set(found))


def test_text_from_outside_is_escaped(written, tmp_path):
    evil = '<script>alert("x")</script>'
    experiments = [dict(entry) for entry in written["experiments"]]
    experiments[0]["title"] = evil
    html = built({**written, "experiments": experiments, "config": {evil: evil}}, tmp_path)
    assert "alert" in html
    assert evil not in html


def test_without_true_masks_the_page_says_so(written, tmp_path):
    experiments = [
        {**entry, "runs": [{**entry["runs"][0], "seeds": None}]} for entry in written["experiments"]
    ]
    reader = Reader(built({**written, "truth": None, "experiments": experiments}, tmp_path))
    assert "no true masks" in reader.text
    assert set(reader.tables) == {"tiny-hard-ood.csv"}
    assert "largest gain" not in reader.text
    assert any(link.startswith("data:image/jpeg") for link in reader.links)


def test_a_baseline_alone_makes_a_page(written, tmp_path):
    values = {**written, "experiments": written["experiments"][:1], "logs": [], "ood": None}
    text = Reader(built(values, tmp_path)).text
    assert "No experiment with W-OoD" in text
    assert "No collection was made" in text
    assert "No training log" in text


def test_review_statistics_stand_beside_the_formula(written, tmp_path):
    reader = Reader(built(written, tmp_path))
    rows = {row[0]: row[1:] for row in reader.tables["tiny-hard-ood.csv"]}
    assert rows["cat"] == ["6", "5", "4", "1", "20.0", "1.25", "-", "-", "2"]
    assert rows["dog"] == ["-", "-", "-", "-", "-", "-", "-", "-", "1"]
    assert rows["all"] == ["6", "5", "4", "1", "20.0", "1.25", "3.0", "-", "3"]
    paper = rows["n / (1 - r) for the paper's set"]
    assert paper == ["-", "6,488", "5,190", "1,298", "-", "-", "-", "324.4", "-"]
    text = " ".join(reader.text.split())
    assert "2 of them are gone" in text
    assert "1 disputed by reviewers" in text
    assert "a file answered" in reader.text


def test_the_cost_stands_on_the_card_and_in_its_figure(written, tmp_path):
    baseline, control, wood = (dict(entry) for entry in written["experiments"])
    wood |= {"wood": {"images": "hard"}}
    unreviewed = {**control, "name": "irn-unreviewed", "role": "other", "title": "rejects left in",
                  "wood": {"images": "unreviewed"}, "paper": {}}  # fmt: skip
    experiments = [baseline, control, wood, unreviewed]
    reader = Reader(built({**written, "experiments": experiments}, tmp_path))
    text = " ".join(reader.text.split())
    assert "points for 5 reviewed images, under a minute (measured, 3.0 s a decision)" in text
    assert "images reviewed" in text
    rows = {row[0]: row[1:4] for row in reader.tables["tiny-review-cam.csv"]}
    assert rows["rejects left in"] == ["6", "0", "0.0"]
    assert rows["title of irn-wood"] == ["4", "5", "0.2"]


def test_classes_are_sorted_by_the_gain(written):
    spec = parse_spec(written)
    table = item_tables.class_table(spec, Scores(spec), spec.experiments)
    gains = [row[4].value for row in table.rows]
    assert gains == sorted(gains, reverse=True)
    assert {row[0].text for row in table.rows} == {"background", *CLASSES}


def test_pictures_follow_the_rule(written):
    spec = parse_spec(written)
    cat, dog = seed_grids(spec, Scores(spec), spec.experiments)
    assert (cat.title, dog.title) == ("cat", "dog")
    chosen = {row.choice.rule: row.choice for row in cat.rows}
    assert chosen[LOSS].image_id == "im4"
    assert chosen[LOSS].gain < 0 < chosen[GAIN].gain
    assert {choice.image_id for choice in chosen.values()} == {"im0", "im2", "im4"}
    headings = [picture.heading for picture in cat.rows[0].pictures]
    assert headings == [
        "Image", "CAM without", "CAM with W-OoD", "Pseudo-mask", "Prediction", "Truth"
    ]  # fmt: skip


def test_choice_is_by_gain_and_repeatable():
    gains = {"a": 3.0, "b": -2.0, "c": 1.0, "d": None, "e": 0.5}
    first = choose(gains, np.random.default_rng(3))
    assert first == choose(dict(reversed(gains.items())), np.random.default_rng(3))
    assert [(choice.image_id, choice.rule) for choice in first[:2]] == [("a", GAIN), ("b", LOSS)]
    assert first[2].rule == RANDOM
    drawn = {choose(gains, np.random.default_rng(seed))[2].image_id for seed in range(30)}
    assert drawn == {"c", "e"}, "d has no true mask, and others have one"
    [only] = choose({"d": None}, np.random.default_rng(0))
    assert (only.image_id, only.rule) == ("d", RANDOM)


def test_nothing_gained_is_no_gain():
    assert [c.rule for c in choose({"a": 0.0, "b": 0.0}, np.random.default_rng(0))] == [RANDOM]
    assert [c.rule for c in choose({"a": 2.0}, np.random.default_rng(0))] == [GAIN]
    assert choose({}, np.random.default_rng(0)) == []


def test_seed_labels_are_those_that_were_scored():
    rng = np.random.default_rng(1)
    heat = torch.tensor(rng.random((2, 10, 12)), dtype=torch.float16)
    maps = LocalizationMaps("x", SIZE, torch.tensor([0, 1]), heat)
    target = object_mask(1, 20)
    counts = ThresholdCounts(CLASSES, [0.3, 0.6])
    counts.update(target, maps)
    for index, threshold in enumerate((0.3, 0.6)):
        labels = maps.seed(threshold)
        pairs = np.bincount(target.ravel() * 3 + labels.ravel(), minlength=9).reshape(3, 3)
        np.testing.assert_array_equal(pairs, counts.scores(index).confusion)


def test_a_log_cut_short_keeps_its_whole_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"iteration": 1, "loss": 2.0}\n{"iteration": 2, "lo')
    assert figures.read_log(str(path)) == [{"iteration": 1, "loss": 2.0}]
    path.write_text('{"iterat\n{"iteration": 2, "loss": 1.0}\n')
    with pytest.raises(InputError, match="line 1"):
        figures.read_log(str(path))


def test_settings_are_flattened():
    values = {"a": {"b": [1, 2], "c": None}, "d": {}, "e": False}
    assert flatten(values) == [("a.b", "1, 2"), ("a.c", "none"), ("d", "none"), ("e", "False")]


def test_svg_follows_the_pages_colours():
    def draw(name):
        with plots.figure(200, 100) as (drawn, axes):
            axes[0, 0].plot([0, 1], [0, 1], color=plots.WOOD)
            return plots.svg(drawn, name, 'a "line"')

    text = draw("one")
    assert text == draw("one")
    assert "var(--wood)" in text
    assert "#0" not in re.sub(r"(url\(|href=\")#\S+", "", text)
    assert 'aria-label="a &quot;line&quot;"' in text
    identifiers = [set(re.findall(r'id="([^"]+)"', draw(name))) for name in ("one", "two")]
    assert not identifiers[0] & identifiers[1]


def test_heat_is_laid_over_a_grey_photograph():
    image = Image.new("RGB", (48, 40), (200, 40, 40))
    heat = np.zeros((40, 48), np.float32)
    heat[:, 24:] = 1
    over = np.asarray(plots.heat_overlay(image, heat, 0.5)).astype(int)
    assert np.ptp(over[10, 5]) == 0
    assert (over[10, 24] == 255).all()
    assert not (over[10, 40] == over[10, 5]).all()
    plain = np.asarray(plots.heat_overlay(image, heat))
    assert not (plain[10, 24] == 255).all()


def test_masks_are_shown_in_their_colours():
    image = Image.new("RGB", (48, 40), "black")
    mask = object_mask(1, 24)
    mask[36:] = 255
    over = np.asarray(plots.mask_overlay(image, mask)).astype(int)
    assert over[20, 10, 0] > over[20, 10, 1:].max() + 50
    assert np.ptp(over[20, 40]) == 0
    assert len(np.unique(over[36:, :, 0])) == 2


def test_running_mean_keeps_length_and_constants():
    np.testing.assert_allclose(plots.running_mean([2.0] * 7, 3), 2.0)
    np.testing.assert_allclose(plots.running_mean([0.0, 3.0, 6.0], 3), [1.5, 3.0, 4.5])
    np.testing.assert_allclose(plots.running_mean([1.0, 5.0], 1), [1.0, 5.0])


def test_pictures_are_scaled_down_only():
    small = plots.data_uri(Image.new("RGB", (20, 10)), 100)
    large = plots.data_uri(Image.new("RGB", (400, 200)), 100)
    assert small.startswith("data:image/jpeg;base64,")
    sizes = [picture_size(uri) for uri in (small, large)]
    assert sizes == [(20, 10), (100, 50)]


def picture_size(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).size
