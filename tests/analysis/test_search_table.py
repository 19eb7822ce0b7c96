"""Searches as a table: measured best first, reported beside it, subgraphs in the same folder left alone."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
from test_search_judged import DIGITS, A, B, judged, labels, record

from analysis.read.reported import DISWOT_SEARCHES
from analysis.studies.searches import finished, judge
from analysis.tables import searches as tables

pytestmark = pytest.mark.slow


def test_measured_stands_in_the_order_of_accuracy_and_reported_behind_it(tmp_path: Path) -> None:
    record(tmp_path / "searches", [A, A])
    record(tmp_path / "searches", [B, A], method="random", seconds=6200.0)
    record(tmp_path / "searches", [None], method="local")
    found, _ = judged(tmp_path)
    paths = tables.table(tables.frame(list(found.values())), "digits").write(tmp_path / "searches-digits")
    assert {path.suffix for path in paths} == {".csv", ".md", ".tex"}
    lines = [line for line in paths[1].read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == [column.head for column in tables.COLUMNS]
    measured, reported = rows[2:5], rows[5:]
    assert [row[1] for row in measured] == ["random", "evolve", "local"]
    assert measured[0][:7] == ["distilled", "random", "", "2", "2", "2", "85.00 ± 7.07"]
    assert measured[0][11:] == ["40", "50", "6,200", "1.0"]
    assert measured[2][5:11] == ["0", "–", "–", "–", "–", "–"]
    assert [(row[1], float(row[6]), row[13]) for row in reported] == [
        (one.method, one.accuracy, f"{one.seconds:,}") for one in DISWOT_SEARCHES
    ]
    table = pd.read_csv(paths[0])
    assert list(table["method"]) == ["random", "evolve", "local"], "only what was measured is data"
    assert table.loc[0, ["accuracy", "accuracy_sd", "regret", "ranked"]].tolist() == [
        85,
        round(math.sqrt(50), 4),
        5,
        3,
    ]


def test_other_things_in_the_folder_are_no_searches(tmp_path: Path) -> None:
    folder = tmp_path / "searches"
    record(folder, [A])
    (folder / "digits-edges-20k.json").write_text(json.dumps({"benchmark": "digits", "gates": "edges"}))
    record(folder, [A], method="local", benchmark="digits-b")
    assert finished("digits", folder) == [folder / "digits-diswot-evolve.seeds=0-1.json"]
    assert len(judge(DIGITS, labels(), folder)[0]) == 1
