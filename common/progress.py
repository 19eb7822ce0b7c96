"""One progress bar for long work: rate, time left, failures. Not a terminal: a line now and then. On standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType

LINE_EVERY = 15.0
"""Seconds between lines when standard error is not a terminal."""

ASKED_EVERY = 1.0
"""Seconds at least between two questions for what stands beside the rate."""
RARELY = 200
"""How many times longer than a question took the next one waits: together they take half a percent of the time."""

Live = Callable[[Mapping[int, float]], str]
"""What a long work says meanwhile of the numbers it has so far, by cell."""


class Progress:
    """A `Progress` shows how far a long work is, in a `with` block.

    `with Progress("diswot", total=5044, unit="passes") as bar: bar.advance(1, failed=0)`.
    """

    def __init__(self, title: str, total: int, unit: str, beside: Callable[[], str] | None = None) -> None:
        """`beside` says what is to stand beside the rate; it is asked so seldom that it takes no time to speak of."""
        self.title = title
        self.total = total
        self.unit = unit
        self.done = 0
        self.failed = 0
        self._beside = beside
        self._said, self._ask_at = "", 0.0

    def __enter__(self) -> Progress:
        self._start = self._last = time.monotonic()
        self._bar = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[failures]}"),
                TextColumn("{task.fields[beside]}"),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task(self.title, total=self.total, rate="", failures="", beside="")
        return self

    def advance(self, count: int, failed: int = 0) -> None:
        """Count `count` units more as done, and `failed` of what they made as without a number."""
        self.done += count
        self.failed += failed
        now = time.monotonic()
        rate = self.done / max(now - self._start, 1e-9)
        failures = f"{self.failed} failed" if self.failed else ""
        if self._bar is not None:
            text = f"{rate:.1f} {self.unit}/s"
            self._bar.update(self._task, completed=self.done, rate=text, failures=failures, beside=self._told())
        elif self.done and now - self._last >= LINE_EVERY:  # there is no rate to tell before
            self._last = now
            left = (self.total - self.done) / rate
            line = f"{self.title}: {self.done}/{self.total}, {rate:.1f} {self.unit}/s, {left:.0f} s left"
            print(", ".join(filter(None, (line, failures, self._told()))), file=sys.stderr, flush=True)

    def _told(self) -> str:
        """What is to stand beside, as it was lately."""
        start = time.monotonic()
        if self._beside is not None and start >= self._ask_at:
            self._said = self._beside()
            end = time.monotonic()
            self._ask_at = end + max(ASKED_EVERY, RARELY * (end - start))
        return self._said

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        seconds = time.monotonic() - self._start
        print(f"{self.title}: {self.done} of {self.total} {self.unit} in {seconds:.1f} s", file=sys.stderr, flush=True)
