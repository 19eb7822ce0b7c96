"""What a network holds besides parameters and buffers, put back after every pass: each starts from the same.

Containers stay the objects that they are, and get back what was in them. Tensors and arrays in them are copies while
the network runs: what is written into one may be in a graph, which is differentiated when the network holds its own
again. Random generators get back their states.
"""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

_CONTAINERS = (OrderedDict, dict, set, list, deque)
_Container = list[Any] | dict[Any, Any] | set[Any] | deque[Any]
_LOOKED_INTO = (
    *(list, dict, set, deque, tuple, torch.Tensor, np.ndarray, nn.Module),
    *(torch.Generator, np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random),
)
_PLAIN = (bool, int, float, str, type(None))
"""Types of most attributes, in which nothing can be written."""
_STAND_INS_OF_THEIR_OWN = ("_parameters", "_buffers", "_modules")
"""Of a network's modules: what is in them is exchanged for each pass (probe/stand_ins.py)."""


@contextmanager
def as_it_was(network: nn.Module) -> Iterator[None]:
    """Put back every attribute of every module, and what those hold: modes, counters, what was kept for later.

    Not what objects of other classes hold, nor iterators, nor attributes of classes.
    """
    modules = list(network.modules())
    held = _Held(modules)
    try:
        for module in modules:
            held.attributes(module, _STAND_INS_OF_THEIR_OWN)
        yield
    finally:
        held.put_back()


class _Held:
    """What was held, of which `stand_in` gives what is held during a pass."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._put_back: list[Callable[[], object]] = []
        self._empty: list[_Container] = []
        """Containers without content: most of those that modules hold."""
        self._stand_ins: dict[int, tuple[Any, Any]] = {id(module): (module, module) for module in modules}
        """By the identities of what they stand for, which are kept so that nothing else gets them."""

    def put_back(self) -> None:
        """Put everything back, also behind what cannot be; that is raised in the end."""
        failed: list[Exception] = []
        self._put_back.extend(partial(_refill, container, ()) for container in self._empty if len(container))
        while self._put_back:
            try:
                self._put_back.pop()()
            except Exception as error:  # of a class of the network's own
                failed.append(error)
        for first in failed:
            raise first

    def attributes(self, module: nn.Module, as_they_are: Sequence[str] = ()) -> None:
        """Note the attributes of a module, and what is in them but for those that are left `as_they_are`."""
        attributes = vars(module)
        self._put_back.append(partial(_refill, attributes, dict(attributes)))
        for name in as_they_are:
            value = attributes[name]
            self._note(value)
            self._stand_ins[id(value)] = value, value
        self._exchange(attributes, list(attributes.items()))

    def _note(self, container: _Container) -> None:
        """Note what is in a container, apart from its class."""
        content = _plain(container)(container)
        if content or type(container) not in _CONTAINERS:
            self._put_back.append(partial(_refill, container, content))
        else:
            self._empty.append(container)

    def stand_in(self, value: Any) -> Any:
        """What is held in place of a value; a container itself, with what stands in for its parts."""
        known = self._stand_ins.get(id(value))
        if known is None:
            kind = type(value)
            if kind in _CONTAINERS and not value:
                self._empty.append(value)
                return value
            if kind is tuple and all(type(part) in _PLAIN for part in value):
                return value
            if not isinstance(value, _LOOKED_INTO):  # a weak reference says that it is what it stands for
                return value
            self._stand_ins[id(value)] = value, value  # it may hold itself
            known = self._stand_ins[id(value)] = value, self._made(value)
        return known[1]

    def _made(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):  # what is learned is no constant, and is refused where it is read
            return value if isinstance(value, nn.Parameter) or value.requires_grad else value.clone()
        if isinstance(value, np.ndarray):
            return value.copy()
        if isinstance(value, tuple):
            parts = [self.stand_in(part) for part in value]
            same = all(part is own for part, own in zip(parts, value, strict=True))
            return value if same else value._make(parts) if hasattr(value, "_make") else type(value)(parts)
        if isinstance(value, nn.Module):
            self.attributes(value)
        elif isinstance(value, list | dict | set | deque):
            self._note(value)
            plain = _plain(value)
            if plain is not set:
                content = plain(value)
                self._exchange(value, list(content.items() if isinstance(content, dict) else enumerate(content)))
        else:
            self._put_back.append(_state_of(value))
        return value

    def _exchange(self, container: Any, parts: Sequence[tuple[Any, Any]]) -> None:
        for place, part in parts:
            if type(part) not in _PLAIN and (own := self.stand_in(part)) is not part:
                _plain(container).__setitem__(container, place, own)


def _plain(held: _Container) -> Any:
    """The type of a container, whose methods no class of somebody's own has changed."""
    return next(kind for kind in _CONTAINERS if isinstance(held, kind))


def _refill(held: _Container, content: Any) -> None:
    """Give a container what was in it; one of a class that refuses to be updated too."""
    plain = _plain(held)
    plain.clear(held)
    if plain in (list, deque):
        plain.extend(held, content)
    else:
        plain.update(held, content)


def _state_of(generator: Any) -> Callable[[], object]:
    """What gives a random generator its state back."""
    if isinstance(generator, torch.Generator):
        return partial(generator.set_state, generator.get_state())
    if isinstance(generator, np.random.RandomState):
        return partial(generator.set_state, generator.get_state())
    if isinstance(generator, random.Random):
        return partial(generator.setstate, generator.getstate())
    bits = generator.bit_generator if isinstance(generator, np.random.Generator) else generator
    return partial(setattr, bits, "state", bits.state)
