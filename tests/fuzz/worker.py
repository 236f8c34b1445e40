"""The process that reads the inputs."""

import hashlib
import json
import logging
import os
import random
import re
import resource
import time
import warnings
from argparse import Namespace
from collections import Counter
from pathlib import Path

from tests.fuzz.__main__ import NOTE
from tests.fuzz.entrances import Entrance, entrances
from tests.fuzz.guard import MOST_DATA, Guard, outcome

HELD = {"read", "refused"}
SLICE = 0.5  # seconds of one entrance before it is the next one's turn


def made(entrance: Entrance, seed: int, number: int) -> bytes:
    """Return an input: the same for the same entrance, seed and number."""
    rng = random.Random(f"{entrance.name} {seed} {number}")
    pool = [*entrance.whole, *entrance.also]
    content = rng.choice(pool)
    if content in entrance.also:
        return content
    for _ in range(rng.choice([1, 1, 1, 2])):
        way = rng.choice(entrance.ways)
        try:
            content = way(rng, content)
        except Exception:  # what was changed already is no whole file for this way
            content = entrance.ways[0](rng, content)
    return content


def folder_name(entrance: Entrance) -> str:
    """Return the name of the folder of an entrance's findings."""
    return re.sub(r"\W+", "-", entrance.name)


def work(options: Namespace) -> int:
    """Read inputs of all entrances in turn until the time is over; print what came of them."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_DATA, MOST_DATA))
    logging.disable()
    warnings.simplefilter("ignore")
    os.chdir(options.inside)
    (options.inside / "needed").mkdir()
    made_all = entrances(options.inside / "needed")
    chosen = [entrance for entrance in made_all if options.only in (None, entrance.name)]
    run = Run(options.inside, options.seed, options.findings)
    for entrance in chosen:
        run.prove(entrance)
    if options.file or options.number is not None:
        [entrance] = chosen
        content = (
            options.file.read_bytes()
            if options.file
            else made(entrance, options.seed, options.number)
        )
        print(run.outcome_of(entrance, content))
        return 0
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        for entrance in chosen:
            run.turn(entrance, min(SLICE, options.seconds / len(chosen)))
    return run.say()


class Run:
    """The counts, and the findings, each kind once."""

    def __init__(self, folder: Path, seed: int, findings: Path) -> None:
        self.folder, self.seed, self.findings = folder, seed, findings
        self.guard = Guard()
        self.tried: Counter[str] = Counter()
        self.ended: dict[str, Counter[str]] = {}
        self.found: set[tuple[str, str]] = set()

    def prove(self, entrance: Entrance) -> None:
        """Read the whole files: one must be taken, so that the rest are near what is read."""
        for _ in range(2):  # the first time modules are imported
            ends = [self.outcome_of(entrance, content) for content in entrance.whole]
        assert "read" in ends, f"{entrance.name}: {ends}"
        assert set(ends) <= HELD, f"{entrance.name}: {ends}"

    def outcome_of(self, entrance: Entrance, content: bytes) -> str:
        place = self.folder / "input"
        place.mkdir(exist_ok=True)
        path = place / entrance.file
        path.write_bytes(content)
        end = outcome(self.guard, entrance.read, path, self.folder)
        for file in place.iterdir():
            if file.is_file():
                file.unlink()
        return end

    def turn(self, entrance: Entrance, seconds: float) -> None:
        """Read inputs of one entrance for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.next_of(entrance)

    def next_of(self, entrance: Entrance) -> None:
        """Read the next input of an entrance, and count what came of it."""
        number = self.tried[entrance.name]
        self.tried[entrance.name] += 1
        note = {"name": entrance.name, "number": number, "seed": self.seed}
        (self.folder / NOTE).write_text(json.dumps(note))
        content = made(entrance, self.seed, number)
        found = self.outcome_of(entrance, content)
        self.ended.setdefault(entrance.name, Counter())
        if found in HELD:
            self.ended[entrance.name][found] += 1
        else:
            self.find(entrance, number, content, found)

    def find(self, entrance: Entrance, number: int, content: bytes, end: str) -> None:
        kind = re.sub(r"\d+|'[^']*'|\"[^\"]*\"", "", end)[:60]
        if (entrance.name, kind) in self.found:
            return
        self.found.add((entrance.name, kind))
        digest = hashlib.sha256(content).hexdigest()[:8]
        folder = self.findings / folder_name(entrance)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{digest}{Path(entrance.file).suffix}"
        path.write_bytes(content)
        print(f"{entrance.name}: {end[:300]}\n  {path}; python -m tests.fuzz --seed {self.seed} "
              f"--only {entrance.name!r} --number {number}", flush=True)  # fmt: skip

    def say(self) -> int:
        """Print a line for each entrance; return 1 where something did not hold."""
        print(f"{'entrance':30} {'tried':>8} {'held':>8} {'read':>8} {'refused':>8}")
        total, held = 0, 0
        for name, tried in self.tried.items():
            ends = self.ended[name]
            total, held = total + tried, held + ends.total()
            print(f"{name:30} {tried:8} {ends.total():8} {ends['read']:8} {ends['refused']:8}")
        print(f"{'all':30} {total:8} {held:8}")
        return 1 if held < total else 0
