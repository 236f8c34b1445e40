"""What one sees while a run goes on: a line for each stage on a terminal, short lines elsewhere.

Snakemake's whole log is in its file below `.snakemake/log`. Errors stand at the end, each with its
sentence, and with the command that goes on.
"""

import logging
import os
import shlex
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wood.runtime.progress import SHOWS_PROGRESS

BAR = 20
SECONDS_BETWEEN_DRAWINGS = 1.0


class LiveHandler(logging.Handler):
    """Shows a run from Snakemake's log events, in the place of its handler for the terminal.

    Args:
        usual: that handler, which shows all up to the beginning of the jobs.
        stages: called when they begin; the stage of each rule, in the order of the stages.
        stream: where to write.
        again: the command that goes on after an error.
    """

    def __init__(
        self,
        usual: logging.Handler,
        stages: Callable[[], Mapping[str, str]],
        stream: Any = sys.stderr,
        again: str = "",
    ):
        super().__init__()
        self.usual, self.stages_of, self.stream, self.again = usual, stages, stream, again
        self.terminal = stream.isatty()
        self.total: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {}
        self.waiting: Counter[str] = Counter()
        self.running: dict[int, dict[str, Any]] = {}
        self.failed: list[str] = []
        self.stages: Mapping[str, str] = {}
        self.begun: float | None = None
        self.drawn = 0
        self.log = ""
        self.closed = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record; what this class does not know is left to the usual handler."""
        event = str(getattr(record, "event", "") or "")
        take = getattr(self, f"_on_{event.lower()}", None)
        try:
            if take:
                take(record)
            elif self.begun is None:
                if not record.getMessage().startswith("Building DAG"):
                    self.usual.handle(record)
            elif record.getMessage().startswith("Complete log"):
                self.log = record.getMessage()
            elif record.levelno >= logging.WARNING and not self._is_said_at_the_end(record):
                self._above(record)
        except Exception:
            self.usual.handle(record)

    def close(self) -> None:
        """Show how the run ended."""
        if self.begun is not None and not self.closed.is_set():
            self.closed.set()
            self._draw()
            took = _clock(time.monotonic() - self.begun)
            count = f"{sum(self.done.values())} of {sum(self.total.values())} jobs"
            self._write(f"{count} in {took}.")
            for sentence in self.failed:
                self._write(sentence)
            if self.failed and self.log:
                self._write(self.log)
            if self.failed and self.again:
                self._write(f"To go on: {self.again}")
        super().close()

    # Snakemake's events.

    def _on_workflow_started(self, record: logging.LogRecord) -> None:
        """Versions and host: they are in the log file."""

    def _on_run_info(self, record: Any) -> None:
        self.stages = self.stages_of()
        for rule, count in record.stats.items():
            if rule in self.stages:
                self.total[self.stages[rule]] += count
                self.waiting[rule] += count
        self.begun = time.monotonic()
        if self.terminal:
            os.environ[SHOWS_PROGRESS] = "1"
            threading.Thread(target=self._redraw, daemon=True).start()
        else:
            self._write(f"{sum(self.total.values())} jobs")

    def _on_job_info(self, record: Any) -> None:
        self.running[record.jobid] = {
            "rule": record.rule_name,
            "what": " ".join(map(str, (record.wildcards or {}).values())),
            "log": next(iter(record.log or []), None),
            "since": time.monotonic(),
            "at": time.time(),
        }

    def _on_job_finished(self, record: Any) -> None:
        job = self.running.pop(record.job_id, None)
        if job is None or job["rule"] not in self.stages:
            return
        took = time.monotonic() - job["since"]
        self.seconds.setdefault(job["rule"], []).append(took)
        self.waiting[job["rule"]] -= 1
        self.done[self.stages[job["rule"]]] += 1
        if not self.terminal:
            done, total = sum(self.done.values()), sum(self.total.values())
            name = f"{job['rule']} {job['what']}".strip()
            self._write(f"{done} of {total}: {name}, {_clock(took)}{self._left()}")

    def _on_job_error(self, record: Any) -> None:
        job = self.running.pop(record.jobid, {"what": ""})
        log = next((Path(path) for path in record.log or [] if os.path.exists(path)), None)
        sentence = _sentence(log) if log else "it ended without a log"
        where = f" (log: {log})" if log else ""
        name = f"{record.rule_name} {job['what']}".strip()
        self.failed.append(f"Failed: {name}: {sentence}{where}")
        if not self.terminal:
            self.usual.handle(record)

    def _on_job_started(self, record: logging.LogRecord) -> None:
        """Followed by an event of each job."""

    _on_shellcmd = _on_progress = _on_resources_info = _on_group_info = _on_job_started

    # The picture.

    def _redraw(self) -> None:
        while not self.closed.wait(SECONDS_BETWEEN_DRAWINGS):
            with self.lock or threading.RLock():
                self._draw()

    def _draw(self) -> None:
        if not self.terminal:
            return
        width = shutil.get_terminal_size().columns - 1
        lines = [line[:width] for line in self.lines()]
        up = f"\x1b[{self.drawn}F" if self.drawn else ""
        self.stream.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
        self.stream.flush()
        self.drawn = len(lines)

    def lines(self) -> list[str]:
        """Return a line for each stage, and one for the whole run."""
        running: dict[str, list[str]] = {}
        for job in list(self.running.values()):
            if stage := self.stages.get(job["rule"]):
                name = f"{job['rule']} {job['what']}".strip()
                since = _clock(time.monotonic() - job["since"])
                running.setdefault(stage, []).append(f"{name} {since}{_tail(job)}")
        found = []
        for stage, total in self.total.items():
            done = self.done[stage]
            bar = "#" * (BAR * done // total)
            now = "; ".join(running.get(stage, [])) or ("done" if done == total else "")
            found.append(f"{stage:<13} [{bar:<{BAR}}] {done:>4}/{total:<4} {now}".rstrip())
        elapsed = time.monotonic() - (self.begun or time.monotonic())
        return [*found, f"{_clock(elapsed)}{self._left()}"]

    def _left(self) -> str:
        """How long the jobs that wait will take, as far as finished ones tell."""
        known = [second for seconds in self.seconds.values() for second in seconds]
        if not known or self.begun is None:
            return ""
        usual = sum(known) / len(known)
        work = sum(
            count * (sum(own) / len(own) if (own := self.seconds.get(rule)) else usual)
            for rule, count in self.waiting.items()
        )
        at_once = max(1.0, sum(known) / max(time.monotonic() - self.begun, 1.0))
        return f", about {_clock(work / at_once)} left" if sum(self.waiting.values()) else ""

    def _is_said_at_the_end(self, record: logging.LogRecord) -> bool:
        """Whether a record only says that a script ended badly, which its sentence says better."""
        return bool(self.failed) or (
            self.terminal and record.getMessage().startswith("RuleException:\nCalledProcessError")
        )

    def _above(self, record: logging.LogRecord) -> None:
        """Show a warning; the lines of the stages are drawn below it."""
        if self.drawn:
            self.stream.write(f"\x1b[{self.drawn}F\x1b[J")
            self.drawn = 0
        self.usual.handle(record)

    def _write(self, line: str) -> None:
        self.stream.write(f"{line}\n")
        self.stream.flush()


def show(manager: Any, stages: Callable[[], Mapping[str, str]]) -> None:
    """Put a `LiveHandler` in the place of Snakemake's handler for the terminal.

    Nothing changes where the user asks for another output (--quiet, --verbose, --printshellcmds,
    --logger), or where Snakemake has no such handler.
    """
    settings, logger = manager.settings, manager.logger
    usual = [found for found in logger.handlers if found.name == "DefaultStreamHandler"]
    other = settings.quiet or settings.verbose or settings.printshellcmds or settings.debug_dag
    if other or not usual:
        return
    again = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    again = again.replace("__main__.py", "snakemake", 1)
    logger.removeHandler(usual[0])
    logger.addHandler(LiveHandler(usual[0], stages, usual[0].stream, again))


def _sentence(log: Path) -> str:
    """The error that a job wrote into its log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [line.partition(" ERROR ")[2].partition(": ")[2] for line in lines if " ERROR " in line]
    return found[-1] if found else "it ended without a sentence"


def _tail(job: Mapping[str, Any]) -> str:
    """How far a job is, by the last line of its log that says so."""
    log = str(job["log"])
    try:
        if os.path.getmtime(log) < job["at"] - 1:  # of an earlier run
            return ""
        with open(log, "rb") as file:
            file.seek(max(0, os.path.getsize(log) - 2000))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    said = [line for line in lines if line.endswith(" s left")]
    if not said or said[-1].endswith(" 0 s left"):
        return ""
    return f" ({said[-1].partition('progress: ')[2]})"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
