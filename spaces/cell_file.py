"""Cells that a word of a command line names: a set, or a file with one a line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from common.errors import BadInput, BadUsage
from common.formats import read_text
from spaces.space import Space


def cells_of(which: str, space: Space, further: Sequence[str] = ()) -> Sequence[int]:
    """The indices of a set of the space, or of the cells in a file; `further` sets are only named to who asks for none.

    Raises BadUsage for what is neither, and as `read_cells`.
    """
    if which in space.sets:
        return space.cell_set(which)
    if not Path(which).is_file():
        raise BadUsage(f"--cells '{which}': neither a cell set ({', '.join((*space.sets, *further))}) nor a file")
    return read_cells(Path(which), space)


def resolved(text: str, space: Space) -> int:
    """The index of what a person or a program wrote for an architecture. Raises BadUsage as `Space.resolve`, and for
    an index with a decimal point, which a table gets whose whole numbers were read as others."""
    try:
        return space.resolve(text)
    except BadUsage:
        if found := re.fullmatch(r"([+-]?\d+)\.0*", text.strip(), re.ASCII):
            said = f"'{text.strip()}' has a decimal point: write the index as a whole number, {found[1]}"
            raise BadUsage(said) from None
        raise


def read_cells(path: Path, space: Space) -> list[int]:
    """The indices in a file of one index or cell a line, in its order; empty lines and comments (#) are skipped.

    Raises BadInput for a missing, unreadable or empty file, BadUsage for a line that is no cell of the space.
    """
    lines = read_text(path, "write one index or cell string a line").splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(resolved(line, space))
            except BadUsage as error:
                raise BadUsage(f"{path}, line {number}: {error}") from error
    if not found:
        raise BadInput(f"{path} names no cell: write one index or cell string a line")
    return found
