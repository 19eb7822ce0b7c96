"""What a class or function of a file computes, as one hash: comments, formatting, docstrings and hints do not count.

Hashed are its definition and all that it uses of its own module, and of modules of the user's that are imported there;
this project and installed packages have versions of their own.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from common import modules
from common.files import json_hash

_FOLDERS = (str(Path(__file__).parents[2]), *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")))
_OTHERS = tuple(Path(folder).resolve() for folder in _FOLDERS)
"""Where files of this project, of Python and of installed packages lie."""
_INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of installed packages, wherever they are: the user's own, another environment's on the path, a system's."""
_HINTS = {"returns", "annotation", "type_comment", "ctx", "kind"}
_IDLE_IN_BASES = frozenset({"least", "least_of_class"})
"""Facts that are idle in the classes that a class is made from as well: they say which batches are scored at all."""
_DEFINED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def source_hash(things: Iterable[Any], idle: Iterable[str] = (), folders: Iterable[Path] = ()) -> str | None:
    """The hash of classes, with those of the user's that they are made from, and of functions.

    None where a source is not at hand. `idle` are attributes of the classes that change nothing of what is computed,
    `folders` some of this project's whose modules count as the user's.
    """
    hashed = _Hashed(frozenset(idle), tuple(folders))
    for thing in things:
        for one in thing.__mro__ if isinstance(thing, type) else (thing,):
            module, name = sys.modules.get(one.__module__), getattr(one, "__qualname__", None)
            if one is thing and (module is None or name is None or modules.source(module) is None):
                return None
            if module is not None and name is not None and (one is thing or hashed.is_users(module)):
                hashed.add(module, {name.split(".")[0]}, roots=True)
    return json_hash(sorted(hashed.parts))


class _Hashed:
    """What is hashed, so far: statements, each with the file it is from."""

    def __init__(self, idle: frozenset[str], folders: tuple[Path, ...] = ()) -> None:
        self._idle = idle
        self._folders = folders
        self._seen: set[tuple[str, frozenset[str] | None]] = set()
        self.parts: set[str] = set()

    def add(self, module: ModuleType, names: set[str] | None, roots: bool = False) -> None:
        """What `names` of a module (None: all of it) stand for, and what they use."""
        statements = _statements(modules.source(module) or b"")
        if names is not None and not names <= {name for one in statements for name in _bound(one)}:
            names = None  # made by a program: all of the module counts
        key = (module.__name__, None if names is None else frozenset(names))
        if key in self._seen:
            return
        self._seen.add(key)
        file = Path(module.__file__ or module.__name__).stem
        for one in statements if names is None else _used(statements, set(names)):
            facts = roots and names is not None and isinstance(one, ast.ClassDef) and one.name in names
            self.parts.add(f"{file}: {_plain(one, self._idle if facts else self._idle & _IDLE_IN_BASES)}")
            for name, wanted in _imported(one, module):
                other = self._loaded(name)
                if other is not None and self.is_users(other):
                    self.add(other, wanted)

    def is_users(self, module: ModuleType) -> bool:
        """Whether a module lies neither in this project nor among Python's and installed ones."""
        return self._is_users(getattr(module, "__file__", None))

    def _is_users(self, file: str | None) -> bool:
        if file is None:
            return False
        path = Path(file).resolve()
        if path.parent in self._folders:
            return True
        return _INSTALLED.isdisjoint(path.parts) and not any(map(path.is_relative_to, (*_OTHERS, *_needed())))

    def _loaded(self, name: str) -> ModuleType | None:
        """A module; one of the user's that a function has yet to import is imported for it."""
        if name not in sys.modules:
            with suppress(Exception):  # whatever a user's file raises, it raises again where it is run
                spec = importlib.util.find_spec(name)
                if spec is not None and self._is_users(spec.origin):
                    importlib.import_module(name)
        return sys.modules.get(name)


@cache
def _needed() -> frozenset[Path]:
    """The folders that what this project needs was installed into, as by `pip install --target`."""
    found = (importlib.util.find_spec(name) for name in ("torch", "numpy", "scipy"))
    return frozenset(Path(spec.origin).resolve().parents[1] for spec in found if spec and spec.origin)


def _used(statements: Iterable[ast.stmt], names: set[str]) -> list[ast.stmt]:
    """The statements that make `names`, and those that make or change what these use."""
    chosen: list[ast.stmt] = []
    left = list(statements)
    while more := [one for one in left if _concerns(one, names)]:
        chosen += more
        left = [one for one in left if one not in more]
        names.update(name for one in more for name in _mentioned(one))
    return chosen


def _concerns(one: ast.stmt, names: set[str]) -> bool:
    if not names.isdisjoint(_bound(one)):
        return True
    plain = isinstance(one, (*_DEFINED, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)) and _bound(one)
    mentioned = set() if plain else set(_mentioned(one))
    return not names.isdisjoint(mentioned) and "__name__" not in mentioned  # what a script does is no definition


def _bound(one: ast.AST) -> set[str]:
    """The names that a statement of a module gives something to."""
    if isinstance(one, _DEFINED):
        return {one.name}
    if isinstance(one, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).split(".")[0] for alias in one.names}
    own = {one.id} if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store) else set()
    return own.union(*map(_bound, ast.iter_child_nodes(one)))


def _mentioned(one: ast.AST) -> Iterator[str]:
    """The names that a statement reads, but for hints."""
    for field, value in ast.iter_fields(one):
        if field not in _HINTS or (field == "annotation" and isinstance(one, ast.AnnAssign)):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _mentioned(child)
    if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load):
        yield one.id


def _imported(one: ast.AST, module: ModuleType) -> Iterator[tuple[str, set[str] | None]]:
    """The modules that a statement imports, also within a function, and what of them."""
    for node in ast.walk(one):
        found: list[tuple[str, set[str] | None]] = []
        if isinstance(node, ast.Import):
            found = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if node.level:
                name = importlib.util.resolve_name(name, module.__package__ or module.__name__)
            found = [(name, {alias.name for alias in node.names})]
            found += [(f"{name}.{alias.name}", None) for alias in node.names]
        for name, wanted in found:
            yield name, None if wanted and "*" in wanted else wanted


@lru_cache(maxsize=256)
def _statements(source: bytes) -> tuple[ast.stmt, ...]:
    return tuple(ast.parse(source).body)


def _plain(node: Any, idle: frozenset[str] = frozenset()) -> Any:
    """A tree as lists of words: the same of every version of Python."""
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    parts: list[Any] = [type(node).__name__]
    for field, value in ast.iter_fields(node):
        hint = field in _HINTS and not (field == "annotation" and isinstance(node, ast.AnnAssign))
        if field == "body" and isinstance(value, list):
            value = [one for one in value if not (_is_text(one) or (idle and _bound(one) and _bound(one) <= idle))]
        if not hint and value not in (None, []):
            parts.append([field, _plain(value)])
    return parts


def _is_text(one: ast.AST) -> bool:
    """Whether a statement is a docstring, or another text that does nothing."""
    return isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str)
