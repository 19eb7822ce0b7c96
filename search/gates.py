"""A network whose cells hold several operations at once, each behind a gate that all its cells share.

The graph from which a student is cut (Gu & Tresp, "Search for Better Students to Learn Distilled Knowledge", ECAI 2020,
arXiv 2001.11612): a teacher's, with one gate an edge, or every operation on every edge. No code of the paper is public:
this is a reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from spaces.nb201 import CONV1, CONV3, EDGES, KERNEL, NONE, OPERATIONS, POOL, SKIP, Cell
from spaces.network import Output, ReductionBlock
from spaces.skeleton import Block
from spaces.supernet import Supernet


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


def on_paths(choices: Iterable[Choice]) -> tuple[Choice, ...]:
    """The choices that lie on a path from the cell's input to its output."""
    choices = tuple(choices)
    reached, needed = {0}, {3}
    for source, target in sorted(EDGES[choice.position] for choice in choices):
        if source in reached:
            reached.add(target)
    for source, target in sorted((EDGES[choice.position] for choice in choices), key=lambda edge: -edge[1]):
        if target in needed:
            needed.add(source)
    return tuple(c for c in choices if EDGES[c.position][0] in reached and EDGES[c.position][1] in needed)


def connected(choices: Iterable[Choice]) -> bool:
    """Whether a path leads from the cell's input to its output."""
    return bool(on_paths(choices))


def as_cell(choices: Iterable[Choice]) -> Cell:
    """The cell of at most one operation an edge; `none` where there is none."""
    operations = [NONE] * len(EDGES)
    for choice in choices:
        if operations[choice.position] != NONE:
            raise ValueError(f"two operations on edge {EDGES[choice.position]}")
        operations[choice.position] = choice.operation
    return Cell(tuple(operations))


class GatedBlock(nn.Module):
    """One cell: a node is the sum of gate times operation over what leads to it; batch norms do not scale.

    The gate stands behind the batch norm, which would undo a factor in front of it.
    """

    def __init__(self, block: Block, choices: Sequence[Choice], supernet: Supernet) -> None:
        super().__init__()
        self.choices = tuple(choices)
        self.layers = nn.ModuleDict()
        for position, operation in choices:
            if operation in KERNEL:
                name = f"{block.name}/{position}/{OPERATIONS[operation]}"
                conv = supernet.conv(name, block.channels_in, block.channels_out, KERNEL[operation])
                norm = nn.BatchNorm2d(block.channels_out, affine=False, momentum=supernet.momentum)
                self.layers[f"{position}-{operation}"] = nn.Sequential(conv, norm.to(supernet.device))
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: torch.Tensor, gates: Mapping[Choice, torch.Tensor]) -> torch.Tensor:
        """`gates`: those that are open. What they do not name is not computed, and what nothing reaches is zero."""
        nodes: list[torch.Tensor | None] = [x, None, None, None]
        rectified: dict[int, torch.Tensor] = {}
        for target in (1, 2, 3):
            total: torch.Tensor | None = None
            for choice in self.choices:
                source, into = EDGES[choice.position]
                value = nodes[source]
                if into != target or choice not in gates or value is None:
                    continue
                if choice.operation in KERNEL:
                    if source not in rectified:
                        rectified[source] = value.relu()
                    value = self.layers[f"{choice.position}-{choice.operation}"](rectified[source])
                elif choice.operation == POOL:
                    value = self.pool(value)
                value = gates[choice] * value
                total = value if total is None else total + value
            nodes[target] = total
        output = nodes[3]
        return torch.zeros_like(x) if output is None else output


class GatedNetwork(nn.Module):
    """The network of `choices` on the supernet's skeleton and weights, with one gate for each of them.

    With the gates of a cell's operations at 1 and the others at 0 it computes what the cell's own network computes.
    """

    def __init__(self, choices: Sequence[Choice], supernet: Supernet) -> None:
        super().__init__()
        skeleton = supernet.skeleton
        self.choices = tuple(choices)
        self.gates = nn.Parameter(torch.ones(len(choices), device=supernet.device))
        stem = supernet.conv_bn("stem", 3, skeleton.channels, 3)
        self.stem = nn.Sequential(stem.conv, stem.bn)
        self.cells = nn.ModuleList(
            ReductionBlock(block, supernet) if block.is_reduction else GatedBlock(block, choices, supernet)
            for block in skeleton.blocks()
        )
        self.lastact = nn.Sequential(supernet.bn("lastact", skeleton.width), nn.ReLU())
        self.classifier = supernet.linear("classifier", skeleton.width, skeleton.classes)

    @property
    def open(self) -> tuple[Choice, ...]:
        """The choices whose gate is not exactly 0."""
        return tuple(choice for choice, gate in zip(self.choices, self.gates.tolist(), strict=True) if gate)

    def weights(self) -> list[nn.Parameter]:
        """All parameters but the gates."""
        return [parameter for name, parameter in self.named_parameters() if name != "gates"]

    def forward(self, images: torch.Tensor) -> Output:
        """Images [B, 3, H, W], normalised."""
        opened = set(self.open)
        gates = {c: gate for c, gate in zip(self.choices, self.gates.unbind(), strict=True) if c in opened}
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        features = []
        for block in self.cells:
            if isinstance(block, GatedBlock):
                x = block(x, gates)
            else:
                features.append(x)
                x = block(x)
        x = self.lastact(x)
        pooled = x.mean(dim=(2, 3))
        return Output(self.classifier(pooled), pooled, (*features, x))
