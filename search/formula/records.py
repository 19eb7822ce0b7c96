"""Formulas that were found as `results/formulas/` holds them: what they are, their values, and what made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import results
from common.files import together
from common.formats import read_csv, read_json, write_json, write_records

if TYPE_CHECKING:
    import pandas as pd

FOLDER = results.FORMULAS
FOUND, CONTROL, GIVEN = "found", "control", "given"
"""Kinds: of a search by labels, of the same search by shuffled ones, and what somebody handed in."""
AGAIN = "make it again with `python -m search formula`"
_SETTINGS = ("benchmark", "fitness", "seeds", "labels")
COLUMNS = ("number", "kind", "run", "formula", "size", "fitness", "judged")
VALUES = ("number", "benchmark", "cell", "seed", "value")


@dataclass(frozen=True)
class Found:
    """A `Found` is a formula with its fitness on the searched half, and what its run did with all that it judged."""

    number: int
    kind: str
    run: int | None
    formula: str
    size: int
    depth: int
    fitness: float
    judged: int
    ok: int
    same: int
    constant: int
    nonfinite: int


@dataclass(frozen=True)
class Value:
    """What a formula, by its number, makes of a function."""

    number: int
    benchmark: str
    cell: int
    seed: int
    value: float


def write(found: Sequence[Found], values: Sequence[Value], settings: dict[str, Any], folder: Path) -> Path:
    """Write `<benchmark>.csv`, `<benchmark>-values.csv.gz` and `<benchmark>.json`. Equal searches give equal bytes."""
    path = folder / f"{settings['benchmark']}.csv"
    with together(path.with_suffix(".json")):
        write_records(path, [asdict(one) for one in found])
        write_records(_values(path), [asdict(one) | {"value": f"{one.value:.9g}"} for one in values])
        write_json(path.with_suffix(".json"), settings)
    return path


def read(benchmark: str, folder: Path = FOLDER) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """The formulas (`COLUMNS` at least), their values (`VALUES`) and the settings. Raises BadInput."""
    path = folder / f"{benchmark}.csv"
    settings = read_json(path.with_suffix(".json"), AGAIN, _SETTINGS)
    return read_csv(path, AGAIN, COLUMNS), read_csv(_values(path), AGAIN, VALUES), settings


def _values(path: Path) -> Path:
    return path.with_name(f"{path.stem}-values.csv.gz")
