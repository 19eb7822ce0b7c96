"""A probe that knows what it handed out, and whether somebody wrote into it: others read the same tensors."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

from probe.network import Probe

Shared = TypeVar("Shared")


class _Note(NamedTuple):
    """Tensors as they were when they were first handed out."""

    tensors: list[torch.Tensor]
    versions: list[int]
    copies: list[torch.Tensor]
    """Of none, unless contents are to be compared."""

    @classmethod
    def of(cls, value: Any, copied: bool) -> _Note:
        found = _tensors(value)
        copies = [one.detach().clone() for one in found] if copied else []
        return cls(found, [one._version for one in found], copies)

    def holds(self, now: list[torch.Tensor], contents: bool) -> bool:
        """Whether nothing was written into what is read `now`."""
        if [one._version for one in now] != self.versions:
            return False
        return not contents or all(map(_same, now, self.copies))


class Watched:
    """Stands for a probe before its readers. `written` says what of it was written into since it was first read.

    PyTorch counts what is written into a tensor, for all its views together. That misses what is written past it,
    through `.data` or NumPy: with `copies` contents are compared too, where `written` is asked to.
    """

    def __init__(self, probe: Probe, copies: bool = False) -> None:
        self._probe = probe
        self._copies = copies
        self._notes: dict[Hashable, _Note] = {}
        self._views: dict[str, Watched] = {}

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """The class of the probe, for those who ask."""
        return type(self._probe)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self._probe, name)
        if isinstance(value, Probe):
            return self._views.setdefault(name, Watched(value, self._copies))
        self._note(name, value)
        return value

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
        if note.holds(note.tensors, contents):
            return False
        # of what is made anew for everyone, the next reader meets nothing of it
        return not isinstance(name, str) or not note.holds(_tensors(getattr(self._probe, name)), contents)


def _tensors(value: Any) -> list[torch.Tensor]:
    """The tensors in what a probe hands out; of a network its parameters, since passes may touch its statistics."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, nn.Module):
        return list(value.parameters())
    parts = list(value.values()) if isinstance(value, dict) else value if isinstance(value, tuple | list) else []
    return [found for part in parts for found in ([part] if type(part) is torch.Tensor else _tensors(part))]


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.equal(a, b) or (a.is_floating_point() and torch.equal(a.nan_to_num(), b.nan_to_num()))
