"""Spaces by name: those here, of installed packages (entry points `diswot_bench.spaces`), and of the user's files."""

from __future__ import annotations

from types import ModuleType

from common import modules
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

_FOLDERS = tuple(f"{type(space).__module__.rpartition('.')[0]}." for space in _SPACES.values())


def is_own(kind: type) -> bool:
    """Whether a class is of one of these spaces, whose code the project answers for; any other is the user's."""
    return kind.__module__.startswith(_FOLDERS)


def spaces_in(module: ModuleType) -> list[tuple[str, Space]]:
    """The spaces that a module holds, such as `PLAIN = PlainSpace()`, and their names."""
    return [(value.name, value) for value in vars(module).values() if isinstance(value, Space)]


def spaces() -> dict[str, Space]:
    """All that are known. Raises BadInput where a name stands for two."""
    return modules.named("space", _SPACES, modules.of_users("diswot_bench.spaces"), spaces_in)


def space(name: str) -> Space:
    """The space of a name. Raises BadUsage."""
    known = spaces()
    if name not in known:
        raise unknown("space", name, known)
    return known[name]
