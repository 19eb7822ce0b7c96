"""NATS-Bench's size space: eight widths at each of five places around one cell, 32,768 networks.

Source: Dong, Liu, Musial, Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", TPAMI
2021 (arXiv 2009.00437). Order, cell and counts are those of its code: exps/NATS-Bench/main-sss.py and `xautodl`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from spaces.space import Build, Skeleton, Space

if TYPE_CHECKING:
    from torch import nn

    from spaces.draw import Draw

WIDTHS = (8, 16, 24, 32, 40, 48, 56, 64)
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
"""What stands at the first, third and fifth place of every network; at the two between them stand reductions."""


@dataclass(frozen=True)
class Sizes:
    """The widths at the five places; prints as `8:16:32:48:64`."""

    index: int
    widths: tuple[int, ...]

    def __str__(self) -> str:
        return ":".join(map(str, self.widths))


@dataclass(frozen=True)
class SizeSkeleton(Skeleton):
    """Stem as wide as the first place, cell, reduction, cell, reduction, cell; a width of 8 is `channels` channels.

    NATS-Bench has 8 channels, so that widths are what they are called, on 32-pixel images (ImageNet16-120: 16).
    """

    channels: int
    classes: int
    size: int

    def widths(self, architecture: Sizes) -> tuple[int, ...]:
        """Channels at the five places."""
        return tuple(width // WIDTHS[0] * self.channels for width in architecture.widths)

    @property
    def width(self) -> int:
        """Of the widest network."""
        return len(WIDTHS) * self.channels

    @property
    def described(self) -> str:
        return f"{self.channels} to {self.width} channels at each of five places"

    def record(self) -> dict[str, Any]:
        return {"space": SizeSpace.name, **asdict(self)}

    def convolutions(self, architecture: Sizes) -> Iterator[tuple[int, int, int, int, bool]]:
        """Channels in and out, kernel, side of the output map in pixels, and whether a batch norm is behind it."""
        widths, size = self.widths(architecture), self.size
        yield 3, widths[0], 3, size, True
        for place, (i, o) in enumerate(zip((widths[0], *widths), widths, strict=False)):
            if place % 2:
                size = (size + 1) // 2
                yield from [(i, o, 3, size, True), (o, o, 3, size, True), (i, o, 1, size, False)]
            else:
                yield from 2 * [(i, o, 3, size, True)] + 3 * [(o, o, 3, size, True)]
                if i != o:
                    yield i, o, 1, size, True

    def count_parameters(self, architecture: Sizes) -> int:
        features = self.widths(architecture)[-1]
        total = 2 * features + (features + 1) * self.classes
        for i, o, kernel, _, normed in self.convolutions(architecture):
            total += kernel**2 * i * o + 2 * o * normed
        return total

    def count_multiply_adds(self, architecture: Sizes) -> int:
        total = self.widths(architecture)[-1] * self.classes
        for i, o, kernel, size, _ in self.convolutions(architecture):
            total += kernel**2 * i * o * size**2
        return total

    def count_layers(self, architecture: Sizes) -> int:
        return 1 + len(list(self.convolutions(architecture)))

    def most_parameters(self) -> int:
        return self.count_parameters(SIZES.at(len(SIZES) - 1))


@dataclass(frozen=True)
class SizeSpace(Space):
    """32,768 networks in NATS-Bench's order, the last place fastest; a choice is a width. No two are one function."""

    name = "nats_sizes"
    called = "networks"
    choices = (tuple(map(str, WIDTHS)),) * 5

    def at(self, index: int) -> Sizes:
        return Sizes(index, tuple(WIDTHS[number] for number in self.chosen(index)))

    def builder(self, backbone: str) -> Build:
        return _network


def _network(sizes: Sizes, skeleton: SizeSkeleton, draw: Draw, sees: str) -> nn.Module:
    """Every operation of a network is live, whoever sees it."""
    from spaces.draw import NestedDraw
    from spaces.nats_sizes.network import SizeNetwork

    return SizeNetwork(skeleton.widths(sizes), skeleton.classes, NestedDraw(draw, skeleton.width))


SIZES = SizeSpace()
