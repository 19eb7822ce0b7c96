"""Accuracy tables: `<benchmark>-<mode>.csv.gz` beside a JSON recipe, as committed under results/accuracies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import results
from common.errors import BadInput
from common.files import together
from common.formats import read_csv, read_json, read_records, write_csv, write_json
from common.shipped import here_or_shipped
from distill.recipes import recipe_hash

if TYPE_CHECKING:
    import pandas as pd

FOLDER = results.ACCURACIES
COLUMNS = ("cell", "seed", "val", "test", "best", "log_likelihood", "epochs", "seconds", "status")
OPTIONAL = ("best", "log_likelihood")
"""Columns that older tables lack: read as missing values, and not written where all are missing."""


@dataclass(frozen=True)
class AccuracyTable:
    """`rows` has `COLUMNS`: cell index, seed, accuracies in percent; `recipe` says how they were made.

    `val` and `test` are those after the last epoch; `best` is the highest test accuracy of any epoch, for information;
    `log_likelihood` the mean of ln p(label) over the test images after the last epoch.
    `hardware` is what computed the rows.
    """

    rows: pd.DataFrame
    recipe: dict[str, Any]
    hardware: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Identity of the recipe."""
        return recipe_hash(self.recipe)


def table_path(benchmark: str, mode: str, folder: Path = FOLDER) -> Path:
    """Where the table of a benchmark and mode lies; the colons and slashes of a variant's name would hurt there."""
    return folder / f"{re.sub('[:/]', '_', benchmark)}-{mode}.csv.gz"


def place_of(studied: str, folder: Path) -> Path:
    """The folder of the tables of a recipe that a study compares: that of accuracies where labels follow it."""
    return FOLDER if table_path(studied, "distilled", FOLDER).exists() else folder


def recipe_path(table: Path) -> Path:
    """The JSON recipe beside a table."""
    return table.with_name(table.name.removesuffix(".csv.gz") + ".json")


def labels_functions(recipe: Mapping[str, Any]) -> bool:
    """Whether a row labels its whole class: we train one of each; whoever we import from trained cell by cell."""
    return bool(recipe) and "format" not in recipe


def read_table(path: Path) -> AccuracyTable:
    """Read the AccuracyTable at a path, or of the same place among what was shipped.

    Raises BadInput where table or recipe is missing, damaged or lacks a column.
    """
    path = here_or_shipped(path)
    if not path.exists():
        name = path.name.removesuffix(".csv.gz")
        made = f"make it with `python -m distill run --benchmark {name.rpartition('-')[0] or name}`"
        raise BadInput(
            f"no accuracy table {path}: {made}, or import published accuracies in its place, "
            f"`python -m analysis import FORMAT FILE --dataset DATASET --name {name}` (docs/guides/importing.md)"
        )
    if not recipe_path(path).exists():
        raise BadInput(
            f"the accuracy table {path} has no {recipe_path(path).name} beside it: restore that, "
            "or remove the table and make it again"
        )
    rows, record = read_csv(path), read_json(recipe_path(path), keys=("recipe",))
    for column in OPTIONAL:
        if column not in rows:
            rows[column] = float("nan")
    missing = [column for column in COLUMNS if column not in rows]
    if missing:
        raise BadInput(f"the accuracy table {path} has no column '{missing[0]}': expected {', '.join(COLUMNS)}")
    made_by = record.get("hardware", [])
    return AccuracyTable(rows, record["recipe"], tuple([made_by] if isinstance(made_by, str) else made_by))


def trained_cells(path: Path) -> set[int]:
    """The cells that have an accuracy in the table at a path, read without pandas where nothing is wrong with it.

    Raises BadInput as `read_table` does.
    """
    place = here_or_shipped(path)
    with suppress(BadInput, KeyError, ValueError):
        read_json(recipe_path(place), keys=("recipe",))
        return {int(row["cell"]) for row in read_records(place) if row["status"] == "ok"}
    rows = read_table(path).rows
    return {int(cell) for cell in rows.loc[rows["status"] == "ok", "cell"]}


def left_alone(table: Path) -> bool:
    """Whether all that there is of a table is its recipe, as whoever is killed while it is written leaves it."""
    if table.exists():
        return False
    with suppress(BadInput):
        return bool(read_json(recipe_path(table), keys=("recipe", "recipe_hash")))
    return False


def write_table(path: Path, table: AccuracyTable, provenance: dict[str, Any]) -> None:
    """Write rows by cell and seed; equal rows give equal bytes. `provenance` joins the recipe in the JSON file.

    The recipe takes its place first: who is killed in between leaves one without rows, which is no table.
    """
    rows = table.rows.sort_values(["cell", "seed"])
    formatted = rows.assign(seconds=rows["seconds"].map("{:.2f}".format))
    columns = [name for name in COLUMNS if name not in OPTIONAL or (name in rows and rows[name].notna().any())]
    with together():
        write_json(recipe_path(path), {"recipe": table.recipe, "recipe_hash": table.hash, **provenance})
        write_csv(path, formatted, columns=columns, float_format="%.4f")
