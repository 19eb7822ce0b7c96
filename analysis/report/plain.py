"""All tables but leaderboards, as the page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.report.made import History, Made, of_table
from analysis.report.words import heading
from analysis.tables.registry import Sources, shown
from analysis.typeset import Table, Value
from common.formats import reading

AGAIN = "restore it, or run `make tables`"
"""What to do about a table that is damaged."""


@dataclass(frozen=True)
class Plain:
    """A table with its file's name and a heading, its cells already made."""

    name: str
    heading: str
    table: Table
    rows: list[list[Value]]
    made: Made


def other_tables(folder: Path, benchmarks: Mapping[str, Sources], history: History) -> dict[str, list[Plain]]:
    """All but leaderboards: those named <what>-<benchmark> by benchmark, the rest under "". Raises BadInput."""
    found: dict[str, list[Plain]] = {name: [] for name in ("", *benchmarks)}
    for path in sorted(folder.glob("*.csv")):
        if not path.name.startswith("leaderboard-"):
            owner = max((name for name in benchmarks if path.stem.endswith(f"-{name}")), key=len, default="")
            recipe = f"{owner}-recipes" if owner and benchmarks[owner].labels else ""
            made = history.made(path, of_table(path.stem, owner), recipe)
            with reading(path, AGAIN):  # it can lack a column that its definition shows
                table = shown(path, benchmarks.get(owner))
                found[owner].append(Plain(path.stem, heading(path.stem, owner), table, table.rows, made))
    return found
