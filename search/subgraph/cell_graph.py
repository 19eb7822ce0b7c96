"""NAS-Bench-201 cells as a graph to cut a student out of: one gate an edge, or one an operation on an edge.

Gates are shared by all cells of the stack, so every selection is a cell again.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from torch import nn

from common.errors import BadUsage
from search.subgraph.cell_choice import Choice, as_cell, of_teacher, on_paths, paths
from search.subgraph.cell_gates import GatedNetwork
from search.subgraph.graph import Student, nearest, of_scale_one
from search.subgraph.words import ALIKE
from spaces.nb201.cell import EDGES, KERNEL, Cell
from spaces.nb201.skeleton import CellSkeleton, count_multiply_adds, count_parameters


def kept(ways: Sequence[frozenset[int]], before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Close the gates of `after` that lie on no open way, and leave at least one way open.

    `ways` are sets of numbers of gates. Where a step has closed all of them, the gates that were largest `before` it
    are opened again at their old values, one by one, until a way is open. Both tensors are [gates].
    """
    after = after.clone()
    left = _on_open(ways, after)
    for number in before.argsort(descending=True).tolist():
        if left:
            break
        if after[number] == 0:
            after[number] = before[number]
            left = _on_open(ways, after)
    return after * torch.tensor([float(number in left) for number in range(len(after))])


def _on_open(ways: Sequence[frozenset[int]], gates: torch.Tensor) -> set[int]:
    opened = {number for number, gate in enumerate(gates.tolist()) if gate}
    return {number for way in ways if way <= opened for number in way}


def derived(choices: Sequence[Choice], gates: torch.Tensor) -> Cell:
    """The cell of the largest open gate on each edge, without what then lies on no path."""
    largest: dict[int, tuple[float, Choice]] = {}
    for choice, gate in zip(choices, gates.tolist(), strict=True):
        if gate > largest.get(choice.position, (0.0, choice))[0]:
            largest[choice.position] = (gate, choice)
    return as_cell(on_paths(choice for _, choice in largest.values()))


@dataclass(frozen=True)
class CellStudent:
    """A `CellStudent` is a cell on a skeleton."""

    cell: Cell
    skeleton: CellSkeleton

    @property
    def label(self) -> str:
        """Official index, channels and cells a stage."""
        return f"cell {self.cell.index} C{self.skeleton.channels} N{self.skeleton.cells_per_stage}"

    @property
    def parameters(self) -> int:
        return count_parameters(self.cell, self.skeleton)

    @property
    def multiply_adds(self) -> int:
        return count_multiply_adds(self.cell, self.skeleton)

    def record(self) -> dict[str, Any]:
        return {"cell": str(self.cell), "skeleton": asdict(self.skeleton)}

    def build(self, seed: int, init: str) -> nn.Module:
        from spaces.draw import Draw
        from spaces.nb201.network import CellNetwork

        return CellNetwork(self.cell, self.skeleton, Draw(seed, init))


@dataclass(frozen=True)
class CellGraph:
    """A `CellGraph` has a gate for each of `choices` on a skeleton; `cell` is the teacher's, which cuts of width and
    depth leave as it is.
    """

    choices: tuple[Choice, ...]
    skeleton: CellSkeleton
    cell: Cell

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(choice.name for choice in self.choices)

    @property
    def parameters(self) -> int:
        return count_parameters(self.cell, self.skeleton)

    def record(self) -> dict[str, Any]:
        return {"cell": str(self.cell), "skeleton": asdict(self.skeleton)}

    @cached_property
    def ways(self) -> list[tuple[frozenset[int], int]]:
        """Every path by the numbers of its gates, with the parameters of the student that is this path alone."""
        numbers = {choice: number for number, choice in enumerate(self.choices)}
        return [
            (frozenset(numbers[choice] for choice in path), count_parameters(as_cell(path), self.skeleton))
            for path in paths(self.choices)
        ]

    def prices(self) -> torch.Tensor:
        """Return the weights of each choice over those of the largest; a tenth for choices without weights."""
        sizes = [KERNEL[choice.operation] ** 2 if choice.operation in KERNEL else 0 for choice in self.choices]
        return torch.tensor([max(size / max(*sizes, 1), 0.1) for size in sizes])

    def settled(self, before: torch.Tensor, after: torch.Tensor, budget: int) -> torch.Tensor:
        """Close the gates that lie on no path within the budget; give those into one node a root mean square of 1.

        What reads the node has a batch norm, so that a common factor changes nothing: without the scale all gates into
        the node would shrink, and none would be chosen.
        """

        after = kept([way for way, size in self.ways if size <= budget], before, after)
        into = torch.tensor([EDGES[choice.position][1] for choice in self.choices])
        for node in (1, 2, 3):
            after[into == node] = of_scale_one(after[into == node])
        return after

    def student(self, gates: torch.Tensor) -> CellStudent:
        return CellStudent(derived(self.choices, gates), self.skeleton)

    def kept(self, gates: torch.Tensor) -> list[str]:
        return [choice.name for choice in of_teacher(derived(self.choices, gates))]

    def smallest(self) -> int:
        if not self.ways:
            raise BadUsage("these choices have no path from the cell's input to its output")
        return min(size for _, size in self.ways)

    def network(self, seed: int, init: str) -> GatedNetwork:
        from spaces.draw import Draw

        return GatedNetwork(self, Draw(seed, init, role="gates "))

    def cells(self) -> list[Cell]:
        """Everything that can be cut out: at most one choice an edge, every one on a path."""
        by_edge: list[list[Choice | None]] = [[None] for _ in EDGES]
        for choice in self.choices:
            by_edge[choice.position].append(choice)
        parts = ([choice for choice in part if choice is not None] for part in itertools.product(*by_edge))
        return sorted((as_cell(part) for part in parts if part and len(on_paths(part)) == len(part)), key=_index)

    def rivals(self, found: Student, budget: int, count: int, rng: random.Random) -> dict[str, list[Student]]:
        """Return the networks to compare with: `random` are all others of equal size, or a sample of them; `largest` is
        the lowest index of equals.
        """
        skeleton, target = self.skeleton, found.parameters
        every: list[Student] = [CellStudent(cell, skeleton) for cell in self.cells()]
        within = [each for each in every if each.parameters <= budget]
        others = [each for each in within if each != found]
        alike = [each for each in others if abs(each.parameters - target) <= ALIKE * target]
        if not alike and (next_to := nearest(others, target, budget)):
            alike = [each for each in others if each.parameters == next_to[0].parameters]
        return {
            "random": rng.sample(alike, count) if len(alike) > count else alike,
            "largest": [max(within, key=lambda each: each.parameters)],
            "width": nearest(self._cuts(narrow=True, shallow=False), target, budget),
            "depth": nearest(self._cuts(narrow=False, shallow=True), target, budget),
            "both": nearest(self._cuts(narrow=True, shallow=True), target, budget),
        }

    def _cuts(self, narrow: bool, shallow: bool) -> list[Student]:
        channels, cells = self.skeleton.channels, self.skeleton.cells_per_stage
        return [
            CellStudent(self.cell, CellSkeleton(C, N, self.skeleton.classes, self.skeleton.size))
            for C in (range(1, channels) if narrow else (channels,))
            for N in (range(1, cells) if shallow else (cells,))
        ]


def _index(cell: Cell) -> int:
    return cell.index
