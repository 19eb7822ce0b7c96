"""Data sets by name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from common.errors import unknown
from images.base import DataSet

DATA_SETS = {
    "digits": "images.digits",
    "cifar10": "images.cifar",
    "cifar100": "images.cifar",
    "cifar10-16px": "images.halved",
    "cifar100-16px": "images.halved",
    "imagenet16-120": "images.imagenet16",
}
"""The module of each data set, imported when it is asked for. Its function `load(name, data)` gives the data set."""
NAMES = tuple(DATA_SETS)


def load(name: str, data: Path | None = None) -> DataSet:
    """The data set `name`; `data` is the folder given as `--data`, where the data set needs one.

    Raises BadUsage for an unknown name and BadInput for a missing, truncated or foreign file.
    """
    if name not in DATA_SETS:
        raise unknown("data set", name, DATA_SETS)
    found: DataSet = import_module(DATA_SETS[name]).load(name, data)
    return found
