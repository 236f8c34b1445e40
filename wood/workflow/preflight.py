"""What a run needs, beside what this machine has: on one screen, before anything runs.

wood preflight --configfile configs/voc12.yaml
"""

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wood.review.similar import SCREEN
from wood.runtime.provenance import gpu_possible
from wood.runtime.store import read_table
from wood.workflow import costs
from wood.workflow import resolve as settings
from wood.workflow.checks import check
from wood.workflow.downloads import downloads
from wood.workflow.files import file_problems
from wood.workflow.grids import expanded
from wood.workflow.overlays import read_overlays
from wood.workflow.paths import Paths
from wood.workflow.pipeline import pipeline_file
from wood.workflow.resolve import Tree
from wood.workflow.resources import LARGEST_MB, LARGEST_MB_OF_THREAD
from wood.workflow.review import expected_looks

WIDTH = 99
PROBLEMS_SHOWN = 8


@dataclass
class Machine:
    """What a machine has.

    Attributes:
        free: bytes on the file system of the results.
        memory: bytes.
        gpus: their names, as torch finds them.
        driver: a line on the driver of the GPUs.
    """

    free: int
    memory: int
    cores: int
    gpus: list[str] = field(default_factory=list)
    driver: str = "no driver"


def this_machine(results: str | Path) -> Machine:
    """Return what this machine has for results in a folder that need not be there yet."""
    place = Path(results).absolute()
    while not place.exists():
        place = place.parent
    machine = Machine(
        free=shutil.disk_usage(place).free,
        memory=_memory(),
        cores=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
    )
    if gpu_possible():
        import torch

        machine.gpus = [
            torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())
        ]
        machine.driver = driver()
    return machine


def preflight(config: Tree, machine: Machine) -> tuple[list[str], list[str]]:
    """Return what a run needs and what is wrong, as lines for a terminal.

    Args:
        config: checked and expanded.
        machine: that the run is for.

    Returns:
        The lines of the screen without the problems, and one sentence for each problem.
    """
    gpus = _gpus(config, machine)
    stages, problems = costs.stages(config), list(file_problems(config))
    results = Paths.of(config).results
    needed = max(0.0, sum(stage.gigabytes for stage in stages) - _held(results) / 1e9)
    if needed * 1e9 > machine.free:
        problems.append(
            f"The disk of {results} has {_size(machine.free / 1e9)} free; the run needs about "
            f"{_size(needed)} more."
        )
    memory = max(LARGEST_MB, LARGEST_MB_OF_THREAD * config["threads"]["crf"])
    if machine.memory < memory * 1e6:
        problems.append(
            f"The largest job asks for {_size(memory / 1e3)} of memory; this machine has "
            f"{_size(machine.memory / 1e9)}."
        )
    if config["gpus"] != "auto" and config["gpus"] > len(machine.gpus):
        problems.append(
            f"gpus is {config['gpus']}, but {len(machine.gpus)} found ({machine.driver}); with "
            "gpus: 0 it runs on the CPU."
        )
    number = costs.images(config, "train")
    lines = [
        f"Configuration {config['dataset']}: {number} images to train on, "
        f"{costs.images(config, 'val')} of val, {len(config['seeds'])} training seed(s)",
        *(["The images to train on are not there yet: below they count nothing."] * (not number)),
        "",
        *_table(stages, machine, gpus),
        "",
        _row("disk", f"about {_size(needed)} more, {_size(machine.free / 1e9)} free"),
        _row(
            "memory", f"{_size(memory / 1e3)} the largest job, {_size(machine.memory / 1e9)} here"
        ),
        _row("processors", f"{machine.cores} cores; {_found(machine, gpus)}"),
        *_downloads(config),
        *_review(config),
    ]
    return lines, problems


def _gpus(config: Tree, machine: Machine) -> int:
    """How many GPUs a training takes here."""
    wanted = 1 if config["gpus"] == "auto" else config["gpus"]
    return min(wanted, len(machine.gpus))


def _found(machine: Machine, used: int) -> str:
    if not machine.gpus:
        return f"no GPU ({machine.driver})"
    names = ", ".join(dict.fromkeys(machine.gpus))
    return (
        f"{len(machine.gpus)} GPU(s), of which a training takes {used}: {names}; {machine.driver}"
    )


def _table(stages: Sequence[costs.Stage], machine: Machine, gpus: int) -> Iterator[str]:
    """The stages, with the disk and the time of each."""
    yield f"{'stage':<24}{'disk':>10}{'time':>12}   projections, for an empty folder"
    seconds = [stage.seconds(machine.cores, gpus) for stage in stages]
    rows = [
        (stage.name, stage.gigabytes, time) for stage, time in zip(stages, seconds, strict=True)
    ]
    rows.append(("all", sum(row[1] for row in rows), sum(seconds)))
    for name, gigabytes, time in rows:
        yield f"{name:<24}{_size(gigabytes):>10}{_time(time):>12}"


