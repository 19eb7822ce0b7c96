"""NAS-Bench-201 as a `Space`: the cells of this folder, their sets, classes and networks under one interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spaces.nb201 import cell as nb201
from spaces.nb201 import equivalence, graph
from spaces.nb201.cell import EDGES, OPERATIONS, Cell
from spaces.nb201.sets import SETS, cell_set
from spaces.space import Build, Space

if TYPE_CHECKING:
    from spaces.draw import Draw
    from spaces.nb201.batched import Batched
    from spaces.nb201.skeleton import CellSkeleton


@dataclass(frozen=True)
class CellSpace(Space):
    """15,625 cells in the benchmark's order; a choice is the operation on an edge."""

    name = "nb201"
    sets = SETS
    choices = (OPERATIONS,) * len(EDGES)
    backbones = ("own", "xautodl")
    cell_based = True
    batched = True

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
        return cell_set(name)

    def representatives(self, sees: str) -> Sequence[int]:
        return equivalence.representatives(sees)

    def members(self, sees: str) -> Mapping[int, tuple[int, ...]]:
        return equivalence.members(sees)

    def graph_features(self, index: int) -> dict[str, float]:
        return graph.graph_features(nb201.cell_at(index))

    def builder(self, backbone: str) -> Build:
        if backbone == "xautodl":
            from spaces.nb201.xautodl_backbone import XautodlNetwork

            return XautodlNetwork
        from spaces.nb201.network import CellNetwork

        return CellNetwork

    def engine(self, skeleton: CellSkeleton, draw: Draw) -> Batched:
        from spaces.nb201.batched import Batched

        return Batched(skeleton, draw)


NB201 = CellSpace()
