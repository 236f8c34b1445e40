"""Settings that change how fast something is made, never what: they rerun nothing.

Jobs get them in a parameter `knobs` of its own, by a function that asks for the job's inputs:
Snakemake compares no parameter that depends on them. A script puts them back (`with_knobs`).
"""

from collections.abc import Mapping
from typing import Any

KNOBS = frozenset(
    {
        "checkpoint_seconds",
        "connections",
        "rate_limit",
        "retries",
        "timeout",
        "user_agent",
        "workers",
    }
)


def without_knobs(settings: Any) -> Any:
    """Return settings without the knobs in them, at any depth, and without what held knobs only."""
    if not isinstance(settings, Mapping):
        return settings
    kept = {key: without_knobs(value) for key, value in settings.items() if key not in KNOBS}
    return {
        key: value for key, value in kept.items() if value != {} or KNOBS.isdisjoint(settings[key])
    }


def only_knobs(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the knobs of settings, below the same keys."""
    found = {}
    for key, value in settings.items():
        if key in KNOBS:
            found[key] = value
        elif isinstance(value, Mapping) and (inner := only_knobs(value)):
            found[key] = inner
    return found


def with_knobs(settings: Mapping[str, Any], knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the knobs put back that `only_knobs` took from them."""
    whole = dict(settings)
    for key, value in knobs.items():
        whole[key] = value if key in KNOBS else with_knobs(settings.get(key, {}), value)
    return whole