def _downloads(config: Tree) -> Iterator[str]:
    coming = downloads(config).all()
    title = "downloads"
    for download in coming:
        size = "size unknown" if download.gigabytes is None else _size(download.gigabytes)
        seconds = (download.gigabytes or 0) * 1e9 / costs.DOWNLOAD_RATE
        yield _row(title, f"{download.path}: {size}, {_time(seconds)} at 100 Mbit/s")
        title = ""
    if metadata := costs.metadata_gigabytes(config):
        seconds = metadata * 1e9 / costs.DOWNLOAD_RATE
        yield _row(title, f"labels of Open Images: {_size(metadata)}, {_time(seconds)}")
        title = ""
    if photographs := costs.photographs_to_come(config):
        rate = config["ood"]["openimages"]["rate_limit"]
        yield _row(
            title,
            f"at most {photographs:,} photographs: {_size(photographs * costs.PHOTOGRAPH / 1e9)}, "
            f"{_time(photographs / rate)} at {rate:g} a second (rate_limit)",
        )
        title = ""
    if title:
        yield _row(title, "none")


def _review(config: Tree) -> Iterator[str]:
    """What a person will have to look at."""
    ood = config["ood"]
    if ood["source"] != "openimages" or ood["review"]["policy"] != "decisions":
        yield _row("review", "none: nobody is asked")
        return
    ranking = Path(Paths.of(config).ood("ranking.parquet"))
    if ranking.exists():
        counts = list(read_table(ranking, ["class"])["class"].value_counts())
        known = "images are ranked"
    else:
        classes = len(config["classes"])
        each = round(costs.candidates(config) * costs.HARD_SHARE / classes)
        counts = [min(each, ood["cap_per_class"] or each)] * classes
        known = (
            "images at most" if ood["cap_per_class"] else "images, if one candidate in ten is hard"
        )
    looks = sum(expected_looks(count, ood["review"]["wanted"]) for count in counts)
    seconds = ood["review"]["seconds_per_image"]
    yield _row(
        "review",
        f"{sum(counts):,} {known}, about {looks:,} of them to be looked at: "
        f"{_time(looks * seconds)} at {seconds:g} s an image,",
    )
    yield _row(
        "", f"less where similar images stand on screens of up to {SCREEN} and share an answer"
    )


def _held(results: str | Path) -> int:
    """Bytes of the files that are there already."""
    return sum(
        (Path(folder) / name).lstat().st_size
        for folder, _, names in os.walk(results)
        for name in names
    )


def _memory() -> int:
    """Bytes of memory of this machine, or of its container."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):
        return total


def driver(version: str | Path = "/proc/driver/nvidia/version") -> str:
    """Return what is known of the GPUs' driver, and whether this torch can use it.

    Args:
        version: the file in which NVIDIA's says what it is.
    """
    import torch

    try:
        lines = Path(version).read_text().splitlines()
        name = f"NVIDIA's driver {next(word for word in lines[0].split() if word[0].isdigit())}"
    except (OSError, StopIteration, IndexError):
        name = "a driver of unknown version"
    if torch.version.cuda is None:
        return f"{name}; this torch has no CUDA"
    usable = "" if torch.cuda.is_available() else ", which torch cannot use: it needs one"
    return f"{name}{usable} for CUDA {torch.version.cuda}"


def _row(title: str, text: str) -> str:
    return f"{title:<12}{text}"


def _size(gigabytes: float) -> str:
    if gigabytes < 0.1:
        return f"{gigabytes * 1000:.0f} MB"
    return f"{gigabytes:.1f} GB" if gigabytes < 100 else f"{gigabytes:,.0f} GB"


def _time(seconds: float) -> str:
    for unit, length in (("days", 172_800), ("h", 5400), ("min", 90)):
        if seconds >= length:
            return f"{seconds / {'days': 86_400, 'h': 3600, 'min': 60}[unit]:.1f} {unit}"
    return f"{seconds:.0f} s"


def screen(config: Tree, machine: Machine) -> tuple[str, int]:
    """Return what is printed, and the exit status: 1 if something is missing or wrong."""
    lines, problems = preflight(config, machine)
    if problems:
        lines += ["", f"{len(problems)} missing or wrong:"]
        for problem in problems[:PROBLEMS_SHOWN]:
            wrapped = textwrap.wrap(problem, WIDTH - 2, break_long_words=False)
            lines += [("- " if number == 0 else "  ") + line for number, line in enumerate(wrapped)]
        if len(problems) > PROBLEMS_SHOWN:
            lines.append(f"- and {len(problems) - PROBLEMS_SHOWN} more")
    else:
        lines += ["", "Nothing is missing."]
    return "\n".join(lines), int(bool(problems))


def read_configuration(files: Sequence[Path]) -> dict[str, Any]:
    """Return the configuration of overlays over `config.yaml`: checked and expanded.

    Raises:
        InputError: a file is not there, or something is wrong with what it says.
    """
    base, *overlays = read_overlays([pipeline_file("config.yaml"), *files])
    config = settings.over(base, overlays)
    check(config)
    return expanded(config)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `wood preflight` takes."""
    parser.add_argument(
        "--configfile", nargs="+", type=Path, default=[], metavar="YAML", help="as of snakemake"
    )


def run(options: argparse.Namespace) -> int:
    """Print the screen; the exit status is 1 if something is missing or wrong."""
    config = read_configuration(options.configfile)
    text, status = screen(config, this_machine(Paths.of(config).results))
    print(text)
    return status
