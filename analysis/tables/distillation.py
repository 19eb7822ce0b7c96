"""Comparisons of losses and processes on pairs of teacher and student, from results/distillation/."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.typeset import Table, between, number
from analysis.typeset import write as write_table
from common import results
from distill.comparison import Row, read_rows, summaries

FOLDER = results.DISTILLATION
AGAINST = ("kd", "vanilla", "uniform")
"""What every loss is compared with, seed by seed, where it was trained."""


def tables(benchmark: str | None = None, folder: Path = FOLDER) -> dict[str, list[Row]]:
    """The trainings of each pair, of one benchmark or all, by the pair's name. Raises BadInput for a damaged table."""
    found = folder.glob(f"{benchmark}-*.csv" if benchmark else "*.csv")
    return {path.stem: read_rows(path) for path in sorted(found)}


def lines(rows: list[Row]) -> pd.DataFrame:
    """One row a loss, best first: mean over seeds and `over_<loss>`, the mean difference on the same seeds; intervals
    are Student's over seeds, 95 %."""
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


def write(rows: list[Row], path: Path, pair: str) -> list[Path]:
    """`path` with the endings .csv, .md and .tex."""
    frame = lines(rows)
    caption = (
        f"{pair}: test accuracy in percent of one student by what it was trained with, mean over seeds with its 95 % "
        "interval, and its lead over three others, paired by seed. Intervals are not corrected for their number."
    )
    head = ["trained with", "seeds", "test accuracy", "95 % interval"]
    for against in AGAINST:
        head += [f"over {against}", "95 % interval"]
    said = []
    for row in frame.to_dict("records"):
        line = [row["loss"], str(row["seeds"]), number(row["test"]), between(row["low"], row["high"])]
        for against in AGAINST:
            value, low, high = (row[f"over_{against}{ending}"] for ending in ("", "_low", "_high"))
            line += [number(value), between(low, high)]
        said.append(line)
    return write_table(path, frame, Table(caption, head, said))
