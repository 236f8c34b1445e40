import contextlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.places import ROOT
from wood.ood.decisions import (
    COLUMNS,
    Decision,
    append_decisions,
    last_press,
    merge,
    now,
    read_decisions,
    read_history,
)
from wood.runtime.errors import InputError

HEADER = "image_id,decision,class,reviewer,found,screen,look,time\n"
FIRST_HEADER = "image_id,decision,class,reviewer,time\n"


def decide(image_id, decision="accept", reviewer="ann", time=None, class_name="cat"):
    return Decision(image_id, decision, class_name, reviewer, time or now())


def in_force(path):
    table = read_decisions(path)
    return dict(zip(table["image_id"], table["decision"], strict=True))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "review" / "decisions.csv"


def test_a_missing_file_is_no_decision(path):
    assert list(read_decisions(path).columns) == COLUMNS
    assert read_decisions(path).empty


def test_the_file_is_plain_csv_with_one_line_a_decision(path):
    append_decisions(path, [decide("a", time="2024-05-01T10:00:00+00:00")])
    append_decisions(path, [decide("b", "reject", time="2024-05-01T10:00:01+00:00")])
    assert path.read_text() == (
        HEADER
        + "a,accept,cat,ann,,,,2024-05-01T10:00:00+00:00\n"
        + "b,reject,cat,ann,,,,2024-05-01T10:00:01+00:00\n"
    )


def test_fields_come_back_as_written(path):
    looked = {"found": "tv, 猫", "screen": "s1", "look": "single"}
    decision = Decision("a", "reject", 'dining table, "round"', "Zoë Ø", now(), **looked)
    append_decisions(path, [decision])
    row = read_decisions(path).iloc[0]
    name = 'dining table, "round"'
    assert row.tolist() == ["a", "reject", name, "Zoë Ø", "tv, 猫", "s1", "single", decision.time]


def test_last_line_wins_and_undo_makes_undecided_with_the_history_kept(path):
    append_decisions(path, [decide("a"), decide("b"), decide("a", "reject"), decide("b", "undo")])
    assert in_force(path) == {"a": "reject"}
    assert read_history(path)["decision"].tolist() == ["accept", "accept", "reject", "undo"]
    append_decisions(path, [decide("b", "reject")])
    assert in_force(path) == {"a": "reject", "b": "reject"}


def test_undo_of_one_reviewer_leaves_the_other(path):
    append_decisions(path, [decide("a"), decide("a", "reject", "bob"), decide("a", "undo")])
    table = read_decisions(path)
    assert table[["reviewer", "decision"]].to_numpy().tolist() == [["bob", "reject"]]


def own(path, reviewer):
    history = read_history(path)
    return history[history["reviewer"] == reviewer]


def test_last_press_is_one_key_press_of_one_reviewer(path):
    first, second = now(), now()
    append_decisions(path, [decide("a", time=first)])
    append_decisions(path, [decide("b", time=second), decide("c", time=second)])
    append_decisions(path, [decide("d", reviewer="bob")])
    assert last_press(own(path, "ann")) == ["b", "c"]
    append_decisions(path, [decide("b", "undo"), decide("c", "undo")])
    assert last_press(own(path, "ann")) == ["a"]
    assert last_press(own(path, "eve")) == []


@pytest.mark.parametrize("kept", range(len("b,reject,cat,ann,,,,2024-05-01T10:00:01+00")))
def test_a_partial_last_line_is_tolerated_and_repaired(path, kept):
    append_decisions(path, [decide("a", time="2024-05-01T10:00:00+00:00")])
    whole = path.read_text()
    partial = "b,reject,cat,ann,,,,2024-05-01T10:00:01+00:00"[:kept]
    path.write_text(whole + partial)
    counts = kept in (30, 33, 36, 39)  # a date, and as much of a time as can be read
    assert in_force(path) == {"a": "accept"} | ({"b": "reject"} if counts else {})
    append_decisions(path, [decide("c", time="2024-05-01T10:00:02+00:00")])
    kept_line = f"{partial}\n" if counts else ""
    added = "c,accept,cat,ann,,,,2024-05-01T10:00:02+00:00\n"
    assert path.read_text() == whole + kept_line + added
    if partial and not counts:
        assert path.with_name("decisions.csv.set-aside").read_text() == f"{partial}\n"


@pytest.mark.parametrize("kept", range(len(HEADER) + 1))
def test_a_partial_header_is_repaired(path, kept):
    path.parent.mkdir()
    path.write_text(HEADER[:kept])
    assert read_decisions(path).empty
    append_decisions(path, [decide("a", time="2024-05-01T10:00:00+00:00")])
    assert path.read_text() == HEADER + "a,accept,cat,ann,,,,2024-05-01T10:00:00+00:00\n"


