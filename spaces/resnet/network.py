"""The residual networks of CIFAR, with basic blocks: ResNets after the sum, Wide ResNets pre-activated.

They are teachers, and by their depths a search space. Weights are draws keyed by position (spaces/draw.py), so
equal positions of networks of different depth hold equal weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from common.errors import BadUsage, unknown
from spaces.draw import Draw
from spaces.output import Output
from spaces.resnet.names import RESNETS


class ResNetBlock(NamedTuple):
    """One basic block: two 3x3 convolutions, the first with the stride, beside a shortcut."""

    name: str
    """As in the state dict: `stages.<stage>.<number>`, both from 0."""
    channels_in: int
    channels_out: int
    stride: int

    @property
    def is_projected(self) -> bool:
        """Whether the shortcut is a 1x1 convolution: where the shape changes."""
        return self.stride != 1 or self.channels_in != self.channels_out


@dataclass(frozen=True)
class ResNetShape:
    """Stem of `stem` channels, then three stages of `depths` blocks and `widths` channels; two of them halve the map.

    `preactivated` is the form of Wide ResNets: BN-ReLU before each convolution instead of behind it, and one more
    BN-ReLU before the head.
    """

    depths: tuple[int, int, int]
    classes: int
    widths: tuple[int, int, int] = (16, 32, 64)
    stem: int = 16
    preactivated: bool = False

    def stages(self) -> Iterator[list[ResNetBlock]]:
        """The blocks of each stage."""
        channels = self.stem
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True)):
            blocks = []
            for number in range(depth):
                stride = 2 if stage and not number else 1
                blocks.append(ResNetBlock(f"stages.{stage}.{number}", channels, width, stride))
                channels = width
            yield blocks


def resnet_shape(depth: int, classes: int) -> ResNetShape:
    """ResNet-`depth` of He et al. 2016 (arXiv 1512.03385, section 4.2), depth = 6 n + 2 with n blocks a stage.

    The shortcut of a block that changes the shape is 1x1 convolution and batch norm, as in the distillation
    literature; the paper pads with zeros. On 100 classes ResNet-20 has 278,324 parameters. Raises BadUsage for another
    depth.
    """
    n = _blocks_a_stage("ResNet", depth, 2)
    return ResNetShape((n, n, n), classes)


def wide_shape(depth: int, widen: int, classes: int) -> ResNetShape:
    """WRN-`depth`-`widen` of Zagoruyko & Komodakis 2016 (arXiv 1605.07146): depth = 6 n + 4 with n blocks a stage,
    widths 16, 32 and 64 times `widen`, no dropout. On 100 classes WRN-40-2 has 2,255,156 parameters.

    Raises BadUsage for another depth.
    """
    n = _blocks_a_stage("WRN", depth, 4)
    return ResNetShape((n, n, n), classes, (16 * widen, 32 * widen, 64 * widen), preactivated=True)


def _blocks_a_stage(family: str, depth: int, others: int) -> int:
    """n of depth = 6 n + others: two convolutions a block, three stages."""
    n, rest = divmod(depth - others, 6)
    if rest or n < 1:
        raise BadUsage(f"{family} of depth {depth}: the depth must be 6 n + {others}")
    return n


_WIDE = ("wrn-16-2", "wrn-16-4", "wrn-28-10", "wrn-40-1", "wrn-40-2", "wrn-40-4")
"""Examples, to suggest; any depth 6 n + 4 and widening factor will do."""


def shape_named(name: str, classes: int) -> ResNetShape:
    """The shape of `resnet20`, `resnet32`, `resnet44`, `resnet56`, `resnet110` or `wrn-<depth>-<widen>`.

    Raises BadUsage for another name or depth.
    """
    if name in RESNETS:
        return resnet_shape(RESNETS[name], classes)
    wide = re.fullmatch(r"wrn-([1-9]\d{0,2})-([1-9]\d?)", name, re.ASCII)
    if wide is None:
        raise unknown("teacher network", name, [*RESNETS, *_WIDE])
    return wide_shape(int(wide[1]), int(wide[2]), classes)


class _Block(nn.Module):
    """The modules of a block under names that the state dict keeps; a shortcut that is the input has none."""

    def __init__(self, block: ResNetBlock, draw: Draw, position: str, preactivated: bool) -> None:
        super().__init__()
        i, o = block.channels_in, block.channels_out
        self.conv1 = draw.conv(f"{position}/conv1", i, o, 3, block.stride)
        self.bn1 = draw.bn(f"{position}/bn1", i if preactivated else o)
        self.relu1 = nn.ReLU()
        self.conv2 = draw.conv(f"{position}/conv2", o, o, 3)
        self.bn2 = draw.bn(f"{position}/bn2", o)
        self.relu2 = nn.ReLU()
        self.shortcut: nn.Module | None = None
        self.stride = block.stride
        if block.is_projected:
            conv = draw.conv(f"{position}/shortcut", i, o, 1)
            self.shortcut = conv if preactivated else nn.Sequential(conv, draw.bn(f"{position}/shortcut/bn", o))

    def beside(self, x: torch.Tensor) -> torch.Tensor:
        """The shortcut: x, or its projection, a 1x1 convolution of every stride-th pixel.

        The pixels are picked in front of it: the weight gradient of a strided 1x1 convolution of fewer than eight
        channels, channels last, writes past its memory in torch 2.13 on CPUs without AVX-512.
        """
        if self.shortcut is None:
            return x
        picked = x[:, :, :: self.stride, :: self.stride].contiguous(memory_format=torch.channels_last)
        projected: torch.Tensor = self.shortcut(picked)
        return projected


class BasicBlock(_Block):
    """ReLU(BN(conv(ReLU(BN(conv(x))))) + shortcut(x)), the projecting shortcut a convolution and a batch norm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu2(y + self.beside(x))


