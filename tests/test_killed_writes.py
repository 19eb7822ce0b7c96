"""Killed in front of any file of what it writes, a command leaves the old, the new, or what readers pass over or tell;
repeated, it writes what one writes that nothing disturbed.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, Fork
from test_stores_refused import fill

from images import digits

pytestmark = pytest.mark.slow

PAIR = ("--benchmark", "digits-rehearsal", "--student", "1649", "--output", "out")
WRITING: dict[str, tuple[tuple[object, ...], tuple[object, ...] | None]] = {
    "scores": (
        ("bench", "export", "nwot,params", "--store", "s.sqlite", "--output", "out"),
        ("bench", "merge", "out/digits", "--store", "other.sqlite"),
    ),
    "an import": (
        ("analysis", "import", "csv", "labels.csv", "--dataset", "cifar10", "--name", "mine", "--output", "out"),
        ("analysis", "correlate", "params", "--against", "out/mine.csv.gz", "--json"),
    ),
    "a search": (
        ("search", "search", "random", "--proxy", "params", "--budget", 5, "--output", "out"),
        ("analysis", "searches", "--searches", "out", "--against", "labels.csv"),
    ),
    "a comparison": (("distill", "compare", *PAIR, "--losses", "vanilla", "--seeds", "0"), None),
    "trainings": (
        (
            *("distill", "run", "--benchmark", "digits-rehearsal", "--limit", 1, "--seeds", "0", "--workers", 1),
            *("--device", "cpu", "--store", "a.sqlite", "--output", "out"),
        ),
        ("analysis", "reliability", "--benchmark", "digits-rehearsal", "--tables", "out"),
    ),
}
SCENES = {"val": 40, "test": 60}
CIRCULAR = ("repeat", "the command you ran")


def killed_at(place: int, package: str, *words: str) -> None:
    """A command that kills itself when its file number `place` in the folder `out` is to take its place."""
    import common.files
    from images import digits

    digits.SCENES = {"val": 40, "test": 60}
    left, replace = place, os.replace

    def until_killed(source: Any, target: Any) -> None:
        nonlocal left
        if Path(target).parts[0] == "out":
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        replace(source, target)

    common.files.os.replace = until_killed  # type: ignore[assignment]
    sys.argv = [package, *words]
    common.cli.run(import_module(f"{package}.cli").app)


def written(folder: Path) -> dict[str, bytes]:
    """Without what a kill leaves of a file that had no name yet."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: data for name, data in found.items() if not Path(name).name.startswith(".")}


@pytest.mark.parametrize("old", [False, True], ids=["nothing there", "older files there"])
@pytest.mark.parametrize("what", WRITING)
def test_killed_anywhere_and_repeated_it_ends_the_same(
    command: Command, fork: Fork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, old: bool
) -> None:
    if old and what in ("an import", "a comparison"):
        pytest.skip("it does not write over what is there, or has nothing left to do")
    monkeypatch.setattr(digits, "SCENES", SCENES)
    fill(tmp_path / "s.sqlite", "nwot", "params")
    lines = "".join(f"{cell},{50 + cell}.5\n" for cell in range(12))
    (tmp_path / "labels.csv").write_text(f"cell,accuracy\n{lines}")
    words, reading = WRITING[what]
    assert command(*words).code == 0
    expected = written(tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "whole")
    place, ended = 0, -9
    while ended == -9:
        if old:
            shutil.copytree(tmp_path / "whole", tmp_path / "out")
        ended, _, error = fork(killed_at, place, *map(str, words)).end()
        if ended == -9:
            if reading is not None:
                read = command(*reading)
                assert read.code == 0 or not any(word in read.error for word in CIRCULAR)
            assert command(*words).code == 0
        assert written(tmp_path / "out") == expected, error
        shutil.rmtree(tmp_path / "out")
        place += 1
    assert ended == 0
    assert place > len(expected), "it was killed in front of each"


def test_half_a_table_is_told_with_two_ways_on(command: Command, tmp_path: Path) -> None:
    """One that another program, or a person, has left alone."""
    (tmp_path / "labels.csv").write_text("cell,accuracy\n3,71.5\n4,70\n")
    words = ("--dataset", "cifar10", "--name", "mine", "--output", "out")
    assert command("analysis", "import", "csv", "labels.csv", *words).code == 0
    (tmp_path / "out" / "mine.json").unlink()
    ended = command("analysis", "import", "csv", "labels.csv", *words)
    assert "out/mine.csv.gz is there already and is not overwritten: choose another --name, or remove it" in ended.error
    (tmp_path / "out" / "mine.csv.gz").rename(tmp_path / "out" / "digits-vanilla.csv.gz")
    ended = command("analysis", "reliability", "--tables", "out")
    assert "restore that, or remove the table and make it again" in ended.error
