"""How a run begins: its configuration is checked, and it says that it works here."""

import argparse
import difflib
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wood.runtime.errors import InputError
from wood.runtime.locks import hold_results, record_owner, remove_stale_locks
from wood.workflow import resolve as settings
from wood.workflow.checks import check
from wood.workflow.files import check_files
from wood.workflow.grids import expanded
from wood.workflow.overlays import read_overlays
from wood.workflow.review import is_pending, what_to_do
from wood.workflow.targets import Targets


def configuration(
    merged: Mapping[str, Any], given: Mapping[str, Any], files: Sequence[str | Path] = ()
) -> dict[str, Any]:
    """Return the configuration of a run: checked, complete, and in one order.

    Args:
        merged: the files, as Snakemake put them over one another.
        given: what `--config` says, which comes over them.
        files: these files, from `config.yaml` on; each says a key once.

    Raises:
        SystemExit: something is wrong with it, with a sentence that names the key.
    """
    config = settings.merge(merged, settings.typed(given))
    try:
        overlays = read_overlays(files)
        check(config)
        check_files(config)
    except InputError as error:
        raise SystemExit(f"Error: {error}") from None
    config = expanded(settings.in_order_of(config, overlays))
    settings.sort_keys(config)
    return config


def claim(results: str) -> None:
    """Say that a run works in this directory and in its results, and clear what a dead one left.

    Called before Snakemake takes its lock, which then is never without a known owner.

    Raises:
        SystemExit: a living run of another directory has the results.
    """
    if remove_stale_locks():
        print("Removed the lock of a run that was killed.", file=sys.stderr)
    record_owner()
    try:
        hold_results(results)
    except InputError as error:
        raise SystemExit(f"Error: {error}") from None


def check_scheduler(gpus: int | str, executor: Any) -> None:
    """Check that a scheduler is told how many GPUs a job asks for.

    `--config` on the command line takes the place of a profile's `config`, so a profile's `gpus`
    can be lost without a word; `auto` asks for none, and the jobs would go to nodes without GPUs.

    Args:
        gpus: of the configuration.
        executor: Snakemake's plugin.

    Raises:
        SystemExit: it runs jobs elsewhere, and `gpus` is "auto".
    """
    if gpus == "auto" and not executor.common_settings.local_exec:
        raise SystemExit(
            "Error: gpus is auto, but the jobs go to a scheduler, which has to be told how many "
            "GPUs a training asks for: add gpus=1 (or gpus=0 for none) to --config, which takes "
            "the place of the profile's."
        )


def claim_before_jobs(workflow: Any, results: str, gpus: int | str) -> None:
    """Let Snakemake's `workflow` call `check_scheduler` and `claim` when it is executed.

    Its rules are read for --lint, --list and --report too, which take nothing.
    """
    execute = workflow.execute

    def claim_and_execute(executor_plugin: Any, *arguments: Any, **named: Any) -> Any:
        check_scheduler(gpus, executor_plugin)
        claim(results)
        return execute(executor_plugin, *arguments, **named)

    workflow.execute = claim_and_execute


def warn_of_unused(config: Mapping[str, Any], files: Sequence[str | Path]) -> None:
    """Warn of classifiers and localizations that an overlay adds and that nothing uses.

    A misspelt name adds one, and the run has the settings of the right name as they were.

    Args:
        config: the checked configuration.
        files: `config.yaml` and the overlays.
    """
    known = read_overlays(files[:1])[0]
    for kind, used in settings.used(config).items():
        for name in settings.present(config[kind]):
            if name not in used and name not in known[kind]:
                near = difflib.get_close_matches(name, used, n=1)
                hint = f" Did you mean {near[0]}?" if near else ""
                print(f"Warning: no experiment uses {kind}.{name}.{hint}", file=sys.stderr)


def stages(rules: Iterable[Any]) -> dict[str, str]:
    """Return the stage of each rule, which is the name of its rule file."""
    files = {rule.name: Path(rule.snakefile) for rule in rules}
    return {name: path.stem for name, path in files.items() if path.suffix == ".smk"}


def options_of_run(arguments: Sequence[str]) -> list[str]:
    """Return the options of a command line that say which run it is: files, folders and profiles.

    Args:
        arguments: of Snakemake, without its own name.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for names in (["--snakefile", "-s"], ["--directory", "-d"], ["--profile"]):
        parser.add_argument(*names)
    parser.add_argument("--workflow-profile")
    for names in (["--configfile", "--configfiles"], ["--config", "-C"]):
        parser.add_argument(*names, nargs="+")
    found: list[str] = []
    for name, value in vars(parser.parse_known_args(arguments)[0]).items():
        values = [value] if isinstance(value, str) else value or []
        found += [f"--{name.replace('_', '-')}", *values] if values else []
    return found


def say_what_to_do(targets: Targets) -> None:
    """Say at the end of a run whether a person has to review images now, or has just done so."""
    ranking, decisions = targets.paths.ood("ranking.parquet"), targets.decisions_files()
    if not targets.is_pending or not os.path.exists(ranking):
        return
    if not is_pending(targets.config, decisions):
        print(
            "\nThe review has accepted enough: the same command without `review` goes on.",
            file=sys.stderr,
        )
        return
    options = ["--cores", "1", *options_of_run(sys.argv[1:])]
    said = what_to_do(targets.config, ranking, decisions, shlex.join(options))
    print(f"\n{said}", file=sys.stderr)


class _NothingToDo(logging.Handler):
    """Calls a function when Snakemake says that there is nothing to do; it has no hook for that."""

    def __init__(self, then: Callable[[], None]):
        super().__init__()
        self.then = then

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record."""
        if record.getMessage().startswith("Nothing to be done"):
            self.then()


def when_nothing_is_to_do(logger: logging.Logger, then: Callable[[], None]) -> None:
    """Call `then` when a run ends because all is there already.

    Args:
        logger: Snakemake's.
    """
    logger.addHandler(_NothingToDo(then))


def overlays(paths: Any) -> list[str]:
    """Return configuration files as a user names them: from the working directory."""
    return [os.path.relpath(path) for path in paths or []]
