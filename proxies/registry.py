"""Proxies by name: those in this folder, those of installed packages, those in a file of the user's.

A module registers by holding concrete subclasses of `Proxy` or `Population`; nothing is listed by hand. Packages name
their modules in the entry-point group `diswot_bench.proxies`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import proxies
from common import spec as named
from common.errors import BadInput, BadUsage
from proxies.base import Named, Population, Proxy

ENTRY_POINTS = "diswot_bench.proxies"
_FACTS = {Proxy: ("name", "family", "reference", "needs"), Population: ("name", "family", "reference")}
_NOT_PROXIES = ("base", "module", "registry", "testing")


def proxies_in(module: ModuleType) -> list[type[Named]]:
    """The concrete proxy and population classes that a module defines (not those it imports)."""
    found = []
    for cls in vars(module).values():
        defined_here = inspect.isclass(cls) and cls.__module__ == module.__name__
        if defined_here and issubclass(cls, tuple(_FACTS)) and not inspect.isabstract(cls):
            if "__dataclass_fields__" not in vars(cls):
                raise BadInput(f"{module.__file__}: {cls.__name__} needs the decorator @dataclass(frozen=True)")
            facts = next(facts for kind, facts in _FACTS.items() if issubclass(cls, kind))
            missing = [fact for fact in facts if not hasattr(cls, fact)]
            if missing:
                raise BadInput(f"{module.__file__}: {cls.__name__} has no class attribute '{missing[0]}'")
            found.append(cls)
    return found


@cache
def _installed() -> dict[str, type[Named]]:
    names = [info.name for info in pkgutil.iter_modules(proxies.__path__) if info.name not in _NOT_PROXIES]
    modules = [importlib.import_module(f"proxies.{name}") for name in names]
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            loaded = entry.load()
        except Exception as error:  # whatever a foreign package raises
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise BadInput(
                f"the installed package behind the entry point {entry.name} = {entry.value} "
                f"cannot be imported ({reason}): repair or uninstall it"
            ) from error
        modules.append(loaded if inspect.ismodule(loaded) else sys.modules[loaded.__module__])
    known: dict[str, type[Named]] = {}
    for module in modules:
        _add(known, module)
    return known


def _add(known: dict[str, type[Named]], module: ModuleType) -> None:
    for cls in proxies_in(module):
        if cls.name in known and known[cls.name] is not cls:
            raise BadInput(f"{module.__file__}: there is a proxy named '{cls.name}' already; choose another name")
        known[cls.name] = cls


def _load_file(path: Path) -> ModuleType:
    """The module of a file, under a name made from its path, so that workers find the same one."""
    if not path.is_file():
        raise BadInput(f"--proxy-module {path}: no such file")
    name = f"proxy_module_{hashlib.blake2b(str(path.resolve()).encode(), digest_size=6).hexdigest()}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise BadInput(f"--proxy-module {path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # whatever the user's file raises
            del sys.modules[name]
            raise BadInput(f"--proxy-module {path}: {type(error).__name__}: {error}") from error
    return sys.modules[name]


def _everything(files: tuple[Path, ...]) -> dict[str, type[Named]]:
    found = dict(_installed())
    for path in files:
        module = _load_file(path)
        if not proxies_in(module):
            raise BadInput(f"--proxy-module {path}: defines no proxy (a concrete subclass of proxies.base.Proxy)")
        _add(found, module)
    return dict(sorted(found.items()))


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
