"""Ways to hurt a command that is at work, and what is seen of it: rows lost, and whether it ends the same."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from world import DONE, Rows, Scene, Started, contents, is_there, lost, rows, run

Blow = Callable[[Started, Path], Rows | None]
"""Hurts a command that works in a folder; the rows that were there just before, None where it had ended already."""
ENDINGS = {
    signal.SIGKILL: (-signal.SIGKILL,),
    signal.SIGINT: (130, -signal.SIGINT),  # the latter before the command line has begun
    signal.SIGTERM: (143, -signal.SIGTERM),
}
LATEST = 600.0


@dataclass
class Seen:
    """What was seen of a fault."""

    times: int = 0
    lost: int = 0
    """Rows that were on disk before, and were others or gone after; and those that an undisturbed run has beside."""
    differing: list[str] = field(default_factory=list)
    """What was not as it is without the fault, once the command was repeated."""
    wrong: list[str] = field(default_factory=list)
    """Endings that are none: tracebacks, other exit codes."""
    remark: str = ""

    def ended(self, code: int, error: str, allowed: tuple[int, ...]) -> None:
        """Judge how a command has ended."""
        if code not in allowed or ("Traceback" in error and code != -signal.SIGINT):
            self.wrong.append(f"exit code {code}, not {' or '.join(map(str, allowed))}: {error.strip()[-600:]}")
        elif code > 3 and "what was finished is kept" not in error:
            self.wrong.append(f"exit code {code} without a word: {error[-300:]}")
        elif code == 1 and error.splitlines()[-1:] and not error.splitlines()[-1].startswith("error: "):
            self.wrong.append(f"exit code 1 without a reason: {error[-300:]}")

    def compare(self, before: Rows, after: Rows) -> None:
        """Count what is lost."""
        self.lost += len(lost(before, after))

    def repeated(self, scene: Scene, folder: Path, *more: str) -> None:
        """Repeat the command, and compare with what it leaves where nothing has hurt it."""
        run((*scene.words, *more), folder)
        after = contents(folder)
        self.compare(scene.ends.rows, after.rows)
        self.differing += after.differs(scene.ends)

    @property
    def fine(self) -> bool:
        """Whether nothing is lost, differs or is wrong."""
        return not self.lost and not self.differing and not self.wrong


def until(holds: Callable[[], object], started: Started) -> bool:
    """Wait until something holds; False where the command has ended before."""
    deadline = time.monotonic() + LATEST
    while not holds():
        if not started.process.is_alive() or time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def signalled(number: signal.Signals, after: float) -> Blow:
    """A signal to the driver, so many seconds after its start; Ctrl-C to its workers as well, as from a terminal."""

    def blow(started: Started, folder: Path) -> Rows | None:
        wait(started, after)
        before = rows(folder)
        if not is_there(started.pid):
            return None
        if number == signal.SIGINT:
            for worker in started.workers():
                os.kill(worker, number)
        os.kill(started.pid, number)
        return before

    return blow


def to_a_worker(number: signal.Signals, rng: random.Random, after: float, at_work: bool = False) -> Blow:
    """A signal to one of two workers, so many seconds after they are there; if `at_work`, not before a row is."""

    def blow(started: Started, folder: Path) -> Rows | None:
        known = len(rows(folder))
        until(lambda: len(started.workers()) == 2 and (not at_work or len(rows(folder)) > known), started)
        wait(started, after)
        before, there = rows(folder), started.workers()
        if not there or not is_there(started.pid):
            return None
        os.kill(rng.choice(there), number)
        return before

    return blow


def wait(started: Started, seconds: float) -> None:
    """Wait, no longer than the command is there."""
    begun = time.monotonic()
    until(lambda: time.monotonic() - begun > seconds, started)


def hurt(
    scene: Scene, blow: Callable[[], Blow], times: int, allowed: tuple[int, ...], changed: str = "", more: str = ""
) -> Seen:
    """Hurt a command again and again until it has come to its end in spite of it, and begin anew, so many times in all.

    Each time it is repeated undisturbed in the end, with an option `more`. What had ended before it could be hurt does
    not count.
    """
    seen, tries = Seen(), 0
    while seen.times < times and tries < 4 * times:
        folder, ended = scene.begun(), False
        while not ended and seen.times < times:
            started = Started(scene.words, folder, changed)
            before = blow()(started, folder)
            code, error = started.end()
            seen.ended(code, error, (*allowed, *DONE))
            seen.compare(before or {}, rows(folder))
            seen.times += before is not None
            tries, ended = tries + 1, code in DONE
        seen.repeated(scene, folder, *filter(None, [more]))
        shutil.rmtree(folder)
    return seen


def random_signals(scene: Scene, number: signal.Signals, rng: random.Random, times: int, changed: str = "") -> Seen:
    """Hurt a command by a signal at random moments, and go on from there."""
    return hurt(scene, lambda: signalled(number, rng.uniform(0, scene.seconds)), times, ENDINGS[number], changed)
