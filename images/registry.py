"""Data sets by name: those here, of installed packages (entry points `diswot_bench.data_sets`), of the user's files."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

from common import modules
from common.errors import BadInput, unknown
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


def data_sets_in(module: ModuleType) -> list[tuple[str, str]]:
    """The names of the data sets whose classes a module holds, and the modules that define these.

    Raises BadInput where such a module has no function `load`.
    """
    found = []
    for cls in vars(module).values():
        if inspect.isclass(cls) and issubclass(cls, DataSet) and not inspect.isabstract(cls) and hasattr(cls, "name"):
            if not callable(getattr(import_module(cls.__module__), "load", None)):
                raise BadInput(
                    f"{module.__file__}: the data set {cls.name} needs a function load(name, data) beside it"
                )
            found.append((cls.name, cls.__module__))
    return found


def data_sets() -> dict[str, str]:
    """The module of each data set that is known. Raises BadInput where a name stands for two."""
    return modules.named("data set", DATA_SETS, modules.of_users("diswot_bench.data_sets"), data_sets_in)


def load(name: str, data: Path | None = None) -> DataSet:
    """The data set `name`; `data` is the folder given as `--data`, where the data set needs one.

    Raises BadUsage for an unknown name and BadInput for a missing, truncated or foreign file.
    """
    known = data_sets()
    if name not in known:
        raise unknown("data set", name, known)
    found: DataSet = import_module(known[name]).load(name, data)
    return found
