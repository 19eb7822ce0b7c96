"""Modules of the user's: files given as --module, and those that installed packages name in entry points.

A registry asks them for what they hold of its kind, beside what stands in the tree.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.abc import SourceLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from common.errors import BadInput, one_line

Thing = TypeVar("Thing")
_files: tuple[Path, ...] = ()
_sources: dict[str, bytes] = {}
"""What modules of files were made of, by the names of the modules."""


def use(files: Iterable[Path]) -> None:
    """Load files, in place of those in use before: registries find what they hold, here and in workers.

    Raises BadInput as `load`.
    """
    global _files
    _files = ()
    files = tuple(dict.fromkeys(files))
    for path in files:
        if _sources.get(name := _name(path)) != _read(path):
            sys.modules.pop(name, None)  # edited since
        load(path)
    _files = files


def in_use() -> tuple[Path, ...]:
    """The files of the latest `use`."""
    return _files


def load(path: Path) -> ModuleType:
    """The module of a file, under a name made from its path, so that workers find the same one.

    Raises BadInput for what is no Python file and for one that raises an error.
    """
    if not path.is_file():
        raise BadInput(f"--module {path}: no such file")
    name = _name(path)
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or not isinstance(spec.loader, SourceLoader):
            raise BadInput(f"--module {path}: not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            # as it is read here, not as Python keeps it compiled: of two edits within a second that would be the first
            _sources[name] = source = _read(path)
            exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
        except BaseException as error:  # whatever the user's file raises, sys.exit() too
            del sys.modules[name]
            if isinstance(error, BadInput | KeyboardInterrupt):  # one line that says what to do already
                raise
            raise BadInput(f"--module {path}: {one_line(error)} while it was imported") from error
    return sys.modules[name]


def _name(path: Path) -> str:
    return f"module_{hashlib.blake2b(str(path.resolve()).encode(), digest_size=6).hexdigest()}"


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def source(module: ModuleType) -> bytes | None:
    """What a module was made of; None where it is not at hand."""
    if module.__name__ in _sources:
        return _sources[module.__name__]
    path = Path(getattr(module, "__file__", None) or "")
    return _read(path) if path.suffix == ".py" and path.is_file() else None


def hashes(files: Iterable[Path]) -> dict[Path, str]:
    """The files with a hash of what was loaded of each."""
    loaded = {path: source(load(path)) or b"" for path in files}
    return {path: hashlib.blake2b(found, digest_size=16).hexdigest() for path, found in loaded.items()}


@cache
def installed(group: str) -> tuple[ModuleType, ...]:
    """The modules that packages name in an entry-point group. Raises BadInput where one cannot be imported."""
    modules = []
    for entry in entry_points(group=group):
        try:
            modules.append(importlib.import_module(entry.module))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a foreign package raises
            raise BadInput(
                f"the installed package behind the entry point {entry.name} = {entry.value} "
                f"cannot be imported ({one_line(error)}): repair or uninstall it"
            ) from error
    return tuple(modules)


def of_users(group: str, files: Iterable[Path] | None = None) -> list[ModuleType]:
    """The modules of installed packages in an entry-point group, then those of `files`, by default those in use."""
    return [*installed(group), *map(load, _files if files is None else files)]


def named(
    kind: str,
    found: Mapping[str, Thing],
    modules: Iterable[ModuleType],
    held: Callable[[ModuleType], Iterable[tuple[str, Thing]]],
) -> dict[str, Thing]:
    """What was found of a kind, such as `space`, and what modules hold of it, by name.

    Raises BadInput for a name of two things.
    """
    known = dict(found)
    for module in modules:
        for name, thing in held(module):
            if known.setdefault(name, thing) != thing:
                raise BadInput(f"{module.__file__}: there is a {kind} named '{name}' already; choose another name")
    return known
