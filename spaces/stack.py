"""M networks of one cell as one network: their channels side by side, so that each operation runs once for all.

A convolution over M networks is one of M groups, a batch norm is one over all their channels, and everything else works
on each channel alone. Small networks gain most: fewer and larger operations. docs/decisions/lockstep.md
has the measurements.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from spaces.draw import Draw
from spaces.layers import UndrawnConv2d


class StackedLinear(nn.Module):
    """Features [B, M * C] to logits [B, M * K]: the classifier of each network on its own share of the features."""

    def __init__(self, parts: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([part.weight.detach() for part in parts]))
        self.bias = nn.Parameter(torch.stack([part.bias.detach() for part in parts])[:, None])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        apart = features.unflatten(1, (len(self.weight), -1)).transpose(0, 1)
        return torch.baddbmm(self.bias, apart, self.weight.transpose(1, 2)).transpose(0, 1).flatten(1)


class Stack(Draw):
    """M draws side by side: a network built from them is M networks in one.

    They read `streams` batches of images, [B, streams * 3, H, W]: as many networks after one another read each. The
    parameters are copies of the draws'. Output and feature maps have the M networks along the channels: `unstack`.
    """

    def __init__(self, draws: Sequence[Draw], streams: int = 1) -> None:
        first = draws[0]
        super().__init__(first.seed, first.init, momentum=first.momentum, device=first.device)
        self.draws = list(draws)
        self.streams = streams

    def conv(self, position: str, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
        """A convolution of M groups; the stem has one for each stream of images."""
        parts = [draw.conv(position, channels_in, channels_out, kernel, stride) for draw in self.draws]
        count = len(parts)
        groups = self.streams if position == "stem" else count
        conv = UndrawnConv2d(
            groups * channels_in,
            count * channels_out,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
        )
        weight = torch.cat([part.weight.detach() for part in parts])
        conv.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        return conv

    def bn(self, position: str, channels: int) -> nn.BatchNorm2d:
        """One batch norm over the channels of all: statistics are per channel, so the networks do not mix."""
        return nn.BatchNorm2d(len(self.draws) * channels, momentum=self.momentum, device=self.device)

    def linear(self, position: str, features: int, classes: int) -> nn.Module:  # type: ignore[override]
        """The M classifiers, each on its own features."""
        return StackedLinear([draw.linear(position, features, classes) for draw in self.draws])


def unstack(values: torch.Tensor, count: int) -> torch.Tensor:
    """[B, M * C, ...] as [M, B, C, ...], a view."""
    return values.unflatten(1, (count, -1)).transpose(0, 1)
