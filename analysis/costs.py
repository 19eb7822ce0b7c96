"""Measured costs, `results/costs/`: what a score takes beside a plain forward pass."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from common.errors import BadInput

FOLDER = Path("results/costs")


def forwards(folder: Path, benchmark: str) -> dict[str, float]:
    """Forward passes a cell by proxy; none where nothing was measured. Raises BadInput for a file of another form."""
    path = folder / f"{benchmark}.csv"
    if not path.is_file():
        return {}
    try:
        found = pd.read_csv(path).set_index("proxy")["forwards"].astype(float)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"cannot read {path} ({error}): measure again with `python -m bench cost`") from error
    return {str(name): float(cost) for name, cost in found.items() if name != "all"}
