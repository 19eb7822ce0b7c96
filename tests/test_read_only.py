"""Every command that reads a store reads it on a file system that nobody can write to, and the others say so."""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from conftest import Fork
from filled import DIGITS, fill

from analysis.read.columns import counted

NEW_NAMESPACE, BIND, REMOUNT, READ_ONLY, PRIVATE = 0x20000, 4096, 32, 1, 0x40000 | 0x4000
UNABLE = 77
"""Exit code of a process that may mount nothing."""
READING = {
    "status": ("bench", "status"),
    "show": ("bench", "show", "5"),
    "diff": ("bench", "diff", "other.sqlite", "params"),
    "export": ("bench", "export", "params", "--output", "out"),
    "verify": ("bench", "verify", "params", "--sample", "2"),
    "correlate": ("analysis", "correlate", "nwot", "--against", "labels.csv", "--figures", "figures"),
}
"""By name; each gets `--store`."""
WRITING = {
    "run": ("bench", "run", "params", "--limit", "3", "--workers", "1"),
    "merge": ("bench", "merge", "other.sqlite"),
    "search": ("search", "search", "random", "--proxy", "params", "--runs", "1", "--budget", "5"),
}


def freeze(folder: Path) -> None:
    """Let nobody write to a folder, for this process and its children. Ends the process where that is forbidden."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.fsencode(folder)
    steps = (
        lambda: libc.unshare(NEW_NAMESPACE),
        lambda: libc.mount(None, b"/", None, PRIVATE, None),
        lambda: libc.mount(place, place, None, BIND, None),
        lambda: libc.mount(None, place, None, BIND | REMOUNT | READ_ONLY, None),
    )
    if any(step() for step in steps):
        os._exit(UNABLE)


def said(words: tuple[str, ...]) -> int:
    """The exit code of a command in this process."""
    import common.cli

    sys.argv = [*words]
    try:
        common.cli.run(import_module(f"{words[0]}.cli").app)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def all_of_them(store: str) -> None:
    """Try every command on a store of a folder that is frozen, and print how each ends."""
    freeze(Path("frozen"))
    before = sorted(os.listdir("frozen"))
    for name, words in (READING | WRITING).items():
        print(f"== {name}: {said((*words, '--store', store))}", flush=True)
    print(f"== merge from: {said(('bench', 'merge', store, '--store', 'mine.sqlite'))}", flush=True)
    print(f"== unchanged: {sorted(os.listdir('frozen')) == before}")


def make(folder: Path) -> None:
    """A store, and one whose run was killed, so that its latest row stands in its log alone."""
    cells = pd.Index(range(40))
    scores = {int(cell): float(score) for cell, score in counted("params", DIGITS, cells).items()}
    fill(folder / "other.sqlite", "params", 0, scores)
    (folder / "labels.csv").write_text("cell,accuracy\n" + "".join(f"{cell},{50 + cell}\n" for cell in scores))
    (folder / "frozen").mkdir()
    fill(fill(folder / "frozen/plain.sqlite", "params", 0, scores), "nwot", 0, scores)
    path = fill(folder / "work.sqlite", "params", 0, {cell: scores[cell] for cell in range(39)})
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(
            "INSERT INTO score SELECT setting, seed, 39, ?, status, reason, run FROM score LIMIT 1", [scores[39]]
        )
        for ending in ("", "-wal"):
            shutil.copy(f"{path}{ending}", folder / f"frozen/log.sqlite{ending}")


@pytest.fixture(params=["plain", "log"])
def tried(request: pytest.FixtureRequest, tmp_path: Path, fork: Fork) -> tuple[str, dict[str, str], str, str]:
    """Which store, how each command ended by its name, output and errors."""
    make(tmp_path)
    code, out, err = fork(all_of_them, f"frozen/{request.param}.sqlite").end()
    if code == UNABLE:
        pytest.skip("this system lets nobody mount a folder")
    assert "Traceback" not in err
    ends = dict(line.removeprefix("== ").split(": ") for line in out.splitlines() if line.startswith("== "))
    assert ends.pop("unchanged") == "True"
    return request.param, ends, out, err


@pytest.mark.slow
def test_what_reads_needs_no_right_to_write(tried: tuple[str, dict[str, str], str, str]) -> None:
    store, ends, out, err = tried
    refused = (
        f"error: the store frozen/{store}.sqlite is read-only: make it writable, or name another file with --store"
    )
    assert err.count(refused) == len(WRITING)
    reading = {name: ends[name] for name in (*READING, "merge from")}
    assert {ends[name] for name in WRITING} == {"1"}
    if store == "plain":
        assert set(reading.values()) == {"0"}, err
        assert "params: 2 rows scored again, 0 differ" in out
        assert "frozen/plain.sqlite: 80 scores and 0 cells without one added to mine.sqlite" in out
    else:  # SQLite cannot read a log where it can make no index of it, and a copy made meanwhile may be of two moments
        assert set(reading.values()) == {"1"}, err
        said = "error: cannot open the store frozen/log.sqlite (unable to open database file): copy it, and "
        assert err.count(f"{said}log.sqlite-wal with it, to where you may write") == len(reading)
