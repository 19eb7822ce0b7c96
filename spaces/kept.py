"""What networks of a draw have in common, kept as far as it fits: none of them computes it again."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Hashable

import torch
from torch import nn

ROOM = 2**26
"""Bytes that a worker keeps where nothing else is said."""

Keep = Callable[[Hashable, Callable[[], torch.Tensor]], torch.Tensor]
"""What is kept under a key, or made now by the function and then kept. Nobody writes into it."""


def takes(network: nn.Module) -> bool:
    """Whether a network is called with a Keep: what others of their draw made of these images is then read,
    and the rest of it is kept, to the bit as without."""
    return "keep" in inspect.signature(network.forward).parameters


class Kept:
    """A `Kept` holds tensors by key, at most `room` bytes of them: what nobody asked for longest goes first.

    A key says all that its tensor depends on, so that nothing depends on what is still there.
    """

    def __init__(self, room: int) -> None:
        self.room = room
        self.size = 0
        """Bytes that are held."""
        self._found: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def __call__(self, key: Hashable, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        """As `Keep`."""
        found = self._found.get(key)
        if found is not None:
            self._found.move_to_end(key)
            return found
        self._found[key] = made = make()
        self.size += made.nbytes
        while self.size > self.room:
            self.size -= self._found.popitem(last=False)[1].nbytes
        return made

    def of(self, *what: Hashable) -> Keep:
        """The part of the memory whose keys are of `what`."""
        return lambda key, make: self((what, key), make)

    def clear(self) -> None:
        """Let go of everything."""
        self._found.clear()
        self.size = 0
