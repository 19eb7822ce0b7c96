"""What every reader of published accuracies returns."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from textwrap import shorten
from typing import NamedTuple


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


def reason(error: Exception) -> str:
    """Kind and text of an error, short; of torch's, without the advice to switch its safety off that comes first."""
    text = str(error).split("WeightsUnpickler error:")[-1]
    return shorten(f"{type(error).__name__}: {text}", 120, placeholder=" ...")
