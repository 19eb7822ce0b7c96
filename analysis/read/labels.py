"""What scores are judged against: our accuracy tables, the gain between them, or a file of the user's."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.read.accuracies import read_rows
from bench.benchmarks import benchmark as named
from bench.benchmarks import names
from common.errors import BadInput, BadUsage
from common.formats import read_text, reading
from common.shipped import here_or_shipped
from distill.recipe_name import RecipeName
from distill.recipes import MODES
from distill.tables import FOLDER, AccuracyTable, labels_functions, read_table, recipe_path, table_path
from spaces.nb201.space import NB201
from spaces.space import Space

TABLES = ("distilled", "vanilla", "gain")


@dataclass(frozen=True)
class Labels:
    """Labels by cell (rows) and seed (columns); a file without seeds has one column.

    `of_functions`: labelled is one representative of each class, and the label holds for the whole class.
    """

    quantity: str
    """What the numbers are, with their unit, as an axis says it."""
    by_seed: pd.DataFrame
    of_functions: bool
    source: str
    """How they were made, as far as is known, in a few words."""
    space: Space

    @property
    def mean(self) -> pd.Series:
        """Mean over the seeds of a cell."""
        return self.by_seed.mean(axis=1)

    def set_of(self, cells: str | None) -> str:
        """The set of cells that is judged: where none is asked for, what the labels are of."""
        return cells or ("functions" if self.of_functions else "all")


def load_labels(against: str, benchmark: str, folder: Path = FOLDER) -> Labels:
    """`distilled` or `vanilla`: test accuracy in percent after the last step; `gain`: their difference, seed by seed;
    anything else is a file for `read_rows`, an accuracy table among them: its recipe, beside it, says what it holds.

    Labels of another data set than the benchmark's cost a line on standard error. Raises BadInput for a missing or
    damaged file and one of another space than the benchmark's, BadUsage for no file.
    """
    space = named(benchmark).space if benchmark in names() else NB201  # tables may be of what is no benchmark
    if against not in TABLES:
        return _from_file(Path(against), benchmark, space)
    modes = [mode for mode in ("distilled", "vanilla") if against in (mode, "gain")]
    tables = {mode: read_table(table_path(benchmark, mode, folder)) for mode in modes}
    recipes = [
        _checked(table_path(benchmark, mode, folder), table.recipe, benchmark, space) for mode, table in tables.items()
    ]
    if len({labels_functions(recipe) for recipe in recipes}) > 1:
        raise BadInput(f"one of the tables of {benchmark} is imported, and a gain needs both of the same trainings")
    parts = {mode: _pivot(mode, benchmark, table) for mode, table in tables.items()}
    by_seed = parts["distilled"] - parts["vanilla"] if against == "gain" else parts[against]
    quantity = "gain of distillation, points" if against == "gain" else f"{against} accuracy, %"
    return Labels(quantity, by_seed.dropna(how="all"), labels_functions(recipes[0]), _source(recipes[0]), space)


def known_labels(
    benchmark: str, against: str = "distilled", folder: Path = FOLDER
) -> tuple[dict[str, Labels], dict[str, Labels]]:
    """`distilled` and `vanilla` of the sample, and of the cells that were chosen, if some were; of a file that file's.

    Raises BadInput.
    """
    if against not in MODES:
        return {against: load_labels(against, benchmark, folder)}, {}
    sample = {mode: load_labels(mode, benchmark, folder) for mode in MODES}
    chosen = str(RecipeName.parse(benchmark).of_chosen)
    if not here_or_shipped(table_path(chosen, MODES[0], folder)).exists():
        return sample, {}
    return sample, {mode: load_labels(mode, chosen, folder) for mode in MODES}


def _pivot(mode: str, benchmark: str, table: AccuracyTable) -> pd.DataFrame:
    if table.rows.duplicated(["cell", "seed"]).any():
        cell, seed = table.rows.loc[table.rows.duplicated(["cell", "seed"]), ["cell", "seed"]].iloc[0]
        raise BadInput(f"the {mode} table of {benchmark} names cell {cell} with seed {seed} twice: restore it")
    return table.rows[table.rows["status"] == "ok"].pivot(index="cell", columns="seed", values="test")


def _from_file(path: Path, benchmark: str, space: Space) -> Labels:
    if not path.is_file():
        raise BadUsage(f"labels '{path}': neither {', '.join(TABLES)} nor a file")
    recipe = _checked(path, _recipe_beside(path), benchmark, space)
    by_seed = read_rows(path, space).pivot(index="cell", columns="seed", values="test")
    quantity = f"accuracy, % ({path.name.removesuffix('.gz').removesuffix('.csv')})"
    return Labels(quantity, by_seed, labels_functions(recipe), _source(recipe), space)


def _recipe_beside(path: Path) -> dict[str, Any]:
    """The recipe of an accuracy table, of any other file an empty one. Raises BadInput where it cannot be read."""
    beside = recipe_path(path)
    if not path.name.endswith(".csv.gz") or not beside.is_file():
        return {}
    remedy = f"restore it, the recipe of {path.name}"
    with reading(beside, remedy):
        content = json.loads(read_text(beside, remedy))
    recipe = content.get("recipe") if isinstance(content, dict) else None  # else somebody else's file
    return recipe if isinstance(recipe, dict) else {}


def _checked(path: Path, recipe: dict[str, Any], benchmark: str, space: Space) -> dict[str, Any]:
    """The recipe, unless it is of another space; of another data set it is told. Raises BadInput."""
    found = recipe.get("space", "nb201") if recipe else space.name
    if found != space.name:
        raise BadInput(f"{path} labels networks of the space '{found}', and scores are of the space '{space.name}'")
    images, wanted = recipe.get("dataset") or _data_set(recipe.get("benchmark")), _data_set(benchmark)
    if images and wanted and images != wanted:
        print(f"note: {path} has accuracies on {images}, and scores of {benchmark} are on {wanted}", file=sys.stderr)
    return recipe


def _data_set(benchmark: str | None) -> str:
    """The data set of a benchmark, nothing of what is none."""
    return named(benchmark).data_set if benchmark in names() else ""


def _source(recipe: dict[str, Any]) -> str:
    if "format" in recipe:
        epochs = f", {recipe['epochs']} epochs" if recipe.get("epochs") else ""
        return f"{recipe.get('file')}, {recipe.get('dataset')}{epochs}"
    if "steps" in recipe or "epoch_steps" in recipe:
        steps = recipe["steps"] if "steps" in recipe else recipe["epochs"] * recipe["epoch_steps"]
        teacher = f", teacher {recipe['teacher_hash'][:8]}" if "teacher_hash" in recipe else ""
        return f"{steps} steps{teacher}"
    return "a file that names no data set"
