"""`results/predictions/`: what a study of rankings that learn has measured, in minutes, for tables and figures."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from analysis.studies.learned.study import Learned, Row
from common import results
from common.files import together
from common.formats import read_csv, read_json, write_csv, write_json

FOLDER = results.PREDICTIONS
AGAIN = "`python -m analysis predict` makes it"
_DECIMALS = "%.6g"
_TYPES = {field.name: {"str": str, "int": int, "float": float}[str(field.type)] for field in fields(Row)}
_NONE = {name: [""] for name, kind in _TYPES.items() if kind is float}
"""Columns in which nothing is a number that is not known; in the others it is a word."""
_MADE = ("benchmark", "labels", "labelled", "functions", "draws", "best", "label_seconds")


def write(found: Learned, folder: Path = FOLDER) -> list[Path]:
    """Write `<benchmark>.csv`, a row a ranking and k, and what it is of in a JSON file beside."""
    path = folder / f"{found.made['benchmark']}.csv"
    with together():
        write_csv(path, found.rows, float_format=_DECIMALS)
        write_json(path.with_suffix(".json"), found.made)
    return [path, path.with_suffix(".json")]


def read(benchmark: str, folder: Path = FOLDER) -> Learned | None:
    """What was measured of a benchmark, None where nothing was. Raises BadInput for files that cannot be read."""
    path = folder / f"{benchmark}.csv"
    if not path.is_file():
        return None
    rows = read_csv(path, AGAIN, _TYPES, dtype=_TYPES, keep_default_na=False, na_values=_NONE)
    return Learned(rows[[*_TYPES]], read_json(path.with_suffix(".json"), AGAIN, _MADE))
