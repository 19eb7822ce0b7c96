"""Leaderboards as `make tables` wrote them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.read.columns import BASELINE
from analysis.read.labels import TABLES
from analysis.report.made import History, Made, of_table
from analysis.report.own import MARK, Own
from analysis.report.plain import AGAIN
from analysis.report.words import COLUMNS, COUNTS
from analysis.tables.registry import Sources, board
from analysis.typeset import SURE, Value, between, number
from common.formats import read_csv, reading

CUT = 0.25
"""The share of the lines whose intervals may begin left of the scale, so that the others are drawn large enough to be
told apart."""


@dataclass(frozen=True)
class Interval:
    """Where low end, value and high end lie on the width of the column, in percent; 0 is also what lies left of it."""

    low: float
    value: float
    high: float


@dataclass(frozen=True)
class Line:
    """A proxy's row: its values by column, the ends of the interval among them."""

    proxy: str
    family: str
    values: dict[str, Value]
    own: bool = False
    """Whether its scores are the user's, and not published."""
    interval: Interval | None = None


@dataclass(frozen=True)
class Leaderboard:
    """`columns`: those of `COLUMNS` that hold anything; `ticks`, `baseline`: round numbers and params on the intervals'
    scale."""

    against: str
    caption: str
    columns: list[str]
    lines: list[Line]
    ticks: list[tuple[float, str]]
    baseline: float | None
    made: Made


def leaderboards(folder: Path, sources: Sources, history: History, own: Own | None = None) -> list[Leaderboard]:
    """The leaderboards of a benchmark, `TABLES` first, with the user's own lines. Raises BadInput for one that cannot
    be read."""
    prefix = f"leaderboard-{sources.name}-"
    kinds = [path.stem.removeprefix(prefix) for path in sorted(folder.glob(f"{prefix}*.csv"))]
    order = [kind for kind in TABLES if kind in kinds] + [kind for kind in kinds if kind not in TABLES]
    return [_leaderboard(folder / f"{prefix}{kind}.csv", kind, sources, history, own) for kind in order]


def _leaderboard(path: Path, kind: str, sources: Sources, history: History, own: Own | None) -> Leaderboard:
    ends_of = ["spearman_low", "spearman", "spearman_high"]
    frame = read_csv(path, AGAIN, ("proxy", "family", *ends_of))
    with reading(path, AGAIN):
        found = [_line(row) for row in frame.to_dict("records")]
    if own is not None and kind in sources.labels:
        found += [_line(row, own=True) for row in own.lines(kind).to_dict("records")]
        found.sort(key=lambda line: -_or(line.values["spearman"].number, -math.inf))
    ends = pd.DataFrame([[line.values[name].number for name in ends_of] for line in found], dtype=float)
    low, high = float(ends.iloc[:, 0].quantile(CUT)), float(ends.max().max())

    def at(value: float | None) -> float | None:
        if value is None or not value <= high or not low < high:
            return None
        return round(100 * max(0.0, value - low) / (high - low), 1)

    def interval(line: Line) -> Interval | None:
        known = [at(line.values[name].number) for name in ends_of]
        placed = [value for value in known if value is not None]
        return Interval(*placed) if len(placed) == 3 else None

    lines = [replace(line, interval=interval(line)) for line in found]
    baseline = next((line.values["spearman"].number for line in lines if line.proxy == BASELINE), None)
    filled = [name for name in COLUMNS if any(line.values[name].number is not None for line in lines)]
    caption = board(frame, sources, kind).caption + (_said_of(lines, own) if own else "")
    ticks = [(place, f"{tick:.1f}") for tick in _ticks(low, high) if (place := at(tick)) is not None]
    made = history.made(path, of_table(path.stem, sources.name), f"{sources.name}-recipes")
    return Leaderboard(kind, caption, filled, lines, ticks, at(baseline), made)


def _ticks(low: float, high: float) -> list[float]:
    """Tenths, or halves where they are many, between the ends of a scale."""
    step = 5 if high - low > 0.8 else 1
    return [tenth / 10 for tenth in range(-10, 11, step) if low <= tenth / 10 <= high]


def _said_of(lines: list[Line], own: Own) -> str:
    """Whose the user's lines are, behind a caption."""
    names = ", ".join(line.proxy for line in lines if line.own)
    return f" {MARK.capitalize()}: {names}, from {own.store}; stars corrected for these alone." if names else ""


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _line(row: dict[str, Any], own: bool = False) -> Line:
    def value(name: str) -> Value:
        known = float(row.get(name, math.nan))
        return Value(number(known, 0 if name in COUNTS else 2), known if math.isfinite(known) else None)

    values = {name: value(name) for name in ("spearman_low", "spearman_high", *COLUMNS)}
    low = values["spearman_low"].number
    values["interval"] = Value(between(row["spearman_low"], row["spearman_high"]), low)
    if float(row.get("over_params_p", math.nan)) < SURE:
        over = values["over_params"]
        values["over_params"] = Value(over.text + "*", over.number)
    return Line(str(row["proxy"]), str(row["family"]), values, own)
