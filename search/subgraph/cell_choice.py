"""An operation on an edge of a cell as something to keep or to cut, and the cells that are left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from spaces.nb201.cell import CONV1, CONV3, EDGES, NONE, OPERATIONS, POOL, SKIP, Cell


class Choice(NamedTuple):
    """One operation on one edge."""

    position: int
    operation: int

    @property
    def name(self) -> str:
        """Such as `0->3 nor_conv_3x3`."""
        source, target = EDGES[self.position]
        return f"{source}->{target} {OPERATIONS[self.operation]}"


def of_teacher(cell: Cell) -> tuple[Choice, ...]:
    """The operations of a teacher's cell: what is cut out of it is its subgraph."""
    return tuple(Choice(edge.position, edge.operation) for edge in cell.edges() if edge.operation != NONE)


def of_space() -> tuple[Choice, ...]:
    """All 24: what is cut out is any cell, so this is a search of the space and no longer a subgraph of a teacher."""
    return tuple(Choice(position, op) for position in range(len(EDGES)) for op in (SKIP, CONV1, CONV3, POOL))


def paths(choices: Iterable[Choice]) -> list[tuple[Choice, ...]]:
    """Every way from the cell's input to its output, one choice an edge."""
    choices = tuple(choices)
    found, ways = [], [((), 0)]  # type: tuple[list[tuple[Choice, ...]], list[tuple[tuple[Choice, ...], int]]]
    while ways:
        way, node = ways.pop()
        if node == 3:
            found.append(way)
            continue
        for choice in choices:
            source, target = EDGES[choice.position]
            if source == node:
                ways.append(((*way, choice), target))
    return found


def on_paths(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """The choices that lie on a path from the cell's input to its output."""
    choices = tuple(choices)
    used = {choice for path in paths(choices) for choice in path}
    return tuple(choice for choice in choices if choice in used)


def as_cell(choices: Iterable[Choice]) -> Cell:
    """The cell of at most one operation an edge; `none` where there is none."""
    operations = [NONE] * len(EDGES)
    for choice in choices:
        if operations[choice.position] != NONE:
            raise ValueError(f"two operations on edge {EDGES[choice.position]}")
        operations[choice.position] = choice.operation
    return Cell(tuple(operations))
