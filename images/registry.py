"""Data sets by name."""

from __future__ import annotations

from pathlib import Path

from common.errors import unknown
from images.base import DataSet

NAMES = ("digits", "cifar10", "cifar100", "cifar10-16px", "cifar100-16px", "imagenet16-120")


def load(name: str, data: Path | None = None) -> DataSet:
    """The data set `name`; `data` is the folder given as `--data`, where the data set needs one.

    Raises BadUsage for an unknown name and BadInput for a missing, truncated or foreign file.
    """
    if name == "digits":
        from images.digits import Digits

        return Digits()
    if name in ("cifar10", "cifar100"):
        from images.cifar import Cifar

        return Cifar(name, data)
    if name in ("cifar10-16px", "cifar100-16px"):
        from images.halved import HalvedCifar

        return HalvedCifar(name, data)
    if name == "imagenet16-120":
        from images.imagenet16 import ImageNet16

        return ImageNet16(data)
    raise unknown("data set", name, NAMES)
