"""Spaces by name."""

from __future__ import annotations

from common.errors import unknown
from spaces.nats_sizes.space import SIZES
from spaces.nb201.space import NB201
from spaces.resnet.space import RESNET
from spaces.space import Space

_SPACES: dict[str, Space] = {
    space.name: space
    for space in (
        NB201,
        RESNET,
        SIZES,
    )
}


def space(name: str) -> Space:
    """The space of a name. Raises BadUsage."""
    if name not in _SPACES:
        raise unknown("space", name, _SPACES)
    return _SPACES[name]
