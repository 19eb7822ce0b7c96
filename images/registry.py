"""Data sets by name: those here, of installed packages (entry points `diswot_bench.data_sets`), of the user's files."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType

from common import modules
from common.errors import BadInput, BadUsage, unknown
from common.files import expanded
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


def data_sets_in(module: ModuleType) -> list[tuple[str, str | DataSet]]:
    """The data sets that a module holds, such as `INK = of_torch("ink", ...)`, and the modules of those whose classes
    it holds, with their names.

    Raises BadInput for a class without a function `load` beside it.
    """
    found: dict[str, str | DataSet] = {}
    for value in vars(module).values():
        if isinstance(value, DataSet) and DATA_SETS.get(value.name) != type(value).__module__:
            found[value.name] = value
    for cls in filter(_is_data_set, vars(module).values()):
        if cls.name not in found:
            if not hasattr(import_module(cls.__module__), "load"):
                raise BadInput(f"{module.__file__}: the data set {cls.name} needs a function load(name, data)")
            found[cls.name] = cls.__module__
    return list(found.items())


def _is_data_set(value: object) -> bool:
    """Whether it is the class of one data set, so that the class has its name."""
    return (
        inspect.isclass(value)
        and issubclass(value, DataSet)
        and not inspect.isabstract(value)
        and hasattr(value, "name")
    )


def data_sets() -> dict[str, str | DataSet]:
    """Each data set that is known, or its module. Raises BadInput where a name stands for two."""
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
        data = expanded(folder)
    known = data_sets()
    if name not in known and ("/" in name or Path(name).is_dir()):
        raise BadUsage(f"'{name}' is no data set: images in a folder of one's own are written folder:{name}")
    if name not in known:
        raise unknown("data set", name, known)
    of = known[name]
    found: DataSet = import_module(of).load(name, data) if isinstance(of, str) else of
    return found
