"""Data sets by name."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from common.errors import BadUsage, unknown
from images.base import DataSet

DATA_SETS = {
    "digits": "images.digits",
    "cifar10": "images.cifar",
    "cifar100": "images.cifar",
    "cifar10-16px": "images.halved",
    "cifar100-16px": "images.halved",
    "cifar10-subset": "images.cifar",
    "cifar100-subset": "images.cifar",
    "cifar10-16px-subset": "images.halved",
    "cifar100-16px-subset": "images.halved",
    "imagenet16-120": "images.imagenet16",
    "folder": "images.folder",
}
"""The module of each data set, imported when it is asked for. Its function `load(name, data)` gives the data set."""
NAMES = tuple(DATA_SETS)


def load(name: str, data: Path | None = None) -> DataSet:
    """The data set `name`; `data` is the folder given as `--data`, where the data set needs one.

    A name may say the folder itself, `folder:~/birds`. Raises BadUsage for an unknown name, and for two folders, and
    BadInput for a missing, truncated or foreign file.
    """
    name, colon, folder = name.partition(":")
    if colon and data is not None:
        raise BadUsage(f"--data {data}: the images of this benchmark are those of {folder}")
    if colon and not folder:
        raise BadUsage(f"'{name}:' lacks a folder: write {name}:DIR")
    if colon:
        data = Path(folder).expanduser()
    if name not in DATA_SETS:
        raise unknown("data set", name, DATA_SETS)
    found: DataSet = import_module(DATA_SETS[name]).load(name, data)
    return found
