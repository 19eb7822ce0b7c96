"""A ResNet as a graph to cut a student out of: a gate on each basic block, and on groups of channels within a block.

A closed block is its shortcut; the first block of a stage that changes the shape stays, and so does a block's last
group. Channels are those between a block's two convolutions, which nothing outside the block sees.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any

import torch

from search.subgraph.graph import Student, nearest, of_scale_one
from search.subgraph.residual_network import GatedResidual, ResidualStudent
from search.subgraph.words import ALIKE
from spaces.draw import Draw
from spaces.resnet.network import ResNetBlock, ResNetShape

GROUPS = 8
"""Groups of channels a block."""
DRAWS = 20
"""Times that a random subgraph is looked for."""


def whole(shape: ResNetShape, size: int) -> ResidualStudent:
    """The ResNet of a shape with nothing cut out."""
    return ResidualStudent(shape, tuple(block.channels_out for stage in shape.stages() for block in stage), size)


@dataclass(frozen=True)
class ResidualGraph:
    """A `ResidualGraph` has a gate for each block of a ResNet and for `groups` of channels in it, 0 where blocks alone
    have gates.
    """

    shape: ResNetShape
    size: int
    groups: int

    def blocks(self) -> list[ResNetBlock]:
        """Return the blocks of all stages, in order."""
        return [block for stage in self.shape.stages() for block in stage]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the gates: a block's own, where it can be cut out, then those of its groups."""
        return tuple(f"{block.name}{'' if group is None else f'/{group}'}" for block, group in self.elements())

    def elements(self) -> list[tuple[ResNetBlock, int | None]]:
        """Return block and group of each gate, in their order; the group None is the block itself."""
        found: list[tuple[ResNetBlock, int | None]] = []
        for block in self.blocks():
            found += [] if block.is_projected else [(block, None)]
            found += [(block, group) for group in range(self.groups)]
        return found

    @property
    def parameters(self) -> int:
        return whole(self.shape, self.size).parameters

    def record(self) -> dict[str, Any]:
        return {"resnet": asdict(self.shape), "size": self.size}

    def prices(self) -> torch.Tensor:
        """Return what closing a gate alone saves, in weights of convolutions; at least a tenth of the dearest."""
        sizes = [
            9 * block.channels_out * (block.channels_in + block.channels_out) / (1 if group is None else self.groups)
            for block, group in self.elements()
        ]
        return torch.tensor([max(size / max(sizes), 0.1) for size in sizes])

    def settled(self, before: torch.Tensor, after: torch.Tensor, budget: int) -> torch.Tensor:
        """Close the groups of closed blocks, keep one group of each open block, and scale its groups to a root mean
        square of 1.

        The batch norm behind the groups undoes a common factor; a block's own gate keeps its scale, which counts beside
        the shortcut.
        """
        after = after.clone()
        elements = self.elements()
        own = torch.tensor([group is None for _, group in elements])
        for block in self.blocks():
            of_block = torch.tensor([element[0] == block for element in elements])
            groups = of_block & ~own
            if not groups.any():
                continue
            if (of_block & own).any() and after[of_block & own].item() == 0:
                after[groups] = 0
                continue
            if not after[groups].any():
                largest = torch.where(groups, before, -1).argmax()
                after[largest] = before[largest]
            after[groups] = of_scale_one(after[groups])
        return after

    def student(self, gates: torch.Tensor) -> ResidualStudent:
        values = dict(zip(self.elements(), gates.tolist(), strict=True))
        middles = []
        for block in self.blocks():
            opened = [values[block, group] > 0 for group in range(self.groups)]
            share = sum(opened) / self.groups if self.groups else 1
            middles.append(round(share * block.channels_out) if values.get((block, None), 1.0) > 0 else 0)
        return ResidualStudent(self.shape, tuple(middles), self.size)

    def kept(self, gates: torch.Tensor) -> list[str]:
        return [name for name, gate in zip(self.names, gates.tolist(), strict=True) if gate]

    def smallest(self) -> int:
        closed = torch.zeros(len(self.names))
        return self.student(self.settled(closed + 1, closed, 0)).parameters

    def network(self, seed: int, init: str) -> GatedResidual:
        return GatedResidual(self, Draw(seed, init, role="gates "))

    def rivals(self, found: Student, budget: int, count: int, rng: random.Random) -> dict[str, list[Student]]:
        """Return the networks to compare with. For `random`, gates are closed in random order until the network is of
        equal size, except those whose closing would leave too little: different networks, as many as some draws find.
        """
        target = found.parameters
        alike: dict[Student, None] = {}
        for _ in range(DRAWS * count):
            drawn = self._random(target, min(budget, int((1 + ALIKE) * target)), rng)
            if drawn is not None and drawn != found:
                alike[drawn] = None
            if len(alike) == count:
                break
        return {
            "random": [*alike],
            "largest": [],
            "width": nearest(self._cuts(narrow=True, shallow=False), target, budget),
            "depth": nearest(self._cuts(narrow=False, shallow=True), target, budget),
            "both": nearest(self._cuts(narrow=True, shallow=True), target, budget),
        }

    def _random(self, target: int, most: int, rng: random.Random) -> Student | None:
        gates = torch.ones(len(self.names))
        for number in rng.sample(range(len(gates)), len(gates)):
            if self.student(gates).parameters <= most:
                return self.student(gates)
            closed = gates.clone()
            closed[number] = 0
            closed = (self.settled(gates, closed, 0) > 0).float()
            if self.student(closed).parameters >= (1 - ALIKE) * target:
                gates = closed
        return self.student(gates) if self.student(gates).parameters <= most else None

    def _cuts(self, narrow: bool, shallow: bool) -> list[Student]:
        shape, base, deepest = self.shape, self.shape.widths[0], max(self.shape.depths)
        return [
            whole(ResNetShape((n, n, n), shape.classes, (C, 2 * C, 4 * C), C), self.size)
            for C in (range(1, base) if narrow else (base,))
            for n in (range(1, deepest) if shallow else (deepest,))
        ]
