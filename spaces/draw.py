"""One random draw of the weights of all architectures of a space at once.

The tensor at (block, edge, operation) is drawn from a generator keyed by (seed, that position, initialisation),
whatever cell it serves. A network is the part of the draw that its cell names, so its numbers depend neither on which
networks were built before nor on how work is split, and all cells are compared under common random numbers.
"""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import torch
from torch import nn

from common.errors import unknown
from spaces.inits import INITS
from spaces.layers import UndrawnConv2d, UndrawnLinear


class ConvBn(NamedTuple):
    """A convolution without bias and the batch norm behind it."""

    conv: nn.Conv2d
    bn: nn.BatchNorm2d


class Draw:
    """The leaf modules of a draw, made when first asked for and then shared by every network built from it.

    `init`: `default` is PyTorch's, uniform in +-1/sqrt(fan-in), classifier bias too; `kaiming` is normal with standard
    deviation sqrt(2 / fan-in), bias 0; `gaussian` is N(0, 1), bias 0. Batch norms start at weight 1, bias 0.
    `momentum` is that of the batch norms' running statistics; 0 leaves them as they are, so that observing a network
    changes nothing. Draws are made in float32 on the CPU, then moved to `device`: they do not depend on the device.
    `role` names a further, independent draw of the same seed: a teacher's weights are not those of any student.
    """

    def __init__(
        self,
        seed: int,
        init: str = "default",
        *,
        role: str = "",
        momentum: float = 0.1,
        device: torch.device | str = "cpu",
    ) -> None:
        if init not in INITS:
            raise unknown("initialisation", init, INITS)
        self.seed = seed
        self.init = init
        self.role = role
        self.momentum = momentum
        self.device = torch.device(device)
        self._leaves: dict[str, nn.Module] = {}

    def _key(self, position: str, *sizes: int) -> str:
        """What the leaf of these sizes at `position` is kept under: networks of a draw may differ in width."""
        return "/".join([position, *map(str, sizes)])

    def draw(self, position: str, shape: tuple[int, ...], fan_in: int) -> torch.Tensor:
        """The tensor at `position`: equal arguments give equal values, on every machine and in every order."""
        key = hashlib.blake2b(f"{self.seed}/{self.init}/{self.role}{position}".encode(), digest_size=8)
        generator = torch.Generator().manual_seed(int.from_bytes(key.digest(), "little", signed=True))
        if self.init == "default":
            bound = 1 / math.sqrt(fan_in)
            return torch.empty(shape).uniform_(-bound, bound, generator=generator)
        std = 1.0 if self.init == "gaussian" else math.sqrt(2 / fan_in)
        return torch.empty(shape).normal_(0, std, generator=generator)

    def conv(self, position: str, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
        """The convolution at `position`, padded to keep the size, without bias, channels last."""
        key = self._key(position, channels_in, channels_out, kernel, stride)
        if key not in self._leaves:
            conv = UndrawnConv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False)
            weight = self.draw(position, (channels_out, channels_in, kernel, kernel), channels_in * kernel**2)
            conv.weight = nn.Parameter(weight.to(self.device, memory_format=torch.channels_last))
            self._leaves[key] = conv
        leaf = self._leaves[key]
        assert isinstance(leaf, nn.Conv2d)
        return leaf

    def bn(self, position: str, channels: int) -> nn.BatchNorm2d:
        """The batch norm at `position`."""
        key = self._key(position, channels)
        if key not in self._leaves:
            self._leaves[key] = nn.BatchNorm2d(channels, momentum=self.momentum, device=self.device)
        leaf = self._leaves[key]
        assert isinstance(leaf, nn.BatchNorm2d)
        return leaf

    def conv_bn(self, position: str, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> ConvBn:
        """The convolution at `position` and the batch norm behind it."""
        conv = self.conv(position, channels_in, channels_out, kernel, stride)
        return ConvBn(conv, self.bn(f"{position}/bn", channels_out))

    def linear(self, position: str, features: int, classes: int) -> nn.Linear:
        """The classifier at `position`."""
        key = self._key(position, features, classes)
        if key not in self._leaves:
            linear = UndrawnLinear(features, classes)
            linear.weight = nn.Parameter(self.draw(position, (classes, features), features).to(self.device))
            bias = torch.zeros(classes)
            if self.init == "default":
                bias = self.draw(f"{position}/bias", (classes,), features)
            linear.bias = nn.Parameter(bias.to(self.device))
            self._leaves[key] = linear
        leaf = self._leaves[key]
        assert isinstance(leaf, nn.Linear)
        return leaf


class NestedDraw(Draw):
    """A draw of networks that differ in width: a layer has the first rows and columns of the `widest` one's weights at
    its position, at the scale of its own fan-in, so that narrow networks are parts of wide ones.

    That makes them easier to compare: orders of two seeds agree more (docs/decisions/size-space.md). The leaf modules
    are kept with those of the draw that it is made from.
    """

    def __init__(self, draw: Draw, widest: int) -> None:
        super().__init__(draw.seed, draw.init, role=draw.role, momentum=draw.momentum, device=draw.device)
        self.widest = widest
        self._leaves = draw._leaves

    def _key(self, position: str, *sizes: int) -> str:
        return f"nested {self.widest}/{super()._key(position, *sizes)}"

    def draw(self, position: str, shape: tuple[int, ...], fan_in: int) -> torch.Tensor:
        """The first of what the widest layer has: [:rows, :columns]."""
        whole = (*(max(size, self.widest) for size in shape[:2]), *shape[2:])
        return super().draw(position, whole, fan_in)[tuple(map(slice, shape))].contiguous()
