"""Data sets by name: those here, of installed packages (entry points `diswot_bench.data_sets`), of the user's files."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

from common import modules
from common.errors import BadInput, BadUsage, unknown
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
"""The module of each data set, imported when it is asked for. Its function `load(name, data)` gives the data set.

`module:attribute` is the data set itself, which a user's file holds.
"""
NAMES = tuple(DATA_SETS)


def data_sets_in(module: ModuleType) -> list[tuple[str, str]]:
    """The data sets that a module holds, and the classes of such: their names, and where they are found.

    Raises BadInput where the module that defines a class has no function `load`.
    """
    found = []
    for attribute, value in vars(module).items():
        if isinstance(value, DataSet):
            if DATA_SETS.get(value.name) != type(value).__module__:  # else one of these, loaded there
                found.append((value.name, f"{module.__name__}:{attribute}"))
        elif inspect.isclass(value) and issubclass(value, DataSet) and hasattr(value, "name"):
            if inspect.isabstract(value):
                continue
            if not callable(getattr(import_module(value.__module__), "load", None)):
                raise BadInput(
                    f"{module.__file__}: the data set {value.name} needs a function load(name, data) beside it"
                )
            found.append((value.name, value.__module__))
    return found


def data_sets() -> dict[str, str]:
    """Where each known data set is found. Raises BadInput where a name stands for two."""
    return modules.named("data set", DATA_SETS, modules.of_users("diswot_bench.data_sets"), data_sets_in)


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
    known = data_sets()
    if name not in known:
        raise unknown("data set", name, known)
    module, _, attribute = known[name].partition(":")
    found = getattr(import_module(module), attribute or "load")
    loaded: DataSet = found if isinstance(found, DataSet) else found(name, data)
    return loaded
