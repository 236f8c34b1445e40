"""What a run shows: its stages on a terminal, short lines elsewhere, errors at the end."""

import io
import logging

import pytest

from wood.workflow.live import LiveHandler

STAGES = {"train": "seeds", "score": "seeds", "page": "report"}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def run(monkeypatch):
    """A function that shows events on a stream, and returns the handler."""
    monkeypatch.setenv("WOOD_LIVE", "")

    def show(stream, *events):
        handler = LiveHandler(logging.StreamHandler(stream), lambda: STAGES, stream, "snakemake x")
        for message, fields in events:
            record = logging.LogRecord("", logging.INFO, "", 0, message, (), None)
            record.__dict__.update(fields)
            handler.handle(record)
        return handler

    return show


def started(number, rule, log=()):
    fields = {"event": "job_info", "jobid": number, "rule_name": rule, "log": list(log)}
    return "", {**fields, "wildcards": {"classifier": "cam", "seed": "0"}}


def finished(number):
    return "", {"event": "job_finished", "job_id": number}


BEGIN = ("", {"event": "run_info", "stats": {"train": 2, "score": 1, "page": 1, "all": 1}})


def test_before_the_jobs_snakemake_speaks_itself(run):
    stream = io.StringIO()
    run(stream, ("Building DAG of jobs...", {}), ("Nothing to be done", {})).close()
    assert stream.getvalue() == "Nothing to be done\n"


def test_without_a_terminal_each_job_is_a_line(run):
    stream = io.StringIO()
    run(stream, BEGIN, started(1, "train"), finished(1), ("Select jobs", {})).close()
    lines = stream.getvalue().splitlines()
    assert lines[0] == "4 jobs"
    assert lines[1].startswith("1 of 4: train cam 0, 0:00, about ")
    assert lines[2:] == ["1 of 4 jobs in 0:00."]


def test_a_terminal_has_a_line_for_each_stage(run, tmp_path):
    log = tmp_path / "log"
    events = [BEGIN, started(1, "train"), finished(1), started(2, "score", [log])]
    handler = run(Terminal(), *events)
    log.write_text("2026 INFO wood.runtime.progress: scoring: 3 of 9, 1.00/s, 6 s left\n")
    seeds, report, whole = handler.lines()
    assert seeds.startswith("seeds         [######              ]    1/3    score cam 0 0:00")
    assert seeds.endswith("(scoring: 3 of 9, 1.00/s, 6 s left)")
    assert report == "report        [                    ]    0/1"
    assert "left" in whole
    handler.close()
    assert "1 of 4 jobs" in handler.stream.getvalue()


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
def test_errors_stand_at_the_end_with_the_command_that_goes_on(run, tmp_path, stream):
    log = tmp_path / "log"
    log.write_text("1 INFO wood: a\n2 ERROR wood.runtime.jobs: no such: image\n3 INFO wood: b\n")
    error = {"event": "job_error", "jobid": 1, "rule_name": "train", "log": [str(log)]}
    handler = run(stream(), BEGIN, started(1, "train"), ("Error in rule train", error))
    handler.close()
    assert handler.stream.getvalue().splitlines()[-2:] == [
        f"Failed: train cam 0: no such: image (log: {log})",
        "To go on: snakemake x",
    ]


def test_what_cannot_be_shown_is_left_to_snakemake(run):
    stream = io.StringIO()
    run(stream, BEGIN, ("as it is", {"event": "job_info"})).close()
    assert "as it is" in stream.getvalue()
