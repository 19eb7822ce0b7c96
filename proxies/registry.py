"""Proxies by name: those in this folder, those of installed packages, those in a file of the user's.

A module registers by holding concrete subclasses of `Proxy` or `Population`; nothing is listed by hand. Packages name
their modules in the entry-point group `diswot_bench.proxies`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

import proxies
from common import modules
from common import spec as named
from common.errors import BadInput, BadUsage, one_line
from proxies.base import Named, Population, Proxy
from proxies.facts import wrong_fact

ENTRY_POINTS = "diswot_bench.proxies"
_NOT_PROXIES = ("base", "facts", "module", "registry", "testing")


def proxies_in(module: ModuleType) -> list[type[Named]]:
    """The concrete proxy and population classes that a module defines (not those it imports).

    Raises BadUsage for one that says of itself what no run can use, BadInput for one that is no dataclass.
    """
    found = []
    for cls in vars(module).values():
        defined_here = inspect.isclass(cls) and cls.__module__ == module.__name__
        if not defined_here or not issubclass(cls, Proxy | Population):
            continue
        if not inspect.isabstract(cls):
            if "__dataclass_fields__" not in vars(cls):
                raise BadInput(f"{module.__file__}: {cls.__name__} needs the decorator @dataclass(frozen=True)")
            if wrong := wrong_fact(cls):
                raise BadUsage(f"{module.__file__}: {cls.__name__}: {wrong}")
            found.append(cls)
        elif "name" in vars(cls):  # without one it is what others are made from
            missing = min(cls.__abstractmethods__)
            raise BadUsage(f"{module.__file__}: {cls.__name__}: it has a name and no method '{missing}'")
    return found


def _held(module: ModuleType) -> list[tuple[str, type[Named]]]:
    return [(cls.name, cls) for cls in proxies_in(module)]


@cache
def _in_tree() -> dict[str, type[Named]]:
    names = [info.name for info in pkgutil.iter_modules(proxies.__path__) if info.name not in _NOT_PROXIES]
    return modules.named("proxy", {}, map(_module, names), _held)


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"proxies.{name}")
    except SyntaxError as error:
        raise BadInput(f"{error.filename}, line {error.lineno}: {one_line(error)}") from error


def _everything(files: tuple[Path, ...]) -> dict[str, type[Named]]:
    return dict(sorted(modules.named("proxy", _in_tree(), modules.of_users(ENTRY_POINTS, files), _held).items()))


def known(files: tuple[Path, ...] = ()) -> dict[str, type[Proxy]]:
    """All proxy classes by name, in order of names; `files` are further modules of the user's."""
    return {name: cls for name, cls in _everything(files).items() if issubclass(cls, Proxy)}


def populations(files: tuple[Path, ...] = ()) -> dict[str, type[Population]]:
    """All classes that combine the scores of others, as `known`."""
    return {name: cls for name, cls in _everything(files).items() if issubclass(cls, Population)}


def create(text: str, files: tuple[Path, ...] = ()) -> Proxy:
    """A proxy from `name` or `name:field=value:field=value`. Raises BadUsage for unknown names, fields and values."""
    return named.create("proxy", text, known(files))


def choose(text: str, files: tuple[Path, ...] = ()) -> list[Proxy | Population]:
    """What a comma-separated list names, or everything for `all`; duplicates named once."""
    classes = _everything(files)
    if text.strip() == "all":
        made: list[Named] = [cls() for cls in classes.values()]
    else:
        made = [named.create("proxy", part, classes) for part in text.split(",") if part.strip()]
    if not made:
        raise BadUsage("no proxy named: give one, several joined by commas, or all")
    chosen = {one.label: one for one in made if isinstance(one, Proxy | Population)}
    return list(chosen.values())


def parts(population: Population, files: tuple[Path, ...] = ()) -> list[Proxy]:
    """The proxies that a population combines. Raises BadUsage for an unknown one."""
    return [create(part, files) for part in population.parts]


def create_all(text: str, files: tuple[Path, ...] = ()) -> list[Proxy]:
    """The proxies that a list names, then the parts of its populations: what there is to score, each once."""
    chosen = choose(text, files)
    proxies = [one for one in chosen if isinstance(one, Proxy)]
    for one in chosen:
        if isinstance(one, Population):
            proxies += parts(one, files)
    return list({proxy.label: proxy for proxy in proxies}.values())
