"""Trained accuracies to search by, as random search, REINFORCE and TPE do in the literature.

This is the only module of the room that reads an accuracy, and a search by a proxy does not import it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.benchmarks import Benchmark
from common.errors import BadInput, BadUsage
from distill.tables import FOLDER, labels_functions, read_table, table_path

MODES = ("distilled", "vanilla")


@dataclass(frozen=True)
class Trained:
    """A `Trained` holds validation accuracy (mean over seeds) and seconds (their sum) by representative."""

    sees: str
    """The level at which cells share a training."""
    accuracy: dict[int, float]
    seconds: dict[int, float]
    recipe_hash: str
    cells: list[int]
    """Those that have an accuracy: there is nothing else to search among."""
    length: float
    """Of a training."""
    unit: str
    """What its length is counted in: `images`, or `epochs` where the recipe does not say how many steps there were."""


def read(which: str, benchmark: Benchmark, seeds: Sequence[int]) -> Trained:
    """Read the cells that have all seeds in the table `distilled` or `vanilla` of a benchmark, or in a file of that
    form.

    By validation accuracy, because the test accuracy is what the found student is judged by. Raises BadInput.
    """
    path = table_path(benchmark.name, which, FOLDER) if which in MODES else Path(which)
    if which not in MODES and not path.is_file():
        raise BadUsage(f"--accuracy '{which}': neither {' nor '.join(MODES)} nor an accuracy table")
    table = read_table(path)
    found, space = table.recipe.get("space", "nb201"), benchmark.space
    if found != space.name:
        raise BadInput(f"{path} is of the space '{found}', and the search is in the space '{space.name}'")
    rows = table.rows[(table.rows["status"] == "ok") & table.rows["seed"].isin(seeds)].dropna(subset="val")
    by_cell = rows.groupby("cell").agg(seeds=("seed", "nunique"), val=("val", "mean"), seconds=("seconds", "sum"))
    complete = by_cell[by_cell["seeds"] == len(seeds)]
    if not len(complete):
        named = ", ".join(map(str, seeds))
        raise BadInput(f"{path} has validation accuracies of no cell with all of the seeds {named}: name others")
    sees = "function" if labels_functions(table.recipe) else "cell"
    cells = [int(cell) for cell in complete.index]
    accuracy, seconds = (dict(zip(cells, map(float, complete[column]), strict=True)) for column in ("val", "seconds"))
    stands_for = space.representatives(sees)
    known = [cell for cell in space.cell_set("all") if stands_for[cell] in accuracy]
    length, unit = float(rows["epochs"].max()), "epochs"
    if "steps" in table.recipe:  # an epoch of a short recipe is not one of the long
        length, unit = float(table.recipe["steps"] * table.recipe["batch"]), "images"
    return Trained(sees, accuracy, seconds, table.hash, known, length, unit)


@dataclass(frozen=True)
class Labelled:
    """A `Labelled` holds mean test accuracy over all seeds by cell, of the cells that have every seed: what
    leaderboards judge by, for a search that is to see some of the cells and to be judged on the others."""

    accuracy: dict[int, float]
    seeds: list[int]
    recipe_hash: str


def labelled(benchmark: Benchmark, folder: Path = FOLDER) -> Labelled:
    """Read a benchmark's table of distilled accuracies. Raises BadInput where there is none, or nothing in it."""
    path = table_path(benchmark.name, "distilled", folder)
    table = read_table(path)
    by_cell = table.rows[table.rows["status"] == "ok"].pivot(index="cell", columns="seed", values="test").dropna()
    if not len(by_cell):
        raise BadInput(f"{path} has no cell with an accuracy of every seed: train more with `python -m distill run`")
    accuracy = {int(cell): float(mean) for cell, mean in by_cell.mean(axis=1).items()}
    return Labelled(accuracy, [int(seed) for seed in by_cell], table.hash)
