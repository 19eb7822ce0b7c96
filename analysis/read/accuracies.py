"""Accuracies in files of others: what is read of them, and the rules that all readers share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import BadInput, BadUsage
from common.formats import read_csv
from distill.tables import COLUMNS, OPTIONAL
from spaces.cell_file import resolved
from spaces.space import Space

if TYPE_CHECKING:
    import pandas as pd

_KEYS = ("cell", "index", "arch")
_VALUES = ("accuracy", "test")


def percent(value: object, where: str) -> float:
    """A number, or text of one, as percent. Raises BadInput."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= 100:  # false for NaN
        raise BadInput(f"{where}: {value!r} is not an accuracy in percent, 0 to 100: correct it, or leave it out")
    return number


def check_percent(where: Path | str, highest: float) -> None:
    """Refuse accuracies that are fractions, told by the highest of them. Raises BadInput."""
    if highest <= 1:
        raise BadInput(f"{where}: no accuracy is above 1, so they look like fractions: give percent, 0 to 100")


def read_rows(path: Path, space: Space) -> pd.DataFrame:
    """`cell`, `seed`, `val` and `test` of a CSV file, possibly compressed, by cell and seed.

    Read are: `cell`, `index` or `arch`, where each may be an index or a text of the space and all must agree;
    `accuracy` or `test`, a row without being left out; if there, `seed` (else 0) and `val` (else NaN). Of an accuracy
    table only rows whose `status` is `ok` count. Raises BadInput, with the line, for what is none of this, names a
    pair of cell and seed twice, or is no accuracy in percent; fractions are told by there being none above 1.
    """
    import numpy as np
    import pandas as pd

    remedy = f"expected CSV with a column {', '.join(_KEYS[:-1])} or {_KEYS[-1]}, and one {' or '.join(_VALUES)}"
    frame = read_csv(path, remedy, dtype=dict.fromkeys(_KEYS, str))
    keys = [name for name in _KEYS if name in frame]
    value = next((name for name in _VALUES if name in frame), None)
    if not keys or value is None:
        what, names = ("cell", _KEYS) if not keys else ("accuracy", _VALUES)
        found = ", ".join(map(str, frame.columns))
        raise BadInput(f"{path} has no {what} column: expected one of {', '.join(names)}, found {found}")
    if set(_VALUES) <= set(frame):
        raise BadInput(f"{path} has columns {' and '.join(_VALUES)}: keep the one that is meant")
    if frame.empty:
        raise BadInput(f"{path} has a heading and no rows: expected a cell and its accuracy in each")
    for column in sorted({value, "val", "seed"} & set(frame)):
        if f"{column}.1" in frame:  # what pandas calls the second of a name
            raise BadInput(f"{path} has two columns '{column}': keep one")
        _check_numbers(path, frame[column])
    if "seed" in frame and not pd.api.types.is_integer_dtype(frame["seed"]):
        seeds = frame["seed"]
        raise _wrong(path, seeds, seeds.isna() | (seeds % 1 != 0), "a whole number")
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
    if rows.empty:
        raise BadInput(f"{path} has cells and not one accuracy: expected one beside each cell")
    twice = rows[rows.duplicated(["cell", "seed"])]
    if len(twice):
        cell, seed = (int(number) for number in twice.iloc[0][["cell", "seed"]])
        which = f" with seed {seed}: keep one row a cell and seed" if "seed" in frame else ": keep one row a cell"
        raise BadInput(f"{path} names cell {cell} ({space.at(cell)}) more than once{which}")
    for row in rows[~(rows["test"].between(0, 100) & (rows["val"].between(0, 100) | rows["val"].isna()))].itertuples():
        for number in (row.test, row.val):
            if not math.isnan(number):
                percent(number, f"{path}, cell {row.cell}, seed {row.seed}")
    check_percent(path, rows[["val", "test"]].max(axis=None))
    return rows


def _check_numbers(path: Path, column: pd.Series) -> None:
    """Raises BadInput, with the line, where a column holds something else than finite numbers and nothing."""
    import numpy as np
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        words = column.astype(str)
        raise _wrong(path, column, column.notna() & pd.to_numeric(words, errors="coerce").isna(), "a number")
    if np.isinf(column).any():
        raise _wrong(path, column, np.isinf(column), "a finite number")


def _wrong(path: Path, column: pd.Series, wrong: pd.Series, wanted: str) -> BadInput:
    """The error that names the first wrong row of a column, or its first row where each alone would do."""
    at = int(wrong.to_numpy().argmax())
    return BadInput(f"{path}, line {at + 2}, column '{column.name}': {str(column.iloc[at])!r} is not {wanted}")


def _indices(path: Path, names: pd.DataFrame, space: Space) -> list[int]:
    by_string = {str(space.at(index)): index for index in range(len(space))} if "arch" in names else {}

    def index(line: int, column: str, name: object) -> int:
        if not isinstance(name, str):  # what pandas makes of nothing
            raise BadInput(f"{path}, line {line}, column '{column}': is empty: name a cell, or leave the line out")
        try:
            return by_string[name] if name in by_string else resolved(name, space)
        except BadUsage as error:
            raise BadInput(f"{path}, line {line}, column '{column}': {error}") from error

    indices: list[int] = []
    for line, row in enumerate(names.itertuples(index=False), start=2):
        found = {index(line, column, name) for column, name in zip(names, row, strict=True)}
        if len(found) > 1:
            raise BadInput(
                f"{path}, line {line}: {' and '.join(map(repr, row))} are different cells of the space '{space.name}'"
            )
        indices += found
    return indices
