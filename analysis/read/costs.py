"""Measured costs, `results/costs/`: what a score takes beside a plain forward pass."""

from __future__ import annotations

from pathlib import Path

from common import results
from common.formats import read_csv, reading

FOLDER = results.COSTS


def forwards(folder: Path, benchmark: str) -> dict[str, float]:
    """Forward passes a cell by proxy; none where nothing was measured. Raises BadInput for a file of another form."""
    return _column(folder, benchmark, "forwards")


def seconds(folder: Path, benchmark: str) -> dict[str, float]:
    """Seconds of a proxy's own pass, as `forwards`."""
    return _column(folder, benchmark, "seconds")


def _column(folder: Path, benchmark: str, column: str) -> dict[str, float]:
    path = folder / f"{benchmark}.csv"
    if not path.is_file():
        return {}
    again = "measure again with `python -m bench cost`"
    frame = read_csv(path, again, ("proxy", column))
    with reading(path, again):
        found = frame.set_index("proxy")[column].astype(float)
    return {str(name): float(cost) for name, cost in found.items() if name != "all"}
