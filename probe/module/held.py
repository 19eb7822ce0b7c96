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
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import nn

_CONTAINERS = (dict, OrderedDict, set, list, deque)
_Container = list[Any] | dict[Any, Any] | set[Any] | deque[Any]
_LOOKED_INTO = (
    *(list, dict, set, deque, tuple, torch.Tensor, np.ndarray, nn.Module),
    *(torch.Generator, np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random),
)
_is_looked_into: Callable[[type], bool] = cache(lambda kind: issubclass(kind, _LOOKED_INTO))
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
        while self._put_back:
            self._put_back.pop()()
        for container in self._empty:
            _refill(container, ())

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
        if container:
            self._put_back.append(partial(_refill, container, _content(container)))
        else:
            self._empty.append(container)

    def stand_in(self, value: Any) -> Any:
        """What is held in place of a value; a container itself, with what stands in for its parts."""
        known = self._stand_ins.get(id(value))
        if known is None:
            kind = type(value)
            if not _is_looked_into(kind) or (kind is tuple and all(type(part) in _PLAIN for part in value)):
                return value
            if kind in _CONTAINERS and not value:
                self._empty.append(value)
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
            if value and not isinstance(value, set):
                self._exchange(value, list(value.items() if isinstance(value, dict) else enumerate(value)))
        else:
            self._put_back.append(_state_of(value))
        return value

    def _exchange(self, container: Any, parts: Sequence[tuple[Any, Any]]) -> None:
        for place, part in parts:
            if type(part) not in _PLAIN and (own := self.stand_in(part)) is not part:
                container[place] = own


def _content(held: _Container) -> Any:
    """What is in a container, apart from its class."""
    plain = next(kind for kind in (dict, set, list, deque) if isinstance(held, kind))
    return plain(held)


def _refill(held: _Container, content: Any) -> None:
    """Give a container what was in it; one of a class that refuses to be updated too."""
    if not held and not content:
        return
    if isinstance(held, dict):
        of = OrderedDict if isinstance(held, OrderedDict) else dict
        of.clear(held)
        of.update(held, content)
    else:
        held.clear()
        if isinstance(held, set):
            held.update(content)
        else:
            held.extend(content)


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