def test_a_file_from_before_looks_keeps_its_columns(path):
    path.parent.mkdir()
    path.write_text(FIRST_HEADER + "a,reject,cat,ann,2024-05-01T10:00:00Z\nb,acc")
    decision = Decision("c", "reject", "cat", "ann", "2024-05-01T10:00:09Z", "cow", "s1", "single")
    append_decisions(path, [decision])
    assert path.read_text() == (
        FIRST_HEADER
        + "a,reject,cat,ann,2024-05-01T10:00:00Z\n"
        + "c,reject,cat,ann,2024-05-01T10:00:09Z\n"
    )
    history = read_history(path)
    assert list(history.columns) == COLUMNS
    assert history["look"].tolist() == ["", ""]


def test_a_last_line_without_its_line_break_counts_and_stays(path):
    path.parent.mkdir()
    path.write_text(HEADER + "a,reject,cat,ann,,,,2024-05-01T10:00:00+00:00")
    assert in_force(path) == {"a": "reject"}
    append_decisions(path, [decide("b")])
    assert in_force(path) == {"a": "reject", "b": "accept"}


def test_a_spreadsheet_that_writes_crlf_and_a_byte_order_mark_is_read(path):
    path.parent.mkdir()
    text = "\ufeff" + HEADER + "a,reject,cat,ann,,,,2024-05-01T10:00:00Z\n\n"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    assert in_force(path) == {"a": "reject"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a,acept,cat,ann,,,,2024-05-01T10:00:00Z", "'acept' is not a decision"),
        ("a,Accept,cat,ann,,,,2024-05-01T10:00:00Z", "'Accept' is not a decision"),
        ("../a,accept,cat,ann,,,,2024-05-01T10:00:00Z", "the image id '../a'"),
        ("..,accept,cat,ann,,,,2024-05-01T10:00:00Z", "the image id '..'"),
        ("a,accept,cat,ann", "4 fields where 8"),
        ("a,accept,cat,,,,,2024-05-01T10:00:00Z", "'' is not a reviewer's name"),
        ("a,accept,cat,ann,,s,glance,2024-05-01T10:00:00Z", "the look is 'glance'"),
        ("a,accept,cat,ann,,,,yesterday", "'yesterday' is not an ISO 8601 time"),
    ],
)
def test_a_line_edited_by_hand_is_named(path, line, words):
    append_decisions(path, [decide("a")])
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError) as error:
        read_decisions(path)
    assert words in str(error.value)
    assert f"{path}, line 3" in str(error.value)
    with pytest.raises(InputError):
        merge([path])


def test_a_wrong_word_on_an_unfinished_last_line_is_named_not_cut(path):
    append_decisions(path, [decide("a")])
    with path.open("a") as file:
        file.write("b,maybe,cat,ann,,,,2024-05-01T10:00:00Z")
    with pytest.raises(InputError, match=r"line 3: 'maybe' is not a decision"):
        read_decisions(path)
    append_decisions(path, [decide("c")])
    assert "b,maybe,cat" in path.read_text()


def test_another_file_is_refused(path):
    path.parent.mkdir()
    path.write_text("id,answer\na,accept\n")
    with pytest.raises(InputError, match="line 1: the header is not"):
        read_decisions(path)


LINES = (
    HEADER + "a,reject,cat,ann,,,,2024-05-01T10:00:00Z\nb,accept,cat,ann,,,,2024-05-01T10:00:01Z\n"
)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace(",", ";"),
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace("\n", "\n\n"),
        lambda text: "\ufeff" + text,
        lambda text: "\n\n" + text,
        lambda text: re.sub(r"([^,\n]+)", r'"\1"', text),
        lambda text: re.sub(r"([^,\n]+)", r" \1 ", text),
        lambda text: text.replace("\n", ",,\n"),
        lambda text: text[:-1],
        lambda text: text[:-2],
        lambda text: text.replace("\n", "\r")[:-1],
    ],
)
def test_a_file_is_read_and_goes_on_however_it_was_saved(path, change):
    path.parent.mkdir()
    path.write_bytes(change(LINES).encode())
    before = path.read_bytes()
    assert in_force(path) == {"a": "reject", "b": "accept"}
    append_decisions(path, [decide("c")])
    assert in_force(path) == {"a": "reject", "b": "accept", "c": "accept"}
    assert path.read_bytes().startswith(before)


@pytest.mark.parametrize(
    "content",
    [b"precious notes", b"precious\nnotes", b"a,b\n1,2\n",
     b"\xff\xfea\0", b"=1", b"\0",
     "image_id,decision,class,reviewer,time".encode("utf-16"), b"\r\rnotes", b"{}"],
)  # fmt: skip
def test_a_foreign_file_stays_as_it_is(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match="the header is not image_id,decision"):
        append_decisions(path, [decide("c")])
    assert path.read_bytes() == content


