"""What an imported table holds, and whether it is what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.tables import read_table

Found = dict[tuple[int, int], tuple[float, float]]


def stored(path: Path) -> Found:
    rows = read_table(path).rows
    assert (rows["status"] == "ok").all()
    return {(row.cell, row.seed): (row.val, row.test) for row in rows.itertuples()}


def same(found: Found, expected: Found) -> None:
    assert found.keys() == expected.keys()
    for key, pair in expected.items():
        assert found[key] == pytest.approx(pair, abs=5.1e-5, nan_ok=True), key  # tables keep four decimals
