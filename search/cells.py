"""The architectures of a space (spaces/space.py) as what a search chooses from."""

from __future__ import annotations

from collections.abc import Iterable

from search.choices import Architecture, Choices
from spaces import space as spaces


def cell_space(allowed: Iterable[int], sees: str, among: spaces.Space) -> Choices:
    """The cells of these indices; those that are equal to what `sees` them are one function."""
    indices = sorted(allowed)
    stands_for = among.representatives(sees)
    sizes = tuple(map(len, among.choices))
    return Choices(sizes, tuple(map(among.chosen, indices)), tuple(stands_for[index] for index in indices))


def index_of(architecture: Architecture, among: spaces.Space) -> int:
    """The index of an architecture."""
    return among.index_of(architecture)
