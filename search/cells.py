"""NAS-Bench-201 as a space to search."""

from __future__ import annotations

from collections.abc import Iterable

from search.space import Architecture, Space
from spaces.equivalence import representatives
from spaces.nb201 import EDGES, OPERATIONS, Cell, cell_at


def cell_space(allowed: Iterable[int], sees: str) -> Space:
    """The cells of these indices; those that are equal to what `sees` them (spaces/equivalence.py) are one function."""
    indices = sorted(allowed)
    stands_for = representatives(sees)
    operations = tuple(cell_at(index).operations for index in indices)
    return Space((len(OPERATIONS),) * len(EDGES), operations, tuple(stands_for[index] for index in indices))


def index_of(architecture: Architecture) -> int:
    """The official index of a cell."""
    return Cell(architecture).index
