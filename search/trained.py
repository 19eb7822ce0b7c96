"""Trained accuracies to search by, as random search, REINFORCE and TPE do in the literature.

This is the only module of the room that reads an accuracy, and a search by a proxy does not import it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import BadInput, BadUsage
from distill.tables import FOLDER, labels_functions, read_table, table_path
from spaces.equivalence import representatives
from spaces.nb201 import cell_set

MODES = ("distilled", "vanilla")


@dataclass(frozen=True)
class Trained:
    """Validation accuracy, mean over the seeds, and seconds of training, summed over them, by representative."""

    sees: str
    """The level at which cells share a training."""
    accuracy: dict[int, float]
    seconds: dict[int, float]
    recipe_hash: str

    def cells(self) -> list[int]:
        """Those that have an accuracy: there is nothing else to search among."""
        stands_for = representatives(self.sees)
        return [cell for cell in cell_set("all") if stands_for[cell] in self.accuracy]


def read(which: str, benchmark: str, seeds: Sequence[int]) -> Trained:
    """The table `distilled` or `vanilla` of a benchmark, or a file of that form; its cells that have all seeds.

    By validation accuracy, because the test accuracy is what the found student is judged by. Raises BadInput.
    """
    path = table_path(benchmark, which, FOLDER) if which in MODES else Path(which)
    if which not in MODES and not path.is_file():
        raise BadUsage(f"--accuracy '{which}': neither {' nor '.join(MODES)} nor an accuracy table")
    table = read_table(path)
    if table.recipe.get("space", "nb201") != "nb201":
        raise BadInput(
            f"{path} is of the space '{table.recipe['space']}', and the search is among NAS-Bench-201's cells"
        )
    rows = table.rows[(table.rows["status"] == "ok") & table.rows["seed"].isin(seeds)].dropna(subset="val")
    by_cell = rows.groupby("cell").agg(seeds=("seed", "nunique"), val=("val", "mean"), seconds=("seconds", "sum"))
    complete = by_cell[by_cell["seeds"] == len(seeds)]
    if not len(complete):
        named = ", ".join(map(str, seeds))
        raise BadInput(f"{path} has validation accuracies of no cell with all of the seeds {named}: name others")
    sees = "function" if labels_functions(table.recipe) else "cell"
    cells = [int(cell) for cell in complete.index]
    accuracy, seconds = (dict(zip(cells, map(float, complete[column]), strict=True)) for column in ("val", "seconds"))
    return Trained(sees, accuracy, seconds, table.hash)
