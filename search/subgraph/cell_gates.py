"""A network whose cells hold several operations at once, each behind a gate that all its cells share.

The graph from which a student is cut (Gu & Tresp, "Search for Better Students to Learn Distilled Knowledge", ECAI 2020,
arXiv 2001.11612): a teacher's, with one gate an edge, or every operation on every edge. No code of the paper is public:
this is a reconstruction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import nn

from search.subgraph.cell_choice import Choice
from search.subgraph.graph import Gated, Graph
from spaces.average_pool import average
from spaces.draw import Draw
from spaces.nb201.cell import EDGES, KERNEL, OPERATIONS, POOL
from spaces.nb201.network import ReductionBlock
from spaces.nb201.skeleton import Block, CellSkeleton
from spaces.output import Output


class CellChoices(Graph, Protocol):
    """A graph of choices on a skeleton."""

    @property
    def choices(self) -> tuple[Choice, ...]: ...
    @property
    def skeleton(self) -> CellSkeleton: ...


class GatedBlock(nn.Module):
    """One cell: a node is the sum of gate times operation over what leads to it; batch norms do not scale.

    The gate stands behind the batch norm, which would undo a factor in front of it.
    """

    def __init__(self, block: Block, choices: Sequence[Choice], draw: Draw) -> None:
        super().__init__()
        self.choices = tuple(choices)
        self.layers = nn.ModuleDict()
        for position, operation in choices:
            if operation in KERNEL:
                name = f"{block.name}/{position}/{OPERATIONS[operation]}"
                conv = draw.conv(name, block.channels_in, block.channels_out, KERNEL[operation])
                norm = nn.BatchNorm2d(block.channels_out, affine=False, momentum=draw.momentum)
                self.layers[f"{position}-{operation}"] = nn.Sequential(conv, norm.to(draw.device))

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
                    value = average(value)
                value = gates[choice] * value
                total = value if total is None else total + value
            nodes[target] = total
        output = nodes[3]
        return torch.zeros_like(x) if output is None else output


class GatedNetwork(Gated):
    """The network of a graph's choices on the draw's skeleton and weights, with one gate for each of them.

    With the gates of a cell's operations at 1 and the others at 0 it computes what the cell's own network computes.
    """

    def __init__(self, graph: CellChoices, draw: Draw) -> None:
        super().__init__()
        self.graph: CellChoices = graph
        skeleton = graph.skeleton
        self.gates = nn.Parameter(torch.ones(len(graph.choices), device=draw.device))
        stem = draw.conv_bn("stem", 3, skeleton.channels, 3)
        self.stem = nn.Sequential(stem.conv, stem.bn)
        self.cells = nn.ModuleList(
            ReductionBlock(block, draw) if block.is_reduction else GatedBlock(block, graph.choices, draw)
            for block in skeleton.blocks()
        )
        self.lastact = nn.Sequential(draw.bn("lastact", skeleton.width), nn.ReLU())
        self.classifier = draw.linear("classifier", skeleton.width, skeleton.classes)

    def forward(self, images: torch.Tensor) -> Output:
        """Images [B, 3, H, W], normalised."""
        pairs = zip(self.graph.choices, self.gates.tolist(), self.gates.unbind(), strict=True)
        gates = {choice: gate for choice, value, gate in pairs if value}
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
