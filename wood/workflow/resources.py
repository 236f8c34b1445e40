"""What jobs ask a scheduler for."""

from collections.abc import Callable
from typing import Any

from wood.workflow.functions import with_signature

# The largest `mem_mb` of the rules: of a training, and of a thread with dense CRFs.
LARGEST_MB = 6000
LARGEST_MB_OF_THREAD = 1500


def memory(megabytes: int, per_thread: bool = False) -> Callable[..., int]:
    """Return the `mem_mb` of a rule: twice as much for a job that failed before (see profiles/)."""

    @with_signature
    def of_attempt(wildcards: Any, threads: int, attempt: int) -> int:
        return megabytes * attempt * (threads if per_thread else 1)

    return of_attempt


def asks(
    megabytes: int, minutes: int, *, per_thread: bool = False, **others: int
) -> dict[str, Any]:
    """Return the `resources` of a rule: memory, run time and others, such as `gpu`.

    Args:
        megabytes: of memory, for each thread with `per_thread`.
        minutes: after which a scheduler may end the job.
    """
    return {"mem_mb": memory(megabytes, per_thread), "runtime": minutes, **others}
