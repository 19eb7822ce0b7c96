"""One progress bar for long work: rate, time left, failures. Not a terminal: a line now and then. On standard error.

And an end to a process whose work makes none.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

LINE_EVERY = 15.0
"""Seconds between lines when standard error is not a terminal."""

ASKED_EVERY = 1.0
"""Seconds at least between two questions for what stands beside the rate."""
RARELY = 200
"""How many times longer than a question took the next one waits: together they take half a percent of the time. The
first question is not counted, as it loads what it asks with."""

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
        self._said, self._ask_at, self._asked = "", 0.0, False

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
            self._ask_at = end + (max(ASKED_EVERY, RARELY * (end - start)) if self._asked else ASKED_EVERY)
            self._asked = True
        return self._said

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        seconds = time.monotonic() - self._start
        print(f"{self.title}: {self.done} of {self.total} {self.unit} in {seconds:.1f} s", file=sys.stderr, flush=True)


PATIENCE = 600.0
"""Seconds that a pass may take where nothing else is said: three passes of paper size, for 44 proxies, took 168."""
_under_way: tuple[float, Callable[[], str]] | None = None
"""Since when something has been under way, and what."""


@contextmanager
def under_way(what: Callable[[], str]) -> Iterator[None]:
    """Others' code is at work within the block, which may not come back."""
    global _under_way
    _under_way = (time.monotonic(), what)
    try:
        yield
    finally:
        _under_way = None


@contextmanager
def ended_without_progress() -> Iterator[None]:
    """This process ends with a line where something is under way for longer than `PATIENCE`: nobody can take it back.

    A worker is ended by its driver instead, which goes on.
    """
    done = threading.Event()

    def watch() -> None:
        while not done.wait(PATIENCE / 100):
            begun, what = _under_way or (time.monotonic(), str)
            if time.monotonic() - begun > PATIENCE:
                print(
                    f"error: {what()} has not come back within {PATIENCE:g} seconds: what was finished is kept; "
                    "`bench run --timeout SECONDS` gives such a pass up and goes on",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(1)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        done.set()
        watching.join()  # or it may be met by the interpreter's end
