"""A probe that knows what it handed out, and whether somebody wrote into it: others read the same tensors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from probe.needs import READS, NotApplicable, needs_of
from probe.network import Probe

Shared = TypeVar("Shared")
Place = tuple[Hashable, ...]
"""Of a tensor in what was handed out: keys and indices, from outside in."""


class _Note(NamedTuple):
    """What was handed out, and the tensors in it as they were then, by their places."""

    value: Any
    tensors: dict[Place, torch.Tensor]
    versions: dict[Place, int]
    copies: list[torch.Tensor]
    """Of none, unless contents are to be compared."""
    ways: list[object]
    """Of a network's modules: how each runs."""

    @classmethod
    def of(cls, value: Any, copied: bool) -> _Note:
        found = dict(_tensors(value))
        copies = [one.detach().clone() for one in found.values()] if copied else []
        return cls(value, found, _versions(found), copies, _ways(value))

    def is_whole(self, contents: bool) -> bool:
        """Whether what was handed out has the tensors it had, each in its place, nothing was written into them, and a
        network runs as it did."""
        now = dict(_tensors(self.value))
        same = now.keys() == self.tensors.keys() and all(one is self.tensors[place] for place, one in now.items())
        return same and _ways(self.value) == self.ways and self.is_like(now, contents)

    def is_like(self, now: dict[Place, torch.Tensor], contents: bool) -> bool:
        """Whether nothing was written into what is read `now`."""
        return _versions(now) == self.versions and (not contents or all(map(_same, now.values(), self.copies)))


class Watched:
    """Stands for a probe before its readers. `written` says what of it was written into since it was first read.

    What was handed out has to hold the tensors that it held. PyTorch counts what is written into a tensor, for all its
    views together. That misses what is written past it,
    through `.data` or NumPy: with `copies` contents are compared too, where `written` is asked to.
    """

    def __init__(self, probe: Probe, copies: bool = False, role: str = "") -> None:
        """`role` is what a reader has to declare before it reads anything of it, if there is such a word."""
        self._probe = probe
        self._copies = copies
        self._role = role
        self._declared: frozenset[str] | None = None
        self._notes: dict[Hashable, _Note] = {}
        self._views: dict[str, Watched] = {}

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class of the probe, for those who ask."""
        return type(self._probe)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._require(name)
        value = getattr(self._probe, name)
        if isinstance(value, Probe):
            view = self._views.setdefault(name, Watched(value, self._copies))
            view._declared = None if self._declared is None else frozenset(needs_of(name, self._declared))
            return view
        self._note(name, value)
        return value

    @contextmanager
    def read_by(self, needs: Iterable[str]) -> Iterator[None]:
        """Let it be read as far as a reader has declared, whatever others need of the probe."""
        self._declared = frozenset(needs)
        try:
            yield
        finally:
            self._declared = None

    def _require(self, name: str) -> None:
        """Raises LookupError where the reader of the moment has not declared what it reads."""
        if self._declared is None:
            return
        if self._role and self._role not in self._declared:
            raise LookupError(f"the proxy reads the {self._role}: add '{self._role}' to its `needs`")
        if name in READS and self._declared.isdisjoint(READS[name]):
            raise LookupError(f"the proxy reads what takes '{READS[name][0]}': add it to its `needs`")

    def once(self, key: Hashable, compute: Callable[[Any], Shared]) -> Shared:
        """As the probe's; what is computed reads this one."""
        value = self._probe.once(key, lambda _: compute(self))
        self._note(("once", key), value)
        return value

    def _note(self, name: Hashable, value: Any) -> None:
        if name not in self._notes:
            self._notes[name] = _Note.of(value, self._copies)

    def written(self, contents: bool = False) -> str:
        """The names of what was written into, joined by commas; empty where nothing was."""
        found = [str(name) for name, note in self._notes.items() if self._is_written(name, note, contents)]
        for view, watched in self._views.items():
            found += [f"{view}.{name}" for name in watched.written(contents).split(", ") if name]
        return ", ".join(found)

    def _is_written(self, name: Hashable, note: _Note, contents: bool) -> bool:
        if note.is_whole(contents):
            return False
        if not isinstance(name, str):
            return True
        try:  # of what is made anew for everyone, the next reader meets nothing of it
            again = getattr(self._probe, name)
            return _ways(again) != note.ways or not note.is_like(dict(_tensors(again)), contents)
        except NotApplicable:  # nothing is left of it
            return True


def _tensors(value: Any, place: Place = ()) -> Iterator[tuple[Place, torch.Tensor]]:
    """The tensors in what a probe hands out; of a network its parameters, since passes may touch its statistics."""
    if isinstance(value, torch.Tensor):
        yield place, value
        return
    parts: Iterable[tuple[Hashable, Any]] = ()
    if isinstance(value, nn.Module):
        parts = value.named_parameters()
    elif isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, tuple | list):
        parts = enumerate(value)
    for name, part in parts:
        yield from _tensors(part, (*place, name))


def _ways(value: Any) -> list[object]:
    """Of a network's modules the mode and the hooks, which change what others see of it; of all else nothing."""
    if not isinstance(value, nn.Module):
        return []
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [(one.training, *(tuple(getattr(one, kind)) for kind in hooks)) for one in value.modules()]


def _versions(found: Mapping[Place, torch.Tensor]) -> dict[Place, int]:
    return {place: one._version for place, one in found.items()}


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a, b) or (a.is_floating_point() and torch.equal(a.nan_to_num(), b.nan_to_num()))
