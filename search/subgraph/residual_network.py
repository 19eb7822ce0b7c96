"""Basic blocks with gates, and the smaller ResNet that is left when some are closed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch
from torch import nn

from search.subgraph.graph import Gated, Graph
from spaces.draw import Draw
from spaces.output import Output
from spaces.resnet.network import ResNetBlock, ResNetShape


def _norm(draw: Draw, position: str, channels: int, gated: bool) -> nn.Module:
    """A batch norm; beside gates one without a scale of its own, which would make up for a gate's."""
    if gated:
        return nn.BatchNorm2d(channels, affine=False, momentum=draw.momentum)
    return draw.bn(position, channels)


class _Block(nn.Module):
    """ReLU(gate BN(conv(groups ReLU(BN(conv(x))))) + shortcut(x)); without gates a basic block of `middle` channels.

    Gates stand behind the batch norms, which would undo a factor in front of them.
    """

    def __init__(self, block: ResNetBlock, middle: int, draw: Draw, gated: bool) -> None:
        super().__init__()
        i, o, name = block.channels_in, block.channels_out, block.name

        self.conv1 = draw.conv(f"{name}/conv1", i, middle, 3, block.stride)
        self.bn1 = _norm(draw, f"{name}/bn1", middle, gated)
        self.conv2 = draw.conv(f"{name}/conv2", middle, o, 3)
        self.bn2 = _norm(draw, f"{name}/bn2", o, gated)
        self.shortcut: nn.Module | None = None
        if block.is_projected:
            # every stride-th pixel is read in front of it: a strided 1x1 convolution of five channels, channels last,
            # kills the process in torch 2.13's backward pass
            self.stride = block.stride
            conv = draw.conv(f"{name}/shortcut", i, o, 1)
            self.shortcut = nn.Sequential(conv, _norm(draw, f"{name}/shortcut/bn", o, gated))

    def forward(
        self, x: torch.Tensor, gate: torch.Tensor | None = None, groups: torch.Tensor | None = None
    ) -> torch.Tensor:
        """`groups` [C] are those of the channels in the middle."""
        y = self.bn1(self.conv1(x)).relu()
        if groups is not None:
            y = groups[:, None, None] * y
        y = self.bn2(self.conv2(y))
        if gate is not None:
            y = gate * y
        beside = x if self.shortcut is None else self.shortcut(x[:, :, :: self.stride, :: self.stride])
        return (y + beside).relu()


class _Frame(nn.Module):
    """The stem in front of the blocks and the classifier behind them."""

    def __init__(self, shape: ResNetShape, draw: Draw, gated: bool) -> None:
        super().__init__()
        conv, norm = draw.conv("stem", 3, shape.stem, 3), _norm(draw, "stem/bn", shape.stem, gated)
        self.stem = nn.Sequential(conv, norm, nn.ReLU())
        self.classifier = draw.linear("classifier", shape.widths[-1], shape.classes)

    def read(self, images: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.stem(images.contiguous(memory_format=torch.channels_last))
        return x

    def answer(self, x: torch.Tensor) -> Output:
        pooled = x.mean(dim=(2, 3))
        return Output(self.classifier(pooled), pooled, (x,))


@dataclass(frozen=True)
class ResidualStudent:
    """A `ResidualStudent` is a ResNet of basic blocks with `middles` channels between the convolutions of each, 0 where
    the block is cut out.
    """

    shape: ResNetShape
    middles: tuple[int, ...]
    size: int
    """Side of the images in pixels."""

    def blocks(self) -> list[tuple[ResNetBlock, int]]:
        """Return the blocks that are left, with their middle channels."""
        every = [block for stage in self.shape.stages() for block in stage]
        return [(block, middle) for block, middle in zip(every, self.middles, strict=True) if middle]

    @property
    def label(self) -> str:
        """The stem's channels and every block's middle ones, stages apart."""
        left = iter(self.middles)
        stages = ("-".join(str(next(left)) for _ in stage) for stage in self.shape.stages())
        return f"resnet {self.shape.stem}: {' | '.join(stages)}"

    @property
    def parameters(self) -> int:
        total = 29 * self.shape.stem + (self.shape.widths[-1] + 1) * self.shape.classes
        for block, m in self.blocks():
            i, o = block.channels_in, block.channels_out
            total += 9 * m * (i + o) + 2 * (m + o) + (i + 2) * o * block.is_projected
        return total

    @property
    def multiply_adds(self) -> int:
        side = self.size
        total = 27 * self.shape.stem * side**2 + self.shape.widths[-1] * self.shape.classes
        for block, m in self.blocks():
            i, o = block.channels_in, block.channels_out
            side = (side + block.stride - 1) // block.stride
            total += (9 * m * (i + o) + i * o * block.is_projected) * side**2
        return total

    def record(self) -> dict[str, Any]:
        return {"resnet": asdict(self.shape), "middles": list(self.middles)}

    def build(self, seed: int, init: str) -> nn.Module:
        return ResidualNetwork(self, Draw(seed, init))


class ResidualNetwork(nn.Module):
    """The network of a student."""

    def __init__(self, student: ResidualStudent, draw: Draw) -> None:
        super().__init__()
        self.frame = _Frame(student.shape, draw, gated=False)
        self.blocks = nn.ModuleList(_Block(block, middle, draw, gated=False) for block, middle in student.blocks())

    def forward(self, images: torch.Tensor) -> Output:
        """Images [B, 3, H, W], normalised."""
        x = self.frame.read(images)
        for block in self.blocks:
            x = block(x)
        return self.frame.answer(x)


class ResidualGates(Graph, Protocol):
    """A graph of the blocks of a ResNet and of groups of channels in them."""

    @property
    def shape(self) -> ResNetShape: ...
    @property
    def groups(self) -> int: ...
    def blocks(self) -> list[ResNetBlock]: ...
    def elements(self) -> list[tuple[ResNetBlock, int | None]]: ...


class GatedResidual(Gated):
    """The whole ResNet of a graph, with its gates. Of a closed group no channel is left, of a closed block nothing."""

    def __init__(self, graph: ResidualGates, draw: Draw) -> None:
        super().__init__()
        self.graph: ResidualGates = graph
        self.gates = nn.Parameter(torch.ones(len(graph.names)))
        self.frame = _Frame(graph.shape, draw, gated=True)
        self.blocks = nn.ModuleList(_Block(block, block.channels_out, draw, gated=True) for block in graph.blocks())
        self.places = {element: place for place, element in enumerate(graph.elements())}

    def forward(self, images: torch.Tensor) -> Output:
        """Images [B, 3, H, W], normalised."""
        gates = self.gates * (self.gates.detach() > 0)
        x = self.frame.read(images)
        for block, module in zip(self.graph.blocks(), self.blocks, strict=True):
            place = self.places.get((block, None))
            if place is not None and not gates[place]:
                continue  # the shortcut: what the block reads is behind a ReLU already
            groups = None
            if self.graph.groups:
                first = self.places[block, 0]
                of_groups = gates[first : first + self.graph.groups]
                groups = of_groups.repeat_interleave(block.channels_out // self.graph.groups)
            x = module(x, None if place is None else gates[place], groups)
        return self.frame.answer(x)
