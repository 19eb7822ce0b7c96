"""The NAS-Bench-201 network of a cell: in values and parameter names xautodl's `TinyNetwork`, built for speed.

Channels last, one ReLU for each node however many convolutions read it, one average pool for each node however many
edges ask for it, no work for `none`, and none for what the asker does not see (`sees`, spaces/nb201/equivalence.py).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from spaces.average_pool import average
from spaces.draw import ConvBn, Draw
from spaces.layers import relu
from spaces.nb201.cell import KERNEL, NONE, OPERATIONS, POOL, Cell, Edge
from spaces.nb201.skeleton import Block, CellSkeleton
from spaces.output import Output


class NodeReLU(nn.ReLU):
    """A ReLU that stands for `uses` equal ones: the benchmark puts one in front of every convolution of the node."""

    def __init__(self, uses: int) -> None:
        super().__init__()
        self.uses = uses

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return relu(input, self.uses)


class _Op(nn.Module):
    """Holds a ReLU-Conv-BN's parameters under the benchmark's names, `op.1` and `op.2`."""

    def __init__(self, pair: ConvBn) -> None:
        super().__init__()
        self.op = nn.ModuleDict({"1": pair.conv, "2": pair.bn})


class CellBlock(nn.Module):
    """One cell: each node is the sum of its edges' operations applied to their source nodes."""

    def __init__(self, block: Block, edges: Iterable[Edge], draw: Draw, all_convs: bool = True) -> None:
        """Without `all_convs`, of a convolution into a node that no edge leaves only the ReLU is run."""
        super().__init__()
        edges = list(edges)
        left = {edge.source for edge in edges} | {3}
        rectified = [edge for edge in edges if edge.operation in KERNEL]
        convs = [edge for edge in rectified if all_convs or edge.target in left]
        self.layers = nn.ModuleDict()
        self._pairs: dict[int, ConvBn] = {}  # the same modules without the cost of a look-up by name
        for edge in convs:
            position = f"{block.name}/{edge.position}/{OPERATIONS[edge.operation]}"
            pair = draw.conv_bn(position, block.channels_in, block.channels_out, KERNEL[edge.operation])
            self._pairs[edge.position] = pair
            self.layers[str(edge.position)] = _Op(pair)
        sources = [edge.source for edge in rectified]
        self.relus = nn.ModuleDict({str(node): NodeReLU(sources.count(node)) for node in sorted(set(sources))})
        self._into = [[edge for edge in edges if edge.target == node] for node in range(4)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes: list[torch.Tensor | None] = [x, None, None, None]  # None is a node that nothing has reached: zero
        rectified: dict[int, torch.Tensor] = {}
        pooled: dict[int, torch.Tensor] = {}
        for target in (1, 2, 3):
            total: torch.Tensor | None = None
            own = False  # what others read is not written to
            for edge in self._into[target]:
                source, value = edge.source, nodes[edge.source]
                if edge.operation in KERNEL:
                    if source not in rectified:
                        rectified[source] = self.relus[str(source)](torch.zeros_like(x) if value is None else value)
                    if edge.position not in self._pairs:
                        continue
                    conv, bn = self._pairs[edge.position]
                    value = bn(conv(rectified[source]))
                elif value is not None and edge.operation == POOL:
                    if source not in pooled:
                        pooled[source] = average(value)
                    value = pooled[source]
                if value is None:
                    continue
                if total is None:
                    total, own = value, edge.operation in KERNEL
                else:
                    total, own = (total.add_(value) if own else total + value), True
            nodes[target] = total
        output = nodes[3]
        return torch.zeros_like(x) if output is None else output


class ReductionBlock(nn.Module):
    """ReLU-Conv-BN with stride 2, ReLU-Conv-BN, plus a 2x2 average pool and 1x1 convolution of the input."""

    def __init__(self, block: Block, draw: Draw) -> None:
        super().__init__()
        i, o = block.channels_in, block.channels_out
        self.conv_a = _Op(draw.conv_bn(f"{block.name}/conv_a", i, o, 3, stride=2))
        self.conv_b = _Op(draw.conv_bn(f"{block.name}/conv_b", o, o, 3))
        self.downsample = nn.Sequential(nn.AvgPool2d(2, stride=2), draw.conv(f"{block.name}/downsample", i, o, 1))
        self.relu_a = nn.ReLU()
        self.relu_b = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = self.conv_a.op, self.conv_b.op
        y = a["2"](a["1"](self.relu_a(x)))
        y = b["2"](b["1"](self.relu_b(y)))
        return y.add_(self.downsample(x))


class CellNetwork(nn.Module):
    """The network of one cell: `cell` and `skeleton` say what was built, `forward` gives an `Output`.

    `sees` says what has to be run for the asker: the live `function`, what the `relus` of all convolutions read, or
    every operation (`executed` and finer). The network holds the draw's own leaf modules, not copies: build from a
    draw of its own what is to be trained.
    """

    def __init__(self, cell: Cell, skeleton: CellSkeleton, draw: Draw, sees: str = "function") -> None:
        super().__init__()
        self.cell = cell
        self.skeleton = skeleton
        self.sees = sees
        stem = draw.conv_bn("stem", 3, skeleton.channels, 3)
        self.stem = nn.Sequential(stem.conv, stem.bn)
        used = [edge for edge in cell.edges() if edge.operation != NONE]
        edges = cell.live_edges() if sees == "function" else used
        self.cells = nn.ModuleList(
            ReductionBlock(block, draw)
            if block.is_reduction
            else CellBlock(block, edges, draw, all_convs=sees != "relus")
            for block in skeleton.blocks()
        )
        self.lastact = nn.Sequential(draw.bn("lastact", skeleton.width), nn.ReLU())
        self.classifier = draw.linear("classifier", skeleton.width, skeleton.classes)

    def rebuilt(self, skeleton: CellSkeleton, draw: Draw) -> CellNetwork:
        """The network of the same cell on another skeleton, of another draw."""
        return CellNetwork(self.cell, skeleton, draw, self.sees)

    @property
    def blocks(self) -> list[nn.Module]:
        """The stem and the blocks behind it: cells and reductions."""
        return [self.stem, *self.cells]

    def forward(self, images: torch.Tensor) -> Output:
        """Images [B, 3, H, W], normalised."""
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        features = []
        for block in self.cells:
            if isinstance(block, ReductionBlock):
                features.append(x)
            x = block(x)
        x = self.lastact(x)
        features.append(x)
        pooled = x.mean(dim=(2, 3))
        return Output(self.classifier(pooled), pooled, tuple(features))
