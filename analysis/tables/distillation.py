"""Comparisons of losses and processes on pairs of teacher and student, from results/distillation/."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.typeset import Table, decimals, interval, whole, words
from common import results

if TYPE_CHECKING:
    from distill.comparison import Row

FOLDER = results.DISTILLATION
AGAINST = ("kd", "vanilla", "uniform")
"""What every loss is compared with, seed by seed, where it was trained."""


def trainings(benchmark: str | None = None, folder: Path = FOLDER) -> dict[str, list[Row]]:
    """The trainings of each pair, of one benchmark or all, by the pair's name. Raises BadInput for a damaged table."""
    from distill.comparison import read_rows  # imports torch, which no reader of the table needs

    found = folder.glob(f"{benchmark}-*.csv" if benchmark else "*.csv")
    return {path.stem: read_rows(path) for path in sorted(found)}


def frame(rows: list[Row]) -> pd.DataFrame:
    """One row a loss, best first: mean over seeds and `over_<loss>`, the mean difference on the same seeds; intervals
    are Student's over seeds, 95 %."""
    from distill.comparison import summaries

    found = pd.DataFrame(
        [
            {"loss": one.loss, "seeds": one.n, "failed": one.failed, "test": one.mean, "low": one.low, "high": one.high}
            for one in summaries(rows)
        ]
    )
    for against in AGAINST:
        over = {one.loss: one[5:8] for one in summaries(rows, against)}
        for place, ending in enumerate(("", "_low", "_high")):
            of_itself = {loss: values[place] for loss, values in over.items() if loss != against}
            found[f"over_{against}{ending}"] = found["loss"].map(of_itself)
    return found


COLUMNS = (
    words("trained with", "loss"),
    whole("seeds"),
    decimals("test accuracy", "test"),
    interval("95 % interval", "low", "high"),
    *(
        column
        for against in AGAINST
        for column in (
            decimals(f"over {against}", f"over_{against}"),
            interval("95 % interval", f"over_{against}_low", f"over_{against}_high"),
        )
    ),
)


def table(frame: pd.DataFrame, pair: str) -> Table:
    """The table of a pair of teacher and student."""
    caption = (
        f"{pair}: test accuracy in percent of one student by what it was trained with, mean over seeds with its 95 % "
        "interval, and its lead over three others, paired by seed. Intervals are not corrected for their number."
    )
    return Table(frame, caption, COLUMNS)
