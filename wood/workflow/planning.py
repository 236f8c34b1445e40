"""What Snakemake works out anew for each of thousands of jobs, worked out once.

No plan changes. What a version of Snakemake has not is left as it is: it then takes longer.
"""

import atexit
import gc
import io
from collections.abc import Iterable
from functools import cache
from typing import Any

from wood.workflow.functions import with_signature


def collect_garbage_seldom() -> None:
    """Let Python look for cycles less often: planning makes a million objects that all stay.

    At the end of the process, where they all go, it need not look at them either.
    """
    gc.freeze()
    gc.set_threshold(1_000_000, 20, 20)
    atexit.register(gc.freeze)


def read_scripts_once(source_cache: Any) -> None:
    """Let Snakemake find and read each script once, and not for each job that it is run for.

    Args:
        source_cache: Snakemake's. It copies a source when it is first asked for it, and a run
            takes the copy, so what is kept here is what was kept anyway.
    """
    if not hasattr(source_cache, "_cache"):
        return
    source_cache._cache = cache(source_cache._cache)
    opened = source_cache.open

    @cache
    def text(source_file: Any) -> str:
        with opened(source_file) as file:
            return file.read()

    def open_once(source_file: Any, mode: str = "r") -> Any:
        return io.StringIO(text(source_file)) if mode == "r" else opened(source_file, mode)

    source_cache.open = open_once


def know_signatures(rules: Iterable[Any]) -> None:
    """Put signatures beside the functions by which Snakemake evaluates the resources of `rules`."""
    for rule in rules:
        for resource in rule.resources.values():
            if getattr(resource, "_evaluator", None) is not None:
                with_signature(resource._evaluator)
            if hasattr(type(resource), "evaluate"):
                with_signature(type(resource).evaluate)
