"""A results folder, the commands that fill it, and what lies in it, less what no two runs have alike."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PLACES = [str(HERE), str(HERE.parent / "support"), str(HERE.parents[1])]
sys.path[:0] = [place for place in PLACES if place not in sys.path]
os.environ["PYTHONPATH"] = os.pathsep.join(PLACES)  # of the process from which all others are forked
os.environ["OMP_NUM_THREADS"] = "1"

import acts  # noqa: E402
import forked  # noqa: E402

from common.crew import without_main  # noqa: E402

Words = tuple[str, ...]
Rows = dict[tuple[Any, ...], tuple[Any, ...]]
RUN = ("bench", "run", "diswot,nwot", "--seeds", "0-1", "--cells", "cells.txt", "--workers", "2")
PUBLISHED = "diswot,nwot,params,snip"
PAIR = ("--benchmark", "digits-rehearsal", "--student", "1649", "--device", "cpu")
COMMANDS: dict[str, Words] = {
    "bench run": RUN,
    "bench run, one process": (*RUN[:2], "params,snip", *RUN[3:-1], "1"),
    "search": ("search", "search", "evolve,random", "--proxy", "nwot", "--budget", "30", "--runs", "3"),
    "search student": (
        *("search", "student", "--benchmark", "digits-rehearsal", "--proxy", "params", "--max-params", "20k"),
        *("--budget", "30", "--seeds", "0-1", "--device", "cpu"),
    ),
    "bench export": ("bench", "export", PUBLISHED),
    "bench merge": ("bench", "merge", "results/scores/digits", "--store", "results/store/other.sqlite"),
    "distill run": (
        *("distill", "run", "--benchmark", "digits-rehearsal", "--limit", "3", "--seeds", "0", "--workers", "2"),
        *("--device", "cpu"),
    ),
    "distill process": ("distill", "process", *PAIR, "--transforms", "T1", "--output", "results/processes/one.json"),
    "distill compare": ("distill", "compare", *PAIR, "--losses", "vanilla,kd", "--seeds", "0-1"),
    "analysis tables": ("analysis", "tables"),
    "analysis figures": ("analysis", "figures"),
    "analysis report": ("analysis", "report"),
}
"""In the order of what reads what; each ends the same however often it is repeated."""
READING: dict[str, Words] = {
    "bench status": ("bench", "status", "--json"),
    "analysis correlate": ("analysis", "correlate", "nwot", "--against", "labels.csv", "--json"),
}
DONE = (0, 3)
"""Exit codes of a command that has come to its end; with 3 some cells have no finite score."""


class Started:
    """A command in a process of its own."""

    def __init__(self, words: Sequence[str], folder: Path, changed: str = "") -> None:
        self.words = words
        self._said = Path(tempfile.mkdtemp(dir=folder.parent))
        with without_main():
            arguments = (self._said, changed, *words)
            self._forked = forked.start(acts.command, arguments, folder, self._said)
        self.process = self._forked.process
        self.pid = int(self.process.pid or 0)

    def workers(self) -> list[int]:
        """Those that were started so far and are there."""
        listed = self._said / acts.WORKERS
        return [int(pid) for pid in listed.read_text().split() if is_there(int(pid))] if listed.exists() else []

    def end(self) -> tuple[int, str]:
        """Exit code and what was said on standard error, once neither it nor a worker of it is there any more."""
        code, _, error = self._forked.end()
        deadline = time.monotonic() + 600
        while self.workers() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not self.workers(), f"{' '.join(self.words)} has ended and left processes behind"
        shutil.rmtree(self._said)
        return code, error


def is_there(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def run(words: Sequence[str], folder: Path) -> None:
    """Run a command to its end, undisturbed."""
    code, error = Started(words, folder).end()
    assert code in DONE, f"{' '.join(words)} ended with {code}: {error}"


# -- what lies in a folder


@dataclass(frozen=True)
class Contents:
    """All that a folder holds: the rows of its stores, and its files without times."""

    rows: Rows
    files: dict[str, bytes]

    def differs(self, other: Contents) -> list[str]:
        """What of it is missing in the other or differs there, or is there alone."""
        of_files = [name for name in self.files | other.files if self.files.get(name) != other.files.get(name)]
        return [*map(str, lost(self.rows, other.rows)), *map(str, lost(other.rows, self.rows)), *sorted(of_files)]


def lost(before: Rows, after: Rows) -> list[tuple[Any, ...]]:
    """The rows of before that are not there after, or are others."""
    return [key for key, row in before.items() if after.get(key) != row]


QUERIES = {
    "score": (
        "SELECT s.fingerprint, s.benchmark, s.proxy, c.seed, c.cell, c.score, c.status, c.reason "
        "FROM score c JOIN setting s ON s.id = c.setting",
        5,
    ),
    "accuracy": (
        "SELECT recipe, cell, seed, val, test, best, log_likelihood, epochs, status FROM accuracy",
        3,
    ),
}
"""By the table of a store: its rows, and how many columns are their keys. Floats are read as they are."""


def rows(folder: Path) -> Rows:
    """The rows of all stores under a folder, as a bystander reads them."""
    return {
        (path.name, *key): row
        for path in sorted(folder.rglob("*.sqlite"))
        for table, (query, keys) in QUERIES.items()
        for key, row in _rows(path, table, query, keys)
    }


def _rows(path: Path, table: str, query: str, keys: int) -> list[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    # read-only: who closes a store last writes its log into it, which here is for the program to do
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=600, uri=True)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            return []
        return [(row[:keys], row[keys:]) for row in database.execute(query)]


def contents(folder: Path) -> Contents:
    """What lies in a folder, less what killed commands leave in passing and times."""
    names = [path for path in sorted((folder / "results").rglob("*")) if path.is_file() and not _passing(path)]
    return Contents(rows(folder), {str(path.relative_to(folder)): timeless(path) for path in names})


def _passing(path: Path) -> bool:
    return path.name.startswith(".") or ".sqlite" in path.name or path.parent.name == "checkpoints"


TIMES = ("seconds", "sha256")
"""What a command took, and hashes of files in which that stands."""


def timeless(path: Path) -> bytes:
    """The content of a file without what it took to make it."""
    data = path.read_bytes()
    if path.suffix == ".json":
        return json.dumps(_without_times(json.loads(data))).encode()
    if path.name.endswith((".csv", ".csv.gz")):
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        lines = [{name: row[name] for name in row if name not in TIMES} for row in csv.DictReader(io.StringIO(text))]
        return json.dumps(lines).encode()
    return data


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(part) for name, part in value.items() if name not in TIMES}
    return [_without_times(part) for part in value] if isinstance(value, list) else value


# -- the undisturbed


@dataclass(frozen=True)
class Scene:
    """A command, the folder in which it begins, what lies there once it has ended, and how long that takes."""

    words: Words
    begins: Path
    ends: Contents
    seconds: float

    def begun(self) -> Path:
        """A folder of its own in which it can begin."""
        folder = Path(tempfile.mkdtemp(dir=self.begins.parent)) / "world"
        shutil.copytree(self.begins, folder)
        return folder


def prepare(place: Path) -> Path:
    """A folder in which nothing was run yet."""
    forked.CONTEXT.set_forkserver_preload(["torch", "torch._dynamo", "pandas", "scipy.stats", "warm", "acts"])
    (place / "new").mkdir()
    acts.make_world(place / "new")
    run(("bench", "list", "--json"), place / "new")  # from here on a command starts at once, and can be timed
    return place / "new"


def played(begins: Path, words: Words, place: Path) -> tuple[Scene, Path]:
    """The scene of a command, and the folder in which it has ended, undisturbed."""
    folder = place / "world"
    shutil.copytree(begins, folder)
    start = time.monotonic()
    run(words, folder)
    return Scene(words, begins, contents(folder), time.monotonic() - start), folder


def scenes(begins: Path, names: Sequence[str]) -> dict[str, Scene]:
    """Those of commands, each beginning where the one before has ended."""
    found, place = {}, begins.parent
    for name in names:
        found[name], begins = played(begins, COMMANDS[name], Path(tempfile.mkdtemp(dir=place)))
    return found
