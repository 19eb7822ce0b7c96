"""What scores are judged against: our accuracy tables, the gain between them, or a file of the user's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.benchmarks import benchmark as named
from bench.benchmarks import names
from common.errors import BadInput, BadUsage
from common.formats import read_csv, reading
from common.shipped import here_or_shipped
from distill.recipe_name import RecipeName
from distill.recipes import MODES
from distill.tables import (
    COLUMNS,
    FOLDER,
    OPTIONAL,
    AccuracyTable,
    labels_functions,
    read_table,
    recipe_path,
    table_path,
)
from spaces.nb201.space import NB201
from spaces.space import Space

TABLES = ("distilled", "vanilla", "gain")
_KEYS = ("cell", "index", "arch")
_VALUES = ("accuracy", "test")


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


def load_labels(against: str, benchmark: str, folder: Path = FOLDER) -> Labels:
    """`distilled` or `vanilla`: test accuracy in percent after the last step; `gain`: their difference, seed by seed;
    anything else is a file for `read_rows`, an accuracy table among them: its recipe, beside it, says what it holds.

    Raises BadInput for a missing or damaged file and one of another space than the benchmark's, BadUsage for no file.
    """
    space = named(benchmark).space if benchmark in names() else NB201  # tables may be of what is no benchmark
    if against not in TABLES:
        return _from_file(Path(against), space)
    modes = [mode for mode in ("distilled", "vanilla") if against in (mode, "gain")]
    tables = {mode: read_table(table_path(benchmark, mode, folder)) for mode in modes}
    recipes = [_of_space(table_path(benchmark, mode, folder), table.recipe, space) for mode, table in tables.items()]
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


def _from_file(path: Path, space: Space) -> Labels:
    if not path.is_file():
        raise BadUsage(f"--against '{path}': neither {', '.join(TABLES)} nor a file")
    recipe = _of_space(path, _recipe_beside(path), space)
    by_seed = read_rows(path, space).pivot(index="cell", columns="seed", values="test")
    quantity = f"accuracy, % ({path.name.removesuffix('.gz').removesuffix('.csv')})"
    return Labels(quantity, by_seed, labels_functions(recipe), _source(recipe), space)


def _recipe_beside(path: Path) -> dict[str, Any]:
    """The recipe of an accuracy table, of any other file an empty one. Raises BadInput where it cannot be read."""
    beside = recipe_path(path)
    if not path.name.endswith(".csv.gz") or not beside.is_file():
        return {}
    with reading(beside, f"restore it, the recipe of {path.name}"):
        content = json.loads(beside.read_text(encoding="utf-8"))
    recipe = content.get("recipe") if isinstance(content, dict) else None  # else somebody else's file
    return recipe if isinstance(recipe, dict) else {}


def _of_space(path: Path, recipe: dict[str, Any], space: Space) -> dict[str, Any]:
    """The recipe, unless it is of another space. Raises BadInput."""
    found = recipe.get("space", "nb201") if recipe else space.name
    if found != space.name:
        raise BadInput(f"{path} labels networks of the space '{found}', and scores are of the space '{space.name}'")
    return recipe


def _source(recipe: dict[str, Any]) -> str:
    if "format" in recipe:
        epochs = f", {recipe['epochs']} epochs" if recipe.get("epochs") else ""
        return f"{recipe.get('file')}, {recipe.get('dataset')}{epochs}"
    if "steps" in recipe or "epoch_steps" in recipe:
        steps = recipe["steps"] if "steps" in recipe else recipe["epochs"] * recipe["epoch_steps"]
        teacher = f", teacher {recipe['teacher_hash'][:8]}" if "teacher_hash" in recipe else ""
        return f"{steps} steps{teacher}"
    return "a file"


def read_rows(path: Path, space: Space) -> pd.DataFrame:
    """`cell`, `seed`, `val` and `test` of a CSV file, possibly compressed, by cell and seed.

    Read are: `cell`, `index` or `arch`, where each may be an index or a text of the space and all must agree;
    `accuracy` or `test`, a row without being left out; if there, `seed` (else 0) and `val` (else NaN). Of an accuracy
    table only rows whose `status` is `ok` count. Raises BadInput, with the line, for what is none of this or names a
    pair of cell and seed twice.
    """
    remedy = f"expected CSV with a column {', '.join(_KEYS[:-1])} or {_KEYS[-1]}, and one {' or '.join(_VALUES)}"
    frame = read_csv(path, remedy, dtype=dict.fromkeys(_KEYS, str))
    keys = [name for name in _KEYS if name in frame]
    value = next((name for name in _VALUES if name in frame), None)
    if not keys or value is None:
        what, names = ("cell", _KEYS) if not keys else ("accuracy", _VALUES)
        found = ", ".join(map(str, frame.columns))
        raise BadInput(f"{path} has no {what} column: expected one of {', '.join(names)}, found {found}")
    for column in {value, "val", "seed"} & set(frame):
        if not pd.api.types.is_numeric_dtype(frame[column]) or np.isinf(frame[column]).any():
            raise BadInput(f"{path}: column '{column}' holds something that is not a number")
    if "seed" in frame and not pd.api.types.is_integer_dtype(frame["seed"]):
        raise BadInput(f"{path}: column 'seed' holds something that is not a whole number")
    columns = {
        "cell": _indices(path, frame[keys], space),
        "seed": frame.get("seed", 0),
        "val": frame.get("val", np.nan),
        "test": frame[value].astype(float),
    }
    rows = pd.DataFrame(columns, index=frame.index)
    if set(COLUMNS) <= {*frame, *OPTIONAL}:
        rows = rows[frame["status"] == "ok"]
    rows = rows.dropna(subset="test").sort_values(["cell", "seed"], ignore_index=True)
    twice = rows[rows.duplicated(["cell", "seed"])]
    if len(twice):
        cell, seed = (int(number) for number in twice.iloc[0][["cell", "seed"]])
        which = f" with seed {seed}: keep one row a cell and seed" if "seed" in frame else ": keep one row a cell"
        raise BadInput(f"{path} names cell {cell} ({space.at(cell)}) more than once{which}")
    return rows


def _indices(path: Path, names: pd.DataFrame, space: Space) -> list[int]:
    by_string = {str(space.at(index)): index for index in range(len(space))} if "arch" in names else {}
    indices: list[int] = []
    for line, row in enumerate(names.itertuples(index=False), start=2):
        try:
            found = {by_string[name] if name in by_string else space.resolve(str(name)) for name in row}
        except BadUsage as error:
            raise BadInput(f"{path}, line {line}: {error}") from error
        if len(found) > 1:
            raise BadInput(
                f"{path}, line {line}: {' and '.join(map(repr, row))} are different cells of the space '{space.name}'"
            )
        indices += found
    return indices
