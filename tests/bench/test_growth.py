"""Growth is measured on real runs; how much they take is never asserted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench.benchmarks import benchmark
from bench.measure.growth import measure, write
from bench.runner import Request
from proxies.registry import create
from tests.conftest import Command

pytestmark = pytest.mark.slow


def test_runs_of_several_sizes_take_time_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psutil")
    monkeypatch.setattr("bench.measure.growth.BATCHES", (16, 64))
    found = measure(Request(benchmark("digits"), (create("params"),), (0,)), cells=(3, 30))
    sizes = [(growth.cells, growth.batch) for growth in found]
    assert sizes == [(3, 64), (30, 64), (3, 16)]
    assert all(growth.seconds > 0 for growth in found)
    assert all(growth.memory > 50 for growth in found), "an interpreter with torch has more"
    frame = pd.read_csv(write(found, "digits", {}, tmp_path))
    assert list(frame.columns) == ["cells", "batch", "seconds", "memory"]
    assert len(frame) == len(found)


def test_a_number_of_cells_that_is_none_is_refused(command: Command) -> None:
    assert command("bench", "growth", "params", "--counts", "3,x").code == 2
    assert command("bench", "growth", "params", "--counts", "0").code == 2
