"""Progress of long work: a bar with rate and time left on a terminal, plain lines in a log."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm


Item = TypeVar("Item")

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 30
SHOWS_PROGRESS = "WOOD_LIVE"  # set where the run itself shows its progress (`wood.workflow.live`)


def progress(iterable: Iterable[Item], total: int | None, description: str) -> Iterator[Item]:
    """Yield from `iterable`, showing how far it is."""
    if sys.stderr.isatty() and SHOWS_PROGRESS not in os.environ:
        from tqdm import tqdm

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


class Transfer:
    """Progress of a file on its way, in bytes."""

    def __init__(self, description: str) -> None:
        self.description = description
        self.bar: tqdm | None = None
        self.begin(0, None)

    def begin(self, done: int, total: int | None) -> None:
        """Say how much is there already, and how much there is in all, if known."""
        self.close()
        self.done, self.total, self.at_start = done, total, done
        self.started = self.shown = time.monotonic()

    def advance(self, count: int) -> None:
        """Say that `count` more bytes have come."""
        self.done += count
        if sys.stderr.isatty() and SHOWS_PROGRESS not in os.environ:
            if self.bar is None:
                from tqdm import tqdm

                self.bar = tqdm(
                    desc=self.description,
                    initial=self.at_start,
                    total=self.total,
                    unit="B",
                    unit_scale=True,
                    dynamic_ncols=True,
                )
            self.bar.update(count)
            return
        now = time.monotonic()
        if now - self.shown >= SECONDS_BETWEEN_LINES:
            self.shown = now
            rate = max(self.done - self.at_start, 1) / (now - self.started)
            left = f", {(self.total - self.done) / rate:.0f} s left" if self.total else ""
            logger.info(
                "%s: %.0f of %s MB, %.1f MB/s%s",
                self.description,
                self.done / 1e6,
                f"{self.total / 1e6:.0f}" if self.total else "?",
                rate / 1e6,
                left,
            )

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


@contextmanager
def transferring(description: str) -> Iterator[Transfer]:
    """Yield the progress of a file; its bar goes when the file has come."""
    transfer = Transfer(description)
    try:
        yield transfer
    finally:
        transfer.close()
