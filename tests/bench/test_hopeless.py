"""A proxy that fails everywhere ends the run and says why; one that fails here and there is told of at the end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Command

FILE = """
from dataclasses import dataclass
from proxies.base import NotApplicable, Proxy, Reference

def inner(student):
    {does}

@dataclass(frozen=True)
class Mine(Proxy):
    name = "mine"
    family = "test"
    needs = ("forward",)
    sees = "cell"
    reference = Reference("A title", 2024, "", "")

    def score(self, student, teacher):
        return inner(student)
"""
WORDS = ("--module", "mine.py", "--workers", 1, "--store", "s.sqlite")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_pool")]


def count(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "s.sqlite")) as database:
        return int(database.execute("SELECT COUNT(*) FROM score").fetchone()[0])


def write(folder: Path, does: str) -> None:
    (folder / "mine.py").write_text(FILE.replace("{does}", does))


def test_a_proxy_whose_first_passes_all_fail_ends_the_run(tmp_path: Path, command: Command) -> None:
    write(tmp_path, "return student.logits @ student.pooled")
    ended = command("bench", "run", "mine", *WORDS, "--limit", 100)
    assert ended.code == 1
    assert " passes of mine all failed: " in ended.error
    assert "error: RuntimeError: mat1 and mat2 shapes cannot be multiplied" in ended.error
    assert "(mine.py:6)" in ended.error, "the line of the user's, not PyTorch's"
    assert 20 <= count(tmp_path) < 100
    shown = ended.error.split("`python -m bench show ")[1].split("`")[0]
    found = command("bench", "show", *shown.split(" "))
    assert found.code == 0
    assert "mine.py:6" in found.out


@pytest.mark.parametrize("does", ["raise NotApplicable('never')", "return float('nan')"])
def test_what_a_formula_says_of_all_cells_ends_no_run(does: str, tmp_path: Path, command: Command) -> None:
    write(tmp_path, does)
    ended = command("bench", "run", "mine", *WORDS, "--limit", 40)
    assert ended.code == 3
    assert count(tmp_path) == 40


def test_one_success_is_enough_to_go_on(tmp_path: Path, command: Command) -> None:
    write(tmp_path, "return 1.0 if student.cell.index % 5 == 0 else 1 / 0")
    ended = command("bench", "run", "mine", *WORDS, "--limit", 60)
    assert ended.code == 3
    assert count(tmp_path) == 60
    write(tmp_path, "return 1.0 if student.cell.index % 5 == 0 else 1 / 0  # as before")
    ended = command("bench", "run", "mine", *WORDS, "--limit", 60, "--retry")
    assert ended.code == 3, "the scores that are stored are a success as well"


def test_the_last_line_names_a_cell_and_the_commonest_reason(tmp_path: Path, command: Command) -> None:
    write(
        tmp_path,
        "return float(student.cell.index) if student.cell.index in (1, 2) else [][int(student.cell.index > 5)]",
    )
    (tmp_path / "cells.txt").write_text("1\n2\n3\n4\n5\n")
    ended = command("bench", "run", "mine", *WORDS, "--cells", "cells.txt")
    assert ended.code == 3
    last = ended.err.splitlines()[-1]
    assert last.startswith("3 have no score, 3 of them error: IndexError: list index out of range (mine.py:6) (`")
    assert "--store s.sqlite --module mine.py` shows one); --retry tries again" in last
    cell = last.split("bench show ")[1].split(" ")[0]
    assert cell in ("3", "4", "5")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("does", "status"), [("os.kill(os.getpid(), 9)", "error"), ("time.sleep(10**6)", "timeout")])
def test_a_proxy_that_costs_a_worker_each_time_is_given_up_after_a_few(
    does: str, status: str, workers: int, tmp_path: Path, command: Command
) -> None:
    write(tmp_path, f"import os, time; open('tries', 'a').write('x'); {does}")
    words = ("--module", "mine.py", "--workers", workers, "--store", "s.sqlite", "--limit", 100, "--timeout", 1)
    ended = command("bench", "run", "mine,params", *words)
    assert ended.code == 1
    assert ended.error.startswith("the first 5 passes of mine all failed: 5 of them " + status)
    tries = len((tmp_path / "tries").read_text())
    assert tries <= 24, "in company, apart, and alone"


def test_who_kills_its_worker_at_one_cell_costs_that_cell_alone(tmp_path: Path, command: Command) -> None:
    write(tmp_path, "import os; return os.kill(os.getpid(), 9) if student.cell.index == 3 else 1.0")
    (tmp_path / "cells.txt").write_text("".join(f"{cell}\n" for cell in range(20)))
    words = ("--module", "mine.py", "--workers", 2, "--store", "s.sqlite", "--cells", "cells.txt")
    ended = command("bench", "run", "mine,params", *words)
    assert ended.code == 3
    assert "39 of 40 scores" in ended.out
    assert "20 of 20 passes" in ended.err
    assert "1 of them error: the worker process died twice on this task" in ended.err


@pytest.mark.parametrize("cells", [1, 19])
def test_few_cells_that_all_fail_are_told_with_file_and_line(cells: int, tmp_path: Path, command: Command) -> None:
    write(tmp_path, "return [][1]")
    ended = command("bench", "run", "mine", *WORDS, "--limit", cells)
    assert ended.code == 3
    assert f"0 of {cells} scores" in ended.out
    said = f"{cells} have no score, {cells} of them error: IndexError: list index out of range (mine.py:6) (`python -m"
    assert ended.err.splitlines()[-1].startswith(said)


def test_a_place_in_this_projects_code_is_told_where_the_proxy_has_none(tmp_path: Path) -> None:
    from bench.checks.judge import judge
    from proxies.registry import create

    score, status, reason = judge(create("nwot"), None, None)  # type: ignore[arg-type]
    assert (score, status) == (None, "error")
    assert reason.startswith("AttributeError: ")
    assert reason.endswith(")")
    assert "(nwot.py:" in reason
