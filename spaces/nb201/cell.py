"""NAS-Bench-201 cells: official strings, official index order.

Source: Dong & Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020,
arXiv 2001.00326. A cell is a graph of four nodes, 0 (input) to 3 (output), with one operation on each of its six edges.
"""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from common.errors import BadUsage, unknown

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
NONE, SKIP, CONV1, CONV3, POOL = range(5)
KERNEL = {CONV1: 1, CONV3: 3}
"""Kernel sizes of the operations that have weights."""

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""(from node, to node) of the six edges, in the order in which the official string names them."""

_NODE = re.compile(r"\|(?:[a-z0-9_]+~\d\|)+")


class Edge(NamedTuple):
    """One operation of a cell: its position 0..5 in `EDGES`, the nodes it joins, and the operation's number."""

    position: int
    source: int
    target: int
    operation: int


@dataclass(frozen=True)
class Cell:
    """Six operation numbers in the order of `EDGES`; prints as the official string."""

    operations: tuple[int, ...]

    def __str__(self) -> str:
        parts: list[list[str]] = [[], [], []]
        for edge in self.edges():
            parts[edge.target - 1].append(f"{OPERATIONS[edge.operation]}~{edge.source}")
        return "+".join(f"|{'|'.join(part)}|" for part in parts)

    @staticmethod
    def parse(text: str) -> Cell:
        """The cell of an official string. Raises BadUsage that says which part is malformed."""
        nodes = text.strip().split("+")
        if len(nodes) != 3:
            raise BadUsage(
                f"malformed cell {text!r}: three nodes joined by '+' expected, found {len(nodes)}; or an index, 0 to "
                f"{len(OPERATIONS) ** len(EDGES) - 1}"
            )
        operations = []
        for number, node in enumerate(nodes, start=1):
            if not _NODE.fullmatch(node):
                raise BadUsage(f"malformed cell {text!r}: node {number} is {node!r}, expected '|operation~input|...|'")
            parts = [part.split("~") for part in node.strip("|").split("|")]
            if [source for _, source in parts] != [str(i) for i in range(number)]:
                inputs = ", ".join(map(str, range(number)))
                raise BadUsage(f"malformed cell {text!r}: node {number} must take one operation from each of {inputs}")
            for name, _ in parts:
                if name not in OPERATIONS:
                    raise BadUsage(f"malformed cell {text!r}: {unknown('operation', name, OPERATIONS)}")
                operations.append(OPERATIONS.index(name))
        return Cell(tuple(operations))

    @property
    def index(self) -> int:
        """Official index, 0..15624."""
        return _indices()[self]

    def edges(self) -> list[Edge]:
        """All six edges, `none` ones too."""
        return [Edge(k, i, j, op) for k, ((i, j), op) in enumerate(zip(EDGES, self.operations, strict=True))]

    def live_edges(self) -> list[Edge]:
        """The edges on a path of operations other than `none` from the cell's input to its output."""
        live = _live(tuple([operation != NONE for operation in self.operations]))
        return [edge for edge in self.edges() if live[edge.position]]

    def live_operations(self) -> tuple[int, ...]:
        """The operations of `live_edges` in the order of `EDGES`, `none` on all other edges."""
        live = _live(tuple([operation != NONE for operation in self.operations]))
        return tuple([operation if on else NONE for operation, on in zip(self.operations, live, strict=True)])

    def is_valid(self) -> bool:
        """No operation is unreachable: every operation other than `none` is live (the all-`none` cell included)."""
        return len(self.live_edges()) == sum(op != NONE for op in self.operations)

    def unique_string(self) -> str:
        """The benchmark's own string for recognising isomorphic cells.

        Rule: the input is "0"; `none`, or an operation on "#", is "#"; a skip connection is the node itself; any other
        operation is "(node)@operation"; a node is its inputs, sorted and joined by "+". The rule does not see that
        sums of "#" are zero too, nor branches that lead nowhere, nor one operation used twice.
        """
        nodes = ["0", "", "", ""]
        for target in (1, 2, 3):
            inputs = []
            for edge in self.edges():
                if edge.target == target:
                    source = nodes[edge.source]
                    if edge.operation == NONE or source == "#":
                        inputs.append("#")
                    elif edge.operation == SKIP:
                        inputs.append(source)
                    else:
                        inputs.append(f"({source})@{OPERATIONS[edge.operation]}")
            nodes[target] = "+".join(sorted(inputs))
        return nodes[3]


@cache  # there are 64
def _live(used: tuple[bool, ...]) -> tuple[bool, ...]:
    """Of each edge whether it is on a path of used edges from node 0 to node 3."""
    edges = [edge for edge, is_used in zip(EDGES, used, strict=True) if is_used]
    reached, needed = {0}, {3}
    for source, target in edges:  # EDGES is topologically ordered: sources before targets
        if source in reached:
            reached.add(target)
    for source, target in sorted(edges, key=lambda edge: -edge[1]):
        if target in needed:
            needed.add(source)
    return tuple([edge in edges and edge[0] in reached and edge[1] in needed for edge in EDGES])


@cache
def cells() -> tuple[Cell, ...]:
    """All 15,625 cells in official index order.

    Rule: enumerate the product of `OPERATIONS` over the edges, last edge fastest, then `random.Random(88).shuffle`.
    """
    enumerated = [Cell(operations) for operations in itertools.product(range(len(OPERATIONS)), repeat=len(EDGES))]
    random.Random(88).shuffle(enumerated)
    return tuple(enumerated)


@cache
def _indices() -> dict[Cell, int]:
    return {cell: index for index, cell in enumerate(cells())}


def cell_at(index: int) -> Cell:
    """The cell of an official index. Raises BadUsage outside 0..15624."""
    if not 0 <= index < len(cells()):
        raise BadUsage(f"cell index {index} is out of range: NAS-Bench-201 has cells 0 to {len(cells()) - 1}")
    return cells()[index]


def resolve(text: str) -> int:
    """The official index of a cell given as index or official string."""
    text = text.strip()
    if re.fullmatch(r"[+-]?\d{1,9}", text):
        return cell_at(int(text)).index
    return Cell.parse(text).index
