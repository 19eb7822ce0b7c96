"""NAS-Bench-201 as a `Space`: spaces/nb201.py, spaces/equivalence.py and spaces/network.py under one interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spaces import equivalence, nb201
from spaces.nb201 import EDGES, OPERATIONS, Cell
from spaces.space import Build, Space


@dataclass(frozen=True)
class CellSpace(Space):
    """15,625 cells in the benchmark's order; a choice is the operation on an edge."""

    name = "nb201"
    sets = nb201.SETS
    choices = (OPERATIONS,) * len(EDGES)
    backbones = ("own", "xautodl")

    def __len__(self) -> int:
        return len(nb201.cells())

    def at(self, index: int) -> Cell:
        return nb201.cell_at(index)

    def resolve(self, text: str) -> int:
        return nb201.resolve(text)

    def chosen(self, index: int) -> tuple[int, ...]:
        return nb201.cell_at(index).operations

    def index_of(self, chosen: tuple[int, ...]) -> int:
        return Cell(chosen).index

    def cell_set(self, name: str) -> tuple[int, ...]:
        return nb201.cell_set(name)

    def representatives(self, sees: str) -> Sequence[int]:
        return equivalence.representatives(sees)

    def members(self, sees: str) -> Mapping[int, tuple[int, ...]]:
        return equivalence.members(sees)

    def builder(self, backbone: str) -> Build:
        if backbone == "xautodl":
            from spaces.xautodl_backbone import XautodlNetwork

            return XautodlNetwork
        from spaces.network import CellNetwork

        return CellNetwork


NB201 = CellSpace()
