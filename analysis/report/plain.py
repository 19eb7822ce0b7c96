"""Tables as they are written: in Markdown where that lies beside, because it is made for a page; else in CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common.errors import BadInput


@dataclass(frozen=True)
class Value:
    """What a cell of a table says, and the number it is sorted by; None is missing and comes last."""

    text: str
    number: float | None = None


@dataclass(frozen=True)
class Plain:
    """A table; `numeric` says which columns are sorted by number."""

    name: str
    heading: str
    caption: str
    head: list[str]
    numeric: list[bool]
    rows: list[list[Value]]


def number(value: float, digits: int = 2) -> Value:
    """A dash for what is not known."""
    return Value(f"{value:.{digits}f}", value) if math.isfinite(value) else Value("–")


def other_tables(folder: Path, benchmarks: Sequence[str]) -> dict[str, list[Plain]]:
    """All but leaderboards: those named <what>-<benchmark> by benchmark, the rest under "". Raises BadInput."""
    found: dict[str, list[Plain]] = {name: [] for name in ("", *benchmarks)}
    for path in sorted(folder.glob("*.csv")):
        if not path.name.startswith("leaderboard-"):
            owner = max((name for name in benchmarks if path.stem.endswith(f"-{name}")), key=len, default="")
            found[owner].append(_plain(path, path.stem.removesuffix(f"-{owner}") if owner else path.stem))
    return found


def first_paragraph(path: Path) -> str:
    """Of a Markdown file, in which it is a table's caption; empty where there is no file."""
    return " ".join(_text(path).strip().split("\n\n")[0].split()) if path.is_file() else ""


def _plain(path: Path, heading: str) -> Plain:
    beside = path.with_suffix(".md")
    if beside.is_file():
        path, (head, rule, *rows) = beside, _piped(beside)
        numeric = [cell.endswith(":") for cell in rule]
    else:
        head, *rows = _separated(path)
        numeric = [_is_numeric([row[at] for row in rows if len(row) == len(head)]) for at in range(len(head))]
    ragged = next((row for row in rows if len(row) != len(head)), None)
    if ragged is not None:
        raise BadInput(f"cannot read {path}: {len(head)} columns, and a row of {len(ragged)}: restore it")
    values = [[Value(text, _leading(text)) for text in row] for row in rows]
    return Plain(path.stem, heading, first_paragraph(beside), head, numeric, values)


def _piped(path: Path) -> list[list[str]]:
    """Head, rule and rows of the one table in a Markdown file."""
    lines = [line.strip() for line in _text(path).splitlines() if line.startswith("|")]
    if len(lines) < 2:
        raise BadInput(f"cannot read {path}: there is no table in it: run `make tables`")
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [[cell.strip().replace("\\|", "|") for cell in line] for line in cells]


def _separated(path: Path) -> list[list[str]]:
    lines = [row for row in csv.reader(io.StringIO(_text(path))) if row]
    if not lines:
        raise BadInput(f"cannot read {path}: it is empty: restore it")
    return lines


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (ValueError, OSError) as error:
        raise BadInput(f"cannot read {path} ({error}): restore it") from error


def _is_numeric(column: Sequence[str]) -> bool:
    filled = [text for text in column if text]
    return bool(filled) and all(re.fullmatch(_NUMBER, text) for text in filled)


_NUMBER = r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?"


def _leading(text: str) -> float | None:
    """The number that a text begins with, as in `0.84 [0.80, 0.87]`."""
    found = re.match(_NUMBER, text)
    return float(found[0]) if found else None
