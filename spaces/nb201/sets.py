"""Named sets of NAS-Bench-201 cells."""

from __future__ import annotations

from functools import cache

from common.errors import unknown
from spaces.nb201.cell import cells
from spaces.nb201.equivalence import representatives

SETS = ("all", "valid", "unique", "functions")


@cache
def cell_set(name: str) -> tuple[int, ...]:
    """Indices of a named cell set, ascending.

    `all` 15,625; `valid` 9,445 without unreachable operations; `unique` 6,466, the lowest index of each
    `Cell.unique_string`; `functions`, the lowest index of each class of `spaces.nb201.equivalence`.
    """
    if name == "all":
        return tuple(range(len(cells())))
    if name == "valid":
        return tuple(index for index, cell in enumerate(cells()) if cell.is_valid())
    if name == "unique":
        first: dict[str, int] = {}
        for index, cell in enumerate(cells()):
            first.setdefault(cell.unique_string(), index)
        return tuple(sorted(first.values()))
    if name == "functions":
        return tuple(sorted(set(representatives("function"))))
    raise unknown("cell set", name, SETS)
