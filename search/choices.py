"""What a search method knows of a space: positions with choices, and which architectures are allowed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

Architecture = tuple[int, ...]
"""The number of the choice at each position: a cell's operations, or the depths of a ResNet's stages."""


@dataclass(frozen=True)
class Choices:
    """`sizes[i]` choices at position i; the `allowed` architectures are those that meet all constraints.

    `classes` numbers them by what is evaluated: two of equal number are one function, and have one score.
    """

    sizes: tuple[int, ...]
    allowed: tuple[Architecture, ...]
    classes: tuple[int, ...]

    @cached_property
    def class_of(self) -> dict[Architecture, int]:
        """The class of each allowed architecture."""
        return dict(zip(self.allowed, self.classes, strict=True))

    def __contains__(self, architecture: Architecture) -> bool:
        return architecture in self.class_of

    def drawn(self, draw: random.Random) -> Architecture:
        """One of the allowed, each equally likely."""
        return draw.choice(self.allowed)

    def mutated(self, architecture: Architecture, draw: random.Random) -> Architecture:
        """Another choice at one position: each position equally likely, then each other choice.

        It may not be allowed.
        """
        position = draw.randrange(len(self.sizes))
        others = [choice for choice in range(self.sizes[position]) if choice != architecture[position]]
        return (*architecture[:position], draw.choice(others), *architecture[position + 1 :])

    def neighbours(self, architecture: Architecture) -> Iterator[Architecture]:
        """The allowed architectures that differ at one position."""
        for position, size in enumerate(self.sizes):
            for choice in range(size):
                near = (*architecture[:position], choice, *architecture[position + 1 :])
                if choice != architecture[position] and near in self:
                    yield near

    def one_of_each(self) -> list[Architecture]:
        """The first allowed architecture of each class."""
        first: dict[int, Architecture] = {}
        for architecture, number in zip(self.allowed, self.classes, strict=True):
            first.setdefault(number, architecture)
        return list(first.values())


def whole(sizes: tuple[int, ...], allows: Callable[[Architecture], bool] = lambda architecture: True) -> Choices:
    """The product of all choices, of which those are allowed that `allows` says, each a function of its own."""
    allowed = tuple(filter(allows, itertools.product(*map(range, sizes))))
    return Choices(sizes, allowed, tuple(range(len(allowed))))
