"""Progress of long work: a bar with rate and time left on a terminal, plain lines in a log."""

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30


def progress(iterable: Iterable[Item], total: int | None, description: str) -> Iterator[Item]:
    """Yield from `iterable`, showing how far it is."""
    if sys.stderr.isatty():
        yield from tqdm(iterable, total=total, desc=description, dynamic_ncols=True)
        return
    started = shown = time.monotonic()
    for done, item in enumerate(iterable, start=1):
        yield item
        now = time.monotonic()
        if now - shown >= SECONDS_BETWEEN_LINES or done == total:
            shown = now
            rate = done / max(now - started, 1e-9)
            left = f", {(total - done) / rate:.0f} s left" if total else ""
            logger.info("%s: %d of %s, %.2f/s%s", description, done, total or "?", rate, left)