@pytest.mark.parametrize("reviewer", ["=HYPERLINK(1)", "+ann", "-", "@ann", "'=x"])
def test_a_reviewer_s_name_is_no_formula(path, reviewer):
    append_decisions(path, [decide("-a", reviewer=reviewer)])
    assert f",'{reviewer}," in path.read_text()
    assert path.read_text().splitlines()[1].startswith("'-a,")
    assert read_decisions(path)[["image_id", "reviewer"]].to_numpy().tolist() == [["-a", reviewer]]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=40) | st.text(max_size=40).map(str.encode),
    st.integers(0, len(LINES)),
    st.sampled_from(["\n", "\r", "\r\n"]),
)
def test_no_byte_is_lost_whatever_stands_in_the_file(tmp_path_factory, edit, place, ending):
    path = tmp_path_factory.mktemp("d") / "decisions.csv"
    text = LINES.replace("\n", ending).encode()
    before = text[:place] + edit
    path.write_bytes(before)
    try:
        append_decisions(path, [decide("c")])
    except InputError:
        assert path.read_bytes() == before
        return
    aside = path.with_name("decisions.csv.set-aside")
    kept = aside.read_bytes()[:-1] if aside.exists() else b""
    after = path.read_bytes()
    assert after.endswith(b"\n")
    if HEADER.encode().startswith(before):
        assert after.startswith(HEADER.encode())
    else:
        assert before.endswith(kept)
        assert after.startswith(before[: len(before) - len(kept)])
    with contextlib.suppress(InputError):  # of what was written by hand
        assert in_force(path)["c"] == "accept"


def test_bytes_that_are_not_utf8_are_refused(path):
    append_decisions(path, [decide("a")])
    with path.open("ab") as file:
        file.write("b,accept,cat,Zoë,,,,2024-05-01T10:00:00Z\n".encode("latin-1"))
    with pytest.raises(InputError, match="line 3: not text in UTF-8"):
        read_decisions(path)


@pytest.mark.parametrize(
    "decision",
    [
        decide("a/b"),
        decide("a", "maybe"),
        decide("a", reviewer=""),
        decide("a", reviewer="an\nn"),
        decide("a", class_name="cat\r"),
    ],
)
def test_nothing_is_written_of_a_bad_decision(path, decision):
    with pytest.raises(InputError):
        append_decisions(path, [decide("good"), decision])
    assert not path.exists()


def test_merge_reports_disagreement_and_reject_wins(tmp_path):
    ann, bob = tmp_path / "ann.csv", tmp_path / "bob.csv"
    append_decisions(ann, [decide("a"), decide("b", "reject"), decide("c"), decide("d")])
    append_decisions(bob, [decide(i, reviewer="bob") for i in "ab"])
    append_decisions(bob, [decide("c", "reject", "bob"), decide("d", "reject", "bob")])
    append_decisions(bob, [decide("d", "undo", "bob"), decide("e", "reject", "bob")])
    for paths in ([ann, bob], [bob, ann]):
        settled, disagreements = merge(paths)
        assert dict(zip(settled["image_id"], settled["decision"], strict=True)) == {
            "a": "accept",
            "b": "reject",
            "c": "reject",
            "d": "accept",
            "e": "reject",
        }
        assert sorted(disagreements.to_numpy().tolist()) == [
            ["b", "bob", "ann"],
            ["c", "ann", "bob"],
        ]


def test_merge_of_copies_is_the_same_as_of_one(tmp_path):
    first, copy = tmp_path / "one.csv", tmp_path / "two.csv"
    append_decisions(first, [decide("a"), decide("b")])
    copy.write_bytes(first.read_bytes())
    append_decisions(copy, [decide("a", "undo")])
    settled, disagreements = merge([first, copy])
    assert settled["image_id"].tolist() == ["b"]
    assert disagreements.empty


def test_merge_compares_times_of_different_zones(tmp_path):
    first, second = tmp_path / "one.csv", tmp_path / "two.csv"
    append_decisions(first, [decide("a", "accept", time="2024-05-01T12:00:00+02:00")])
    append_decisions(second, [decide("a", "reject", time="2024-05-01T11:00:00+00:00")])
    assert merge([second, first])[0]["decision"].tolist() == ["reject"]


def test_merge_of_nothing(tmp_path):
    settled, disagreements = merge([tmp_path / "none.csv"])
    assert settled.empty
    assert disagreements.empty
    assert list(settled.columns) == COLUMNS
    assert merge([])[0].empty


def _append_many(path, reviewer, count):
    for number in range(count):
        append_decisions(path, [decide(f"{reviewer}{number}", reviewer=reviewer)])


def test_two_writers_mix_whole_lines(path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(path, name, 40)) for name in "xy"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_history(path)) == 80
    assert path.read_text().count(HEADER) == 1


def test_a_killed_writer_loses_nothing_it_reported(path):
    program = (
        "import sys\n"
        "from wood.ood.decisions import Decision, append_decisions, now\n"
        "for number in range(10**6):\n"
        "    answer = Decision(f'i{number}', 'accept', 'cat', 'ann', now())\n"
        "    append_decisions(sys.argv[1], [answer])\n"
        "    print(number, flush=True)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    for _ in range(20):
        writer.stdout.readline()
    time.sleep(0.01)
    writer.send_signal(signal.SIGKILL)
    reported = 20 + len(writer.stdout.read().split())
    writer.wait()
    ids = read_decisions(path)["image_id"].tolist()
    assert ids == [f"i{number}" for number in range(len(ids))]
    assert reported <= len(ids) <= reported + 1
