"""Cells listed in a file, one a line."""

from __future__ import annotations

from pathlib import Path

from common.errors import BadInput, BadUsage
from common.formats import read_text
from spaces.space import Space


def read_cells(path: Path, space: Space) -> list[int]:
    """The indices in a file of one index or cell a line, in its order; empty lines and comments (#) are skipped.

    Raises BadInput for a missing, unreadable or empty file, BadUsage for a line that is no cell of the space.
    """
    lines = read_text(path, "write one index or cell string a line").splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(space.resolve(line))
            except BadUsage as error:
                raise BadUsage(f"{path}, line {number}: {error}") from error
    if not found:
        raise BadInput(f"{path} names no cell: write one index or cell string a line")
    return found
