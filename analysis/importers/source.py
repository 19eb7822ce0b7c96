"""What every reader of published accuracies returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from textwrap import shorten
from typing import NamedTuple

from common.errors import BadInput


class Row(NamedTuple):
    """One training: index, seed, accuracies in percent and seconds, NaN for what the source does not say."""

    cell: int
    seed: int
    val: float
    test: float
    seconds: float = math.nan


@dataclass(frozen=True)
class Source:
    """What a reader found: rows, what their columns mean, the space they are of, the package that read them."""

    rows: list[Row]
    columns: dict[str, str] = field(default_factory=dict)
    space: str = "nb201"
    read_with: str | None = None


def percent(value: object, where: str) -> float:
    """A number, or text of one, as percent. Raises BadInput."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 <= number <= 100:  # false for NaN
        raise BadInput(f"{where}: {value!r} is not an accuracy in percent, 0 to 100")
    return number


def reason(error: Exception) -> str:
    """Kind and text of an error, short; of torch's, without the advice to switch its safety off that comes first."""
    text = str(error).split("WeightsUnpickler error:")[-1]
    return shorten(f"{type(error).__name__}: {text}", 120, placeholder=" ...")
