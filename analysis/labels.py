"""What scores are judged against: our accuracy tables, the gain between them, or a file of the user's."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from common.errors import BadInput, BadUsage
from distill.tables import FOLDER, AccuracyTable, read_table, table_path
from spaces.nb201 import cell_at, cells, resolve

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

    @property
    def mean(self) -> pd.Series:
        """Mean over the seeds of a cell."""
        return self.by_seed.mean(axis=1)


def load_labels(against: str, benchmark: str, folder: Path = FOLDER) -> Labels:
    """`distilled` or `vanilla`: test accuracy in percent after the last step; `gain`: their difference, seed by seed;
    anything else is a CSV file with a column `cell`, `index` or `arch` and a column `accuracy` or `test`.

    Raises BadInput for a missing or damaged file, BadUsage for a file that does not name cells or accuracies.
    """
    if against not in TABLES:
        return _from_file(Path(against))
    parts = {mode: _pivot(mode, benchmark, folder) for mode in ("distilled", "vanilla") if against in (mode, "gain")}
    by_seed = parts["distilled"] - parts["vanilla"] if against == "gain" else parts[against]
    by_seed = by_seed.dropna(how="all")
    recipe = read_table(table_path(benchmark, "vanilla" if against == "vanilla" else "distilled", folder)).recipe
    of_teacher = "" if against == "vanilla" else f", teacher {recipe['teacher_hash'][:8]}"
    source = f"{recipe['steps']} steps{of_teacher}"
    quantity = "gain of distillation, points" if against == "gain" else f"{against} accuracy, %"
    return Labels(quantity, by_seed, of_functions=True, source=source)


def _pivot(mode: str, benchmark: str, folder: Path) -> pd.DataFrame:
    table: AccuracyTable = read_table(table_path(benchmark, mode, folder))
    if table.rows.duplicated(["cell", "seed"]).any():
        cell, seed = table.rows.loc[table.rows.duplicated(["cell", "seed"]), ["cell", "seed"]].iloc[0]
        raise BadInput(f"the {mode} table of {benchmark} names cell {cell} with seed {seed} twice: restore it")
    return table.rows[table.rows["status"] == "ok"].pivot(index="cell", columns="seed", values="test")


def _from_file(path: Path) -> Labels:
    if not path.is_file():
        raise BadUsage(f"--against '{path}': neither {', '.join(TABLES)} nor a file")
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(_KEYS, str), keep_default_na=True)
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise BadInput(f"cannot read {path} as CSV ({error})") from error
    key = next((name for name in _KEYS if name in frame), None)
    value = next((name for name in _VALUES if name in frame), None)
    if key is None or value is None:
        what, names = ("cell", _KEYS) if key is None else ("accuracy", _VALUES)
        found = ", ".join(map(str, frame.columns))
        raise BadInput(f"{path} has no {what} column: expected one of {', '.join(names)}, found {found}")
    if not pd.api.types.is_numeric_dtype(frame[value]) or np.isinf(frame[value]).any():
        raise BadInput(f"{path}: column '{value}' holds something that is not a number")
    by_string = {str(cell): index for index, cell in enumerate(cells())} if key == "arch" else {}
    indices = []
    for line, name in enumerate(frame[key], start=2):
        try:
            indices.append(by_string[name] if name in by_string else resolve(str(name)))
        except BadUsage as error:
            raise BadInput(f"{path}, line {line}: {error}") from error
    accuracy = pd.Series(frame[value].to_numpy(dtype=float), index=indices).dropna()
    if accuracy.index.has_duplicates:
        twice = int(accuracy.index[accuracy.index.duplicated()][0])
        raise BadInput(f"{path} names cell {twice} ({cell_at(twice)}) more than once: keep one row a cell")
    return Labels(f"accuracy, % ({path.stem})", accuracy.to_frame(0).sort_index(), of_functions=False, source="a file")
