"""CIFAR at half its side: the mean of every 2 x 2 pixels, on which a small network trains in seconds on one core."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.errors import unknown
from images.base import DataSet, Split
from images.cifar import Cifar

SOURCES = {
    "cifar10-16px": "cifar10",
    "cifar100-16px": "cifar100",
    "cifar10-16px-subset": "cifar10-subset",
    "cifar100-16px-subset": "cifar100-subset",
}
"""Data set of 16 x 16 pixels: the one of 32 x 32 that it is made of."""


class HalvedCifar(DataSet):
    """`cifar10-16px` or `cifar100-16px`, whole or `-subset`: the splits of CIFAR, its images averaged.

    Images, their order and the draws of `training_images` are those of the source, and so are `mean` and `std`: the
    mean is the same by construction, the deviation some tenth smaller. Raises BadUsage and BadInput as `Cifar` does.
    """

    pad = 2
    border = "reflect"

    def __init__(self, name: str, data: Path | None) -> None:
        if name not in SOURCES:
            raise unknown("data set", name, SOURCES)
        self.name = name
        self._source = Cifar(SOURCES[name], data)
        self.classes, self.mean, self.std = self._source.classes, self._source.mean, self._source.std
        self.size = self._source.size // 2

    def split(self, name: str) -> Split:
        return _halved(self._source.split(name))

    def training_images(self, seed: int, count: int) -> Split:
        return _halved(self._source.training_images(seed, count))


def load(name: str, data: Path | None) -> HalvedCifar:
    """The data set of a name in `images.registry`."""
    return HalvedCifar(name, data)


def _halved(split: Split) -> Split:
    """Images uint8 [N, 3, H, W] as uint8 [N, 3, H / 2, W / 2]; means are rounded, halves up: equal on every machine."""
    n, channels, height, width = split.images.shape
    fours = split.images.reshape(n, channels, height // 2, 2, width // 2, 2)
    return Split(((fours.sum((3, 5), dtype=np.uint16) + 2) // 4).astype(np.uint8), split.labels)
