"""The networks of NATS-Bench's size space: in values xautodl's `DynamicShapeTinyNet`.

A ReLU is run once for all convolutions that read it. Weights are draws keyed by place and edge, of which each network
has as many rows and columns as its widths say: build from a `NestedDraw`.
"""

from __future__ import annotations

import torch
from torch import nn

from spaces.draw import NestedDraw
from spaces.nb201.network import NodeReLU, ReductionBlock
from spaces.nb201.skeleton import Block
from spaces.output import Output


class SizeCell(nn.Module):
    """x_1 = c(x_0), x_2 = c(x_0) + c(x_1), x_3 = shortcut(x_0) + c(x_1) + c(x_2), from i channels to o.

    Each c is ReLU, 3x3 convolution, batch norm; the shortcut, where i and o differ, 1x1 convolution, batch norm.
    """

    def __init__(self, position: str, i: int, o: int, draw: NestedDraw) -> None:
        super().__init__()

        def conv(edge: str, i: int, kernel: int = 3) -> nn.Module:
            return nn.Sequential(*draw.conv_bn(f"{position}/{edge}", i, o, kernel))

        self.conv01, self.conv02, self.conv12 = conv("01", i), conv("02", i), conv("12", o)
        self.shortcut = nn.Identity() if i == o else conv("03", i, 1)
        self.conv13, self.conv23 = conv("13", o), conv("23", o)
        self.relu0, self.relu1, self.relu2 = NodeReLU(2), NodeReLU(2), NodeReLU(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.relu0(x)
        b = self.relu1(self.conv01(a))
        c = self.relu2(self.conv02(a).add_(self.conv12(b)))
        y: torch.Tensor = self.conv13(b).add_(self.conv23(c)).add_(self.shortcut(x))
        return y


class SizeNetwork(nn.Module):
    """The network of five widths; `forward` gives an `Output`. It holds the draw's own leaf modules, not copies."""

    def __init__(self, widths: tuple[int, ...], classes: int, draw: NestedDraw) -> None:
        super().__init__()
        self.stem = nn.Sequential(*draw.conv_bn("sizes/stem", 3, widths[0], 3))
        cells: list[nn.Module] = []
        for place, (i, o) in enumerate(zip((widths[0], *widths), widths, strict=False)):
            position = f"sizes/cells.{place}"
            if place % 2:
                cells.append(ReductionBlock(Block(position, True, i, o, 0), draw))
            else:
                cells.append(SizeCell(position, i, o, draw))
        self.cells = nn.ModuleList(cells)
        self.lastact = nn.Sequential(draw.bn("sizes/lastact", widths[-1]), nn.ReLU())
        self.classifier = draw.linear("sizes/classifier", widths[-1], classes)

    @property
    def blocks(self) -> list[nn.Module]:
        """The stem and the five blocks behind it."""
        return [self.stem, *self.cells]

    def forward(self, images: torch.Tensor) -> Output:
        """Images [B, 3, H, W], normalised. `features` are the outputs of the three cells, the last behind a BN-ReLU."""
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        features = []
        for place, block in enumerate(self.cells):
            x = block(x)
            if place % 2 == 0:
                features.append(x)
        features[-1] = x = self.lastact(x)
        pooled = x.mean(dim=(2, 3))
        return Output(self.classifier(pooled), pooled, tuple(features))
