"""The NAS-Bench-201 network of a cell: in values and parameter names xautodl's `TinyNetwork`, built for speed.

Channels last, one ReLU for each node however many convolutions read it, one average pool for each node however many
edges ask for it, no work for `none`, and none for what the asker does not see (`sees`, spaces/nb201/equivalence.py).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import torch
from torch import nn

from spaces.average_pool import average
from spaces.draw import ConvBn, Draw
from spaces.kept import Keep
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
        self.pairs: dict[int, ConvBn] = {}  # the same modules without the cost of a look-up by name
        for edge in convs:
            position = f"{block.name}/{edge.position}/{OPERATIONS[edge.operation]}"
            pair = draw.conv_bn(position, block.channels_in, block.channels_out, KERNEL[edge.operation])
            self.pairs[edge.position] = pair
            self.layers[str(edge.position)] = _Op(pair)
        sources = [edge.source for edge in rectified]
        self.relus = nn.ModuleDict({str(node): NodeReLU(sources.count(node)) for node in sorted(set(sources))})
        self.into = [[edge for edge in edges if edge.target == node] for node in (1, 2, 3)]

    def is_watched(self, node: int) -> bool:
        """Whether somebody is to be told of what the node's ReLU reads."""
        return bool(self.relus[str(node)]._forward_pre_hooks)

    def forward(self, x: torch.Tensor, keep: Keep | None = None) -> torch.Tensor:
        """`keep` has what other cells of the draw made of the same `x`, and gets what none has made yet."""
        nodes = _Nodes(self, x, keep)
        for edges in self.into:
            for edge in edges:
                nodes.add(edge)
        output = nodes.values[3]
        return torch.zeros_like(x) if output is None else output


class _Nodes:
    """A pass of a `CellBlock`: the values of its nodes, added up edge by edge."""

    def __init__(self, block: CellBlock, x: torch.Tensor, keep: Keep | None) -> None:
        self._block = block
        self._x = x
        self._keep = keep
        self.values: list[torch.Tensor | None] = [x, None, None, None]
        """None is a node that nothing has reached: zero."""
        self._sums: list[Hashable] = ["input", None, None, None]
        """What each value is the sum of, in order: with `x`, all that it depends on."""
        self._own = [False] * 4
        """What others read is not written to."""
        self._rectified: dict[int, torch.Tensor] = {}
        self._pooled: dict[int, torch.Tensor] = {}

    def add(self, edge: Edge) -> None:
        """What an edge brings is added to its target."""
        value, term, own = self._along(edge)
        if value is None:
            return
        target, total = edge.target, self.values[edge.target]
        if total is None:
            self.values[target], self._sums[target], self._own[target] = value, term, own
            return
        self.values[target] = total.add_(value) if self._own[target] else total + value
        self._sums[target], self._own[target] = (self._sums[target], term), True

    def _along(self, edge: Edge) -> tuple[torch.Tensor | None, Hashable, bool]:
        """What an edge brings, what that is, and whether nobody else reads it; None for zeros."""
        source = edge.source
        value, term = self.values[source], self._sums[source]
        if edge.operation in KERNEL:
            if self._keep is None or self._block.is_watched(source):  # else for convolutions that are not kept
                self._relu(source)
            if edge.position not in self._block.pairs:
                return None, None, False
            if self._keep is None:
                return self._convolved(edge), None, True
            term = (edge.position, edge.operation, term)
            return self._keep(term, lambda: self._convolved(edge)), term, False
        if value is not None and edge.operation == POOL:
            if source not in self._pooled:
                self._pooled[source] = average(value)
            value, term = self._pooled[source], (POOL, term)
        return value, term, False

    def _convolved(self, edge: Edge) -> torch.Tensor:
        conv, bn = self._block.pairs[edge.position]
        found: torch.Tensor = bn(conv(self._relu(edge.source)))
        return found

    def _relu(self, node: int) -> torch.Tensor:
        if node not in self._rectified:
            value = self.values[node]
            self._rectified[node] = self._block.relus[str(node)](torch.zeros_like(self._x) if value is None else value)
        return self._rectified[node]


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


class Stem(nn.Sequential):
    """The convolution of the images and its batch norm, which all cells of a draw share."""

    def forward(self, images: torch.Tensor, keep: Keep | None = None) -> torch.Tensor:
        def made() -> torch.Tensor:
            found: torch.Tensor = super(Stem, self).forward(images.contiguous(memory_format=torch.channels_last))
            return found

        return made() if keep is None else keep("stem", made)


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
        self.stem = Stem(stem.conv, stem.bn)
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

    def forward(self, images: torch.Tensor, keep: Keep | None = None) -> Output:
        """Images [B, 3, H, W], normalised.

        `keep` has what other cells of the draw made of the same images behind the stem and in their first cell, and
        gets what none has made yet: for whoever differentiates nothing, and the same to the bit.
        """
        x = self.stem(images, keep)
        features = []
        for block in self.cells:
            if isinstance(block, ReductionBlock):
                features.append(x)
            x, keep = (block(x) if keep is None else block(x, keep)), None
        x = self.lastact(x)
        features.append(x)
        pooled = x.mean(dim=(2, 3))
        return Output(self.classifier(pooled), pooled, tuple(features))
