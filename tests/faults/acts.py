"""What a process does that is to be hurt: a command of the project, on a world that is changed before it starts."""

from __future__ import annotations

import datetime
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import forked

from common.entry import interrupted, start

WORKERS = "workers"
"""The file in which the workers of a command are listed."""
FULL = 40_000
"""Bytes of a file where there is no room for more."""
_listed = Path()


class Noted(forked.CONTEXT.Process):  # type: ignore[name-defined, misc]
    """A worker of a command, of which a bystander knows."""

    def start(self) -> None:
        """Start it and note its number."""
        super().start()
        with _listed.open("a") as file:
            file.write(f"{self.pid}\n")


class _Context:
    """Workers start as their driver did."""

    Pipe = staticmethod(forked.CONTEXT.Pipe)
    Process = Noted

    @staticmethod
    def set_forkserver_preload(names: list[str]) -> None:
        """What workers are forked from runs already, and has imported what they need."""


def command(said: Path, changed: str, package: str, *words: str) -> None:
    """Do what `python -m PACKAGE WORDS` does."""
    try:
        prepare(said, changed)
        sys.argv = [package, *words]
        start(f"{package}.cli")
    except KeyboardInterrupt:
        sys.exit(interrupted())  # as a command that is told to stop while it is imported


def prepare(said: Path, changed: str) -> None:
    """Make the world of a command small, list its workers, and do to it what is to be changed."""
    global _listed
    import common.crew
    from analysis.stats import bootstrap
    from images import digits

    forked.as_it_came()
    _listed = said / WORKERS
    digits.SCENES = {"val": 40, "test": 60}
    bootstrap.RESAMPLES = 200
    common.crew.multiprocessing.get_context = lambda _: _Context  # type: ignore[attr-defined]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs this in the background is deaf to it
    CHANGES[changed]()


def nothing() -> None:
    """All is as it was."""


def no_room() -> None:
    """No file grows beyond a few pages, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def clock_backwards() -> None:
    """It is another day each time somebody asks, some time before the last."""
    start, asked, real = random.Random(os.getpid()).uniform(0, 2e9), 0, datetime.datetime

    def now() -> float:
        nonlocal asked
        asked += 1
        return start - 90_000 * asked

    class Backwards(real):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: Any = None) -> datetime.datetime:
            return real.fromtimestamp(now(), tz)

    time.time = now
    datetime.datetime = Backwards  # type: ignore[misc]


CHANGES: dict[str, Callable[[], None]] = {"": nothing, "no room": no_room, "clock": clock_backwards}


def make_world(folder: Path) -> None:
    """A folder with labels, images, proxies that do harm where they are told to, and no scores."""
    import shutil

    from folder_files import write_folder
    from small_results import CELLS, small_results

    small_results(folder / "results")
    for name in ("scores/digits", "tables", "figures"):
        shutil.rmtree(folder / "results" / name)
    (folder / "cells.txt").write_text("".join(f"{cell}\n" for cell in CELLS))
    lines = "".join(f"{cell},{50 + at}.5\n" for at, cell in enumerate(CELLS))
    (folder / "labels.csv").write_text(f"cell,accuracy\n{lines}")
    write_folder(folder / "own", {"a": 40, "b": 40})
    (folder / "birds.py").write_text(_BIRDS)
    (folder / "harm.py").write_text(_HARM.replace("CELL", str(CELLS[7])))


_BIRDS = """
from bench.benchmarks import of_images
BIRDS = of_images("birds", "folder:own", channels=4, cells_per_stage=1, batch=8)
"""
_HARM = '''
"""A proxy that does harm at one cell, as long as a file says what."""

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from proxies.base import Proxy, Reference


def hang():
    while True:
        time.sleep(1000)


def leave():
    os._exit(0)


def eat():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, before[1]))
    try:
        held = []
        while True:
            held.append(bytearray(2**22))
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@dataclass(frozen=True)
class Harm(Proxy):
    name = "harm"
    family = "test"
    needs = ("forward",)
    sees = "cell"
    reference = Reference("A title", 2024, "", "")

    def score(self, student, teacher):
        if student.cell.index == CELL and Path("harm").exists():
            {"hang": hang, "leave": leave, "eat": eat}[Path("harm").read_text()]()
        return student.logits.std().item()
'''
