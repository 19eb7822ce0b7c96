"""DisWOT's own ablations (`studies/ablation.py`), ours measured beside the numbers that the paper prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from analysis.studies.ablation import Row
from analysis.typeset import Table, decimals, interval, whole, with_spread, words

COLUMNS = (
    words("term"),
    words("distance"),
    words("init"),
    with_spread("reported", "reported", "reported_spread"),
    decimals("measured", "spearman"),
    interval("95 % interval", "low", "high"),
    with_spread("single seeds", "seeds_mean", "seeds_sd"),
    whole("n"),
    whole("failed"),
)


def frame(found: Sequence[Row]) -> pd.DataFrame:
    """One row a term, distance and initialisation."""
    return pd.DataFrame([asdict(row) for row in found])


def table(frame: pd.DataFrame, where: str) -> Table:
    """The table; `where` begins the caption."""
    caption = (
        f"{where}: DisWOT's ablations, Spearman. Reported: what the paper prints, of another space, other data and "
        "other labels: the order within that column can be held against ours, the numbers cannot. Its ± is over "
        "repeats; what it prints without an initialisation stands beside PyTorch's default. Measured: of the mean "
        "over the seeds, 95 % bootstrap over functions; single seeds: mean ± standard deviation over the seeds one "
        "by one. All rows are of the same n cells."
    )
    return Table(frame, caption, COLUMNS)
