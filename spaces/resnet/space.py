"""The depths of CIFAR ResNets as a `Space`: 1, 3, 5 or 7 basic blocks in each of three stages.

Source: Dong, Li, Wei, "DisWOT: Student Architecture Search for Distillation WithOut Training", CVPR 2023 (space S0).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from common.errors import BadUsage
from spaces.space import Build, Skeleton, Space

if TYPE_CHECKING:
    from torch import nn

    from spaces.draw import Draw
    from spaces.resnet.network import ResNetShape

DEPTHS = (1, 3, 5, 7)
_CODE = re.compile(r"\[?([1357])(?:, ?| ?)([1357])(?:, ?| ?)([1357])\]?")


@dataclass(frozen=True)
class Depths:
    """Blocks of the three stages; prints as a code such as 713."""

    blocks: tuple[int, int, int]

    def __str__(self) -> str:
        return "".join(map(str, self.blocks))

    @staticmethod
    def parse(text: str) -> Depths:
        """The depths of a code, also written as `7,1,3` or `[7, 1, 3]`. Raises BadUsage."""
        found = _CODE.fullmatch(text.strip())
        if found is None:
            known = ", ".join(map(str, DEPTHS))
            raise BadUsage(f"unknown depth code {text.strip()!r}: expected three depths of {known}, such as 713")
        return Depths((int(found[1]), int(found[2]), int(found[3])))

    @property
    def index(self) -> int:
        """Place in the lexicographic order, 0..63."""
        return _indices()[self.blocks]


@cache
def codes() -> tuple[Depths, ...]:
    """All 64 in lexicographic order, 111 to 777."""
    return tuple(Depths((a, b, c)) for a, b, c in itertools.product(DEPTHS, repeat=3))


@cache
def _indices() -> dict[tuple[int, ...], int]:
    return {code.blocks: index for index, code in enumerate(codes())}


@dataclass(frozen=True)
class ResNetSkeleton(Skeleton):
    """Stem of `channels`, three stages of C, 2 C and 4 C channels, two of which halve the map; basic blocks.

    The ResNets of CIFAR have 16 channels on 32-pixel images.
    """

    channels: int
    classes: int
    size: int

    def shape(self, depths: Depths) -> ResNetShape:
        """What spaces/resnet/network.py builds."""
        from spaces.resnet.network import ResNetShape

        C = self.channels
        return ResNetShape(depths.blocks, self.classes, (C, 2 * C, 4 * C), C)

    @property
    def described(self) -> str:
        depths = ", ".join(map(str, DEPTHS[:-1]))
        return f"{self.channels} channels and {depths} or {DEPTHS[-1]} residual blocks a stage"

    def record(self) -> dict[str, Any]:
        return {"space": DepthSpace.name, **asdict(self)}

    def count_parameters(self, architecture: Depths) -> int:
        from spaces.resnet.network import count_parameters

        return count_parameters(self.shape(architecture))

    def count_multiply_adds(self, architecture: Depths) -> int:
        from spaces.resnet.network import count_multiply_adds

        return count_multiply_adds(self.shape(architecture), self.size)

    def count_layers(self, architecture: Depths) -> int:
        from spaces.resnet.network import count_layers

        return count_layers(self.shape(architecture))

    def most_parameters(self) -> int:
        return self.count_parameters(codes()[-1])


@dataclass(frozen=True)
class DepthSpace(Space):
    """64 ResNets in the order of their codes; a choice is the depth of a stage. No two are the same function."""

    name = "resnet"
    called = "ResNets"
    choices = (tuple(map(str, DEPTHS)),) * 3

    def at(self, index: int) -> Depths:
        if not 0 <= index < len(codes()):
            raise BadUsage(f"network index {index} is out of range: the space resnet has 0 to {len(codes()) - 1}")
        return codes()[index]

    def resolve(self, text: str) -> int:
        """Codes have three digits, indices one or two."""
        if re.fullmatch(r"\s*[+-]?\d{1,2}\s*", text, re.ASCII):
            return self.at(int(text)).index
        return Depths.parse(text).index

    def builder(self, backbone: str) -> Build:
        return _network


def _network(depths: Depths, skeleton: ResNetSkeleton, draw: Draw, sees: str) -> nn.Module:
    """Every operation of a ResNet is live, whoever sees it."""
    from spaces.resnet.network import ResNet

    return ResNet(skeleton.shape(depths), draw)


RESNET = DepthSpace()
