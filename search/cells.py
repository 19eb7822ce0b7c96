"""The architectures of a space (spaces/space.py) as what a search chooses from."""

from __future__ import annotations

from collections.abc import Iterable

from search.space import Architecture, Space
from spaces import space as spaces
from spaces.cells import NB201


def cell_space(allowed: Iterable[int], sees: str, among: spaces.Space = NB201) -> Space:
    """The cells of these indices; those that are equal to what `sees` them (spaces/equivalence.py) are one function."""
    indices = sorted(allowed)
    stands_for = among.representatives(sees)
    sizes = tuple(map(len, among.choices))
    return Space(sizes, tuple(map(among.chosen, indices)), tuple(stands_for[index] for index in indices))


def index_of(architecture: Architecture, among: spaces.Space = NB201) -> int:
    """The index of an architecture."""
    return among.index_of(architecture)
