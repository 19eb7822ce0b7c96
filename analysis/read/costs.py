"""Measured costs, `results/costs/`: what a score takes beside a plain forward pass."""

from __future__ import annotations

import math
from pathlib import Path

from common import results
from common.formats import read_csv, reading

FOLDER = results.COSTS
ALL = "all"
"""The row of one run of all proxies."""


def forwards(folder: Path, benchmark: str) -> dict[str, float]:
    """Forward passes a cell by proxy; none where nothing was measured. Raises BadInput for a file of another form."""
    return _column(folder, benchmark, "forwards")


def seconds(folder: Path, benchmark: str) -> dict[str, float]:
    """Seconds of a proxy's own pass, as `forwards`."""
    return _column(folder, benchmark, "seconds")


def together(folder: Path, benchmark: str) -> float:
    """Seconds a cell of one run of all proxies, which share passes; NaN where it was not measured. Raises BadInput."""
    return _all(folder, benchmark, "seconds").get(ALL, math.nan)


def _column(folder: Path, benchmark: str, column: str) -> dict[str, float]:
    return {name: cost for name, cost in _all(folder, benchmark, column).items() if name != ALL}


def _all(folder: Path, benchmark: str, column: str) -> dict[str, float]:
    path = folder / f"{benchmark}.csv"
    if not path.is_file():
        return {}
    again = "measure again with `python -m bench cost`"
    frame = read_csv(path, again, ("proxy", column))
    with reading(path, again):
        found = frame.set_index("proxy")[column].astype(float)
    return {str(name): float(cost) for name, cost in found.items()}
