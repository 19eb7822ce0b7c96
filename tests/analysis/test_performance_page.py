"""docs/performance.md says what files of rates, runs and costs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.pages.performance import MARKS, block, in_short, whole_page
from bench.measure import growth
from bench.measure.cost import Cost, Costs
from bench.measure.cost import write as write_costs
from bench.measure.lower_bound import Work
from bench.measure.speed import Distance, Speed, Speeds
from bench.measure.speed import write as write_speeds
from common.errors import BadInput

MADE = {"workers": 2, "device": "cpu", "torch": "2.13.0+cpu", "commit": "0123456789abcdef"}
SHARES = {
    "convolutions": 0.5, "batch norms": 0.25, "ReLUs": 0.1, "sums": 0.05, "pools": 0.04, "other": 0.06,
}  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    families = [Speed("diswot", 0.96, 0.06, 5000), Speed("snip,fisher", 1.2, 0.24, 5000)]
    distances = [Distance("diswot", 0.06, Work(0.03, 0.01), SHARES)]
    for folder in ("speed", "costs"):
        (tmp_path / folder).mkdir()
    write_speeds(Speeds(families, 0.118, Work(168e9, 31e9), distances), "cifar100", MADE, tmp_path / "speed")
    runs = [growth.Growth(1000, 64, 7.04, 1370.2), growth.Growth(15625, 64, 22.5, 1447)]
    growth.write(runs, "digits", MADE | {"proxies": "diswot"}, tmp_path / "speed")
    growth.write(runs[:1], "digits-ray", MADE | {"proxies": "nwot", "executor": "ray"}, tmp_path / "speed")
    each = [Cost(f"p{number:02}", number / 100, float(number)) for number in range(13)]
    write_costs(Costs(each, Cost("all", 0.4, 40)), "digits", {}, tmp_path / "costs")
    return tmp_path


@pytest.mark.slow
def test_the_tables_are_of_the_files(results: Path) -> None:
    said = block(results)
    lines = said.splitlines()
    assert "| diswot | 250 | 5.0 | 50.0 |" in lines
    assert "| snip, fisher | 312 | 20.0 | 15.6 |" in lines
    assert "| diswot | 60 | 30 | 10 | 2.00 | 1.50 | 0.50 | 0.25 | 0.10 | 0.05 | 0.04 | 0.06 |" in lines
    assert "(168 billion multiply-adds and 31 GB a second)" in said
    assert "2 workers are 1.97 times as fast as one" in said
    assert "| 15,625 | 64 | 22.5 | 1,447 |" in lines
    assert said.count("| 1,000 | 64 | 7.0 | 1,370 |") == 2
    assert "`digits-ray`, `python -m bench growth`: whole runs of nwot" in said
    assert "a Ray cluster, cpu, torch 2.13.0+cpu, commit 0123456." in said


@pytest.mark.slow
def test_of_costs_the_dearest_are_shown(results: Path) -> None:
    said = block(results)
    assert [line.split(" | ")[0] for line in said.splitlines() if line.startswith("| p")][-10:] == [
        f"| p{number:02}" for number in range(12, 2, -1)
    ]
    assert "| p12 | 120 | 12.0 |" in said
    assert "the 10 dearest of 13" in said
    assert "3 cost two passes or fewer" in said
    assert "One run of all of them takes 400 ms a cell, singly they take 780." in said


def test_a_sentence_says_how_much_faster_the_first_is(results: Path) -> None:
    (said,) = in_short(results)
    assert "a sweep of diswot over all 15,625 cells takes 5.0 minutes, 50 times less than" in said


@pytest.mark.slow
def test_only_what_is_between_the_marks_changes(results: Path) -> None:
    begin, end = MARKS
    once = whole_page(f"# Title\n{begin}\nold\n{end}\nafter\n", results)
    assert once == f"# Title\n{begin}\n{block(results)}{end}\nafter\n"
    with pytest.raises(BadInput, match=r"docs/performance.md lacks the marks"):
        whole_page("# Title\n", results)


def test_where_nothing_was_measured_nothing_is_said(tmp_path: Path) -> None:
    assert block(tmp_path) == ""
    assert list(in_short(tmp_path)) == []
