"""A machine whose demo differs from the documentation is noticed."""

import pandas as pd
import pytest

from demo.compare import KEYS, KNOWN, compare, main


def write_scores(path, **changed):
    """Write what a report's scores.csv would hold of the known scores, some of them changed."""
    known = pd.read_csv(KNOWN)
    rows = known[KEYS].assign(metric="miou", class_name="mean", value=known["miou"] / 100)
    for experiment, points in changed.items():
        rows.loc[rows["experiment"] == experiment, "value"] += points / 100
    wrong = rows.assign(metric="recall", value=0.5)
    pd.concat([rows, wrong, rows.assign(class_name="bird", value=0.1)]).to_csv(path, index=False)
    return rows


def test_the_known_scores_are_of_every_stage():
    known = pd.read_csv(KNOWN)
    assert {"seeds", "pseudo_masks", "segmentation"} == set(known["stage"])
    assert {"irn", "irn-more", "irn-wood"} <= set(known["experiment"])
    assert known["miou"].between(10, 80).all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "are those of the documentation, within 0.3"),
        ({"irn-wood": 0.2}, "are those of the documentation, within 0.3"),
        ({"irn-wood": -1.2}, r"differ .* by up to 1\.2 points of mIoU \(irn-wood, "),
    ],
)
def test_scores_are_compared_with_a_tolerance(tmp_path, capsys, monkeypatch, changed, said):
    write_scores(tmp_path / "scores.csv", **changed)
    monkeypatch.setattr("sys.argv", ["compare", str(tmp_path / "scores.csv")])
    main()
    assert pd.Series([capsys.readouterr().out]).str.contains(said).all()


def test_a_run_that_lacks_scores_is_told(tmp_path):
    rows = write_scores(tmp_path / "scores.csv")
    rows[rows["experiment"] != "irn"].to_csv(tmp_path / "scores.csv", index=False)
    lacking = (rows["experiment"] == "irn").sum()
    assert compare(tmp_path / "scores.csv").startswith(f"{lacking} of the {len(rows)} known scores")


def test_a_missing_file_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["compare", str(tmp_path / "none.csv")])
    with pytest.raises(SystemExit, match=r"Error: .*none\.csv: no such file"):
        main()