class PreactivatedBlock(_Block):
    """conv(ReLU(BN(conv(a)))) + shortcut, a = ReLU(BN(x)); the shortcut is x, or a 1x1 convolution of a."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.relu1(self.bn1(x))
        y = self.conv2(self.relu2(self.bn2(self.conv1(a))))
        return y + (x if self.shortcut is None else self.beside(a))


class ResNet(nn.Module):
    """The network of a shape; `forward` gives an `Output`, and the output of `stem` is that of a module of its own.

    It holds the draw's own leaf modules, not copies: build from a draw of its own what is to be trained. One draw
    serves shapes that differ in depth; raises ValueError where it has served another stem, widths or classes.
    """

    def __init__(self, shape: ResNetShape, draw: Draw) -> None:
        super().__init__()
        self.shape = shape
        wide = shape.preactivated
        family = "wrn" if wide else "resnet"  # keeps the draws of families apart, and from those of cells
        block_class = PreactivatedBlock if wide else BasicBlock
        stem = draw.conv(f"{family}/stem", 3, shape.stem, 3)
        behind = [] if wide else [draw.bn(f"{family}/stem/bn", shape.stem), nn.ReLU()]
        self.stem = nn.Sequential(stem, *behind)
        self.stages = nn.ModuleList(
            nn.Sequential(*(block_class(block, draw, f"{family}/{block.name}", wide) for block in blocks))
            for blocks in shape.stages()
        )
        width = shape.widths[-1]
        self.lastact = nn.Sequential(draw.bn(f"{family}/lastact", width), nn.ReLU()) if wide else nn.Identity()
        self.classifier = draw.linear(f"{family}/classifier", width, shape.classes)

    @property
    def blocks(self) -> list[nn.Module]:
        """The stem and the residual blocks behind it."""
        return [self.stem, *(block for stage in self.stages for block in stage.children())]

    def forward(self, images: torch.Tensor) -> Output:
        """Images [B, 3, H, W], normalised. `features` are the ends of the three stages: of a ResNet after the ReLU
        behind the sum, of a Wide ResNet the sums, of which only the last is behind a BN-ReLU.
        """
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        features[-1] = x = self.lastact(x)
        pooled = x.mean(dim=(2, 3))
        return Output(self.classifier(pooled), pooled, tuple(features))


def teacher_network(
    name: str, classes: int, seed: int, init: str = "kaiming", *, device: torch.device | str = "cpu"
) -> ResNet:
    """The named network (`shape_named`) at its initialisation, of a draw that no student of any seed shares.

    `init` is one of `default`, `kaiming` and `gaussian` (spaces/draw.py). Our `kaiming` has the variance 2 / fan-in
    for the classifier too; the distillation literature's is 2 / fan-out for convolutions and PyTorch's own for the
    classifier. The two differ in the stem, in convolutions that change the width, and in the classifier.
    """
    return ResNet(shape_named(name, classes), Draw(seed, init, role="teacher ", device=device))


def count_parameters(shape: ResNetShape) -> int:
    """Trainable parameters: weights of convolutions, batch norms and the classifier with its bias."""
    total = 27 * shape.stem
    normed = shape.widths[-1] if shape.preactivated else shape.stem  # channels with a batch norm: 2 parameters each
    for blocks in shape.stages():
        for block in blocks:
            i, o = block.channels_in, block.channels_out
            total += 9 * i * o + 9 * o * o
            normed += (i if shape.preactivated else o) + o
            if block.is_projected:
                total += i * o
                normed += 0 if shape.preactivated else o
    return total + 2 * normed + (shape.widths[-1] + 1) * shape.classes


def count_multiply_adds(shape: ResNetShape, size: int = 32) -> int:
    """Multiply-adds of all convolutions and the classifier for one image of `size` pixels a side; batch norms, sums
    and pooling not counted.
    """
    total = 27 * shape.stem * size**2
    for blocks in shape.stages():
        for block in blocks:
            i, o = block.channels_in, block.channels_out
            size = (size + block.stride - 1) // block.stride
            total += (9 * i * o + 9 * o * o + i * o * block.is_projected) * size**2
    return total + shape.widths[-1] * shape.classes


def count_layers(shape: ResNetShape) -> int:
    """Convolutions, those of shortcuts too, and the classifier."""
    blocks = [block for stage in shape.stages() for block in stage]
    return 2 + sum(2 + block.is_projected for block in blocks)  # 2: stem and classifier
