"""What can be read off a cell's graph: paths and degrees, for every set of operations."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from spaces.nb201.cell import EDGES, NONE, OPERATIONS, Cell

_INPUT, _OUTPUT = 0, 3
_INNER = (1, 2)
_SETS = tuple(
    chosen
    for size in range(1, len(OPERATIONS))
    for chosen in itertools.combinations([number for number in range(len(OPERATIONS)) if number != NONE], size)
)


def graph_features(cell: Cell) -> dict[str, float]:
    """For every set of operations but `none`, of the edges that have one of them: the shortest and the longest path
    from input to output (4 and 0 where there is none), edges out of the input, into the output, and on average into
    and out of an inner node.

    In the manner of Kadlecova et al., "Surprisingly Strong Performance Prediction with Neural Graph Features",
    ICML 2024, arXiv 2404.16551, who count `none` as an operation too; here it is no edge.
    """
    found: dict[str, float] = {}
    for chosen in _SETS:
        name = "+".join(OPERATIONS[number] for number in chosen)
        edges = [ends for ends, operation in zip(EDGES, cell.operations, strict=True) if operation in chosen]
        lengths = list(_lengths(edges))
        found |= {
            f"{name} shortest": float(min(lengths, default=len(_INNER) + 2)),
            f"{name} longest": float(max(lengths, default=0)),
            f"{name} out of input": float(sum(source == _INPUT for source, _ in edges)),
            f"{name} into output": float(sum(target == _OUTPUT for _, target in edges)),
            f"{name} into inner": sum(target in _INNER for _, target in edges) / len(_INNER),
            f"{name} out of inner": sum(source in _INNER for source, _ in edges) / len(_INNER),
        }
    return found


def _lengths(edges: list[tuple[int, int]], node: int = _INPUT) -> Iterator[int]:
    """The lengths of all paths from a node to the output."""
    if node == _OUTPUT:
        yield 0
    for source, target in edges:
        if source == node:
            yield from (1 + rest for rest in _lengths(edges, target))
