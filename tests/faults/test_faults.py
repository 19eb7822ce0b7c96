"""Half a minute of `make test-faults`, and of what judges it: what is lost or differs is seen."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ROOT

HERE = Path(__file__).parent


@pytest.mark.slow
def test_the_quick_half_loses_nothing() -> None:
    done = subprocess.run(
        [sys.executable, HERE / "run.py", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert len(lines) >= 5
    assert {(lost, same) for _, times, lost, same in lines if int(times)} == {("0", "yes |")}
    assert {int(times) for _, times, *_ in lines} <= {1, 2}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "path", [str(HERE), *sys.path])
    for name in ("PYTHONPATH", "OMP_NUM_THREADS"):  # put back afterwards: the module sets them
        monkeypatch.setenv(name, "")
    import world

    return world


def test_a_lost_and_a_changed_row_are_seen(world: object, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    path = tmp_path / "results" / "a.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE accuracy (recipe, cell, seed, val, test, best, log_likelihood, epochs, status)")
        database.executemany(
            "INSERT INTO accuracy VALUES ('r', ?, 0, 1.5, 2.5, 2.5, NULL, 1.0, 'ok')", [(cell,) for cell in range(3)]
        )
        database.commit()
        before = world.contents(tmp_path)  # type: ignore[attr-defined]
        assert len(before.rows) == 3
        database.execute("UPDATE accuracy SET test = test + 4.5e-16 WHERE cell = 1")
        database.execute("DELETE FROM accuracy WHERE cell = 2")
        database.commit()
    after = world.contents(tmp_path)  # type: ignore[attr-defined]
    assert [key[2] for key in world.lost(before.rows, after.rows)] == [1, 2]  # type: ignore[attr-defined]
    assert len(after.differs(before)) == 3


def test_a_changed_number_in_a_file_is_seen_and_seconds_are_not(world: object, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    table, record = tmp_path / "results" / "a.csv", tmp_path / "results" / "a.json"

    def contents(val: str, seconds: int) -> object:
        table.write_text(f"cell,val,seconds\n3,{val},{seconds}\n")
        record.write_text(f'{{"parts": [{{"val": {val}, "seconds": {seconds}}}]}}')
        return world.contents(tmp_path)  # type: ignore[attr-defined]

    first = contents("1.5", 1)
    assert contents("1.5", 2).differs(first) == []  # type: ignore[attr-defined]
    assert contents("1.50000001", 1).differs(first) == ["results/a.csv", "results/a.json"]  # type: ignore[attr-defined]
