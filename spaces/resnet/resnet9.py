"""A short, wide residual network of the kind that is trained on CIFAR in minutes: a teacher for small images."""

from __future__ import annotations

import torch
from torch import nn

from spaces.draw import Draw
from spaces.output import Output


class ResNet9(nn.Module):
    """Eight convolutions and a classifier, of C channels in the stem; maps of S x S pixels end at S / 8.

    stem: conv C; stage 1: conv 2 C, max pool, residual of two; stage 2: conv 4 C, max pool; stage 3: conv 8 C, max
    pool, residual of two; then the mean over pixels and the classifier. Every convolution is 3 x 3, without bias, with
    batch norm and ReLU behind it; pools halve the map. It holds the draw's own leaf modules, not copies.
    """

    def __init__(self, channels: int, classes: int, draw: Draw) -> None:
        super().__init__()

        def conv(place: str, i: int, o: int) -> nn.Sequential:
            name = f"resnet9/{place}"
            return nn.Sequential(draw.conv(name, i, o, 3), draw.bn(f"{name}/bn", o), nn.ReLU())

        C = channels
        self.stem = conv("stem", 3, C)
        self.widen = nn.ModuleList(conv(f"widen{n}", C * 2**n, C * 2 ** (n + 1)) for n in range(3))
        self.residual = nn.ModuleDict(
            {
                str(n): nn.Sequential(*(conv(f"residual{n}/{k}", C * 2 ** (n + 1), C * 2 ** (n + 1)) for k in range(2)))
                for n in (0, 2)
            }
        )
        self.pool = nn.MaxPool2d(2)
        self.classifier = draw.linear("resnet9/classifier", 8 * C, classes)

    def forward(self, images: torch.Tensor) -> Output:
        """Images [B, 3, S, S], normalised; `features` are the ends of the three stages."""
        x = self.stem(images.contiguous(memory_format=torch.channels_last))
        features = []
        for number, widen in enumerate(self.widen):
            x = self.pool(widen(x))
            if str(number) in self.residual:
                x = x + self.residual[str(number)](x)
            features.append(x)
        pooled = x.mean(dim=(2, 3))
        return Output(self.classifier(pooled), pooled, tuple(features))
